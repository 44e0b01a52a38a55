"""`tj.function`: a Python function whose calls run compiled code.

Flows in:  a function and options; calls.
Flows out: a callable that dispatches natively. A call that fits no specialisation comes to `State.slow`, which traces,
           compiles, installs and runs. A call inside another trace is traced into it.
"""
from __future__ import annotations

import copyreg
import functools
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from tracejit.api import debugging, explain
from tracejit.api.cleaning import clean_arguments, copy_back
from tracejit.api.collector import collector_paused
from tracejit.api.donation import donate
from tracejit.api.options import Options, check_declared, make_options, parameter_names, refuse_generators
from tracejit.api.recording import RECORDERS
from tracejit.api.shapes import ShapeHistory
from tracejit.api.signature import inputs_of
from tracejit.autograph.entry import python_function
from tracejit.autograph.frames import fold_traceback
from tracejit.autograph.load import converted_code
from tracejit.base.errors import (
    InternalError,
    RetraceWarning,
    SourceUnavailableError,
    TracejitError,
    UnsupportedError,
    UnsupportedTypeError,
)
from tracejit.base.options import LISTENERS, config
from tracejit.base.trees import flatten
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.context import Decisions, active
from tracejit.tracing.implements import LOADERS
from tracejit.tracing.inputs import ObjectInput
from tracejit.tracing.namespace import INLINED
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span
from tracejit.tracing.trace import Call, Trace, trace

_TRIES = 20
_states: weakref.WeakSet[State] = weakref.WeakSet()    # every State adds itself; read after fork


class OverlapError(Exception):
    """Internal: an array which the function writes shares some of its memory with another one."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class State:
    """What one decorated function knows. special: specialisations that native dispatch can't admit by itself.

    has_run: a call of it has ended well.
    """

    original: Callable[..., Any]
    options: Options
    callable: Any = None
    traces: list[explain.TraceRecord] = field(default_factory=list)
    history: ShapeHistory = field(default_factory=ShapeHistory)
    special: list[Any] = field(default_factory=list)
    plain: dict[Any, str] = field(default_factory=dict)
    has_run: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    names: Sequence[str] = ()

    @property
    def name(self) -> str:
        return str(self.options.name or getattr(self.original, "__qualname__", type(self.original).__name__))

    # Calls

    def slow(self, /, *args: Any, **kwargs: Any) -> Any:
        """A call that no installed specialisation took."""
        context = active()
        if context is not None and context.call is not None:
            return context.call(inlined(self), *args, **kwargs)
        try:
            if RECORDERS.active:
                from tracejit.api.replaying import recorded_call
                return recorded_call(self, args, kwargs, bool(config.debug_nans))
            return self.run(args, kwargs, bool(config.debug_nans))
        except Exception as error:
            if isinstance(error, TracejitError) and error.span is None:
                error.at(explain.span_of_traceback(error.__traceback__))
            raise fold_traceback(error)    # noqa: B904  (its own causes are kept)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], checks_nans: bool) -> Any:
        for compiled in self.unseen(checks_nans):
            hit, result = self.attempt(compiled, args, kwargs)
            if hit:
                return result
        cleaned, clean_kwargs, copies = clean_arguments(args, kwargs)
        if copies:
            return copy_back(copies, self.callable(*cleaned, **clean_kwargs))
        known = len(self.traces)
        for _ in range(_TRIES):
            if self.plain and self.must_run_plain(args, kwargs):
                return self.original(*args, **kwargs)
            with self.lock:
                fresh: list[Any] | None = self.newer(known, checks_nans)
                if not fresh:
                    fresh = self.add(args, kwargs, checks_nans)
                known = len(self.traces)
            if fresh is None:
                return self.original(*args, **kwargs)
            for compiled in fresh:
                hit, result = self.attempt(compiled, args, kwargs)
                if hit:
                    self.has_run = True
                    return result
        raise InternalError(f"{self.name}: a new trace does not fit the call it was made for",
                            why="\n".join(record.text() for record in self.traces[-2:]))

    def unseen(self, checks_nans: bool) -> list[Any]:
        """The specialisations that native dispatch did not try, newest first."""
        from tracejit.xla_lite.runtime.host import calls_are_watched
        found = self.newer(0, checks_nans)[::-1] if calls_are_watched() else self.special[::-1]
        return [compiled for compiled in found if compiled.checks_nans == checks_nans]

    def newer(self, known: int, checks_nans: bool) -> list[Any]:
        """What other threads compiled since the traces were counted."""
        return [record.compiled for record in self.traces[known:]
                if not record.compiled.trace.created and record.compiled.checks_nans == checks_nans]

    def add(self, args: tuple[Any, ...], kwargs: dict[str, Any], checks_nans: bool) -> list[Any] | None:
        """Traces and compiles this call; None if it has to run as plain Python."""
        try:
            return [self.specialise(args, kwargs, checks_nans).compiled]
        except OverlapError as error:
            self.plain[call_key(args, kwargs)] = str(error)
            return None

    def attempt(self, compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Runs one specialisation if the call fits it."""
        if compiled.checks_nans:
            from tracejit.api.nans import attempt_checked
            return attempt_checked(compiled, args, kwargs, None if self.options.autograph else current_span())
        from tracejit.api.admission import admitted
        from tracejit.xla_lite.runtime.dispatch import run_specialisation
        ready = admitted(compiled, args, kwargs)
        return (False, None) if ready is None else run_specialisation(compiled.specialisation, *ready)

    def must_run_plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether such a call was found to write memory that several arguments share in part."""
        from tracejit.api.admission import arguments_overlap
        return call_key(args, kwargs) in self.plain and arguments_overlap(args, kwargs)

    # Tracing and compiling

    def specialise(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], checks_nans: bool = False
                   ) -> explain.TraceRecord:
        """One more trace, compiled and installed."""
        with collector_paused():
            record = self.new_trace(args, kwargs, checks_nans)
        self.report(record)
        return record

    def new_trace(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], checks_nans: bool) -> explain.TraceRecord:
        """The work of `specialise`."""
        from tracejit.api.executor import compile_trace
        from tracejit.xla_lite.runtime.dispatch import install
        start = time.perf_counter()
        plan = self.history.begin()
        made = self.trace_call(args, kwargs, plan.shape)
        traced = time.perf_counter()
        compiled = compile_trace(made, self.name, self.options.precision, self.options.donate, checks_nans)
        plan.keep()
        record = explain.TraceRecord(len(self.traces) + 1, compiled, explain.descriptions(made),
                                     traced - start, time.perf_counter() - traced)
        record.reasons = explain.reasons(record, self.traces)
        release(made)
        if made.created or checks_nans:
            pass    # it makes Variables, so it runs once; or native dispatch must not find it
        elif compiled.signature.is_special:
            self.special.append(compiled)
        else:
            install(self.callable, compiled.specialisation)
        self.traces.append(record)
        return record

    def trace_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any],
                   shape: Callable[..., Any]) -> Trace:
        """The trace; arrays that are the same memory are one if the function writes them."""
        options = self.options
        check_declared(self.history.declared, args, kwargs, self.argument_names(args, kwargs))
        call = Call(self.original, args, kwargs, self.argument_names(args, kwargs), options.static, options.autograph,
                    options.returns)
        if options.autograph:
            require_source(self.original)
        decisions = Decisions()
        made = trace(call, shape, decisions)
        self.require_first_call(made)
        if made.written and overlap(made) is not None:
            call = Call(call.fn, args, kwargs, call.names, call.static, call.convert, call.returns, True)
            made = trace(call, shape, decisions)
            if (partial := overlap(made)) is not None:
                raise OverlapError(partial)
        return donate(made, options.donate)

    def require_first_call(self, made: Trace) -> None:
        """UnsupportedError if a later call than the first creates Variables."""
        if made.created and self.has_run:
            variable, span = made.created[0]
            raise UnsupportedError(
                f"{self.name} creates {variable.name} again", span=span,
                why="a compiled function may create Variables in its first call only; every call would get new ones",
                fix="keep it and create it once, `if self.w is None: self.w = tj.Variable(...)`, or create it outside")

    def argument_names(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
        """What each argument is called in paths."""
        positional = [self.names[i] if i < len(self.names) else f"args[{i - len(self.names)}]"
                      for i in range(len(args))]
        return [*positional, *kwargs]

    def report(self, record: explain.TraceRecord) -> None:
        """Debug output, and the warning when there are many traces."""
        debugging.report_trace(self.name, record)
        if len(self.traces) == config.retrace_limit + 1:
            reasons = "\n".join(f"  {r}" for t in self.traces[-5:] for r in t.reasons)
            warnings.warn(f"{self.name} was traced {len(self.traces)} times; the last reasons:\n{reasons}",
                          RetraceWarning, stacklevel=_caller_level())

    # What users ask

    def trace(self, /, *args: Any, **kwargs: Any) -> explain.TraceRecord:
        """Compiles for these arguments without running; arrays may be given as `tj.ArrayType("f32[n,784]")`."""
        from tracejit.api.samples import sample_arguments
        with self.lock:
            samples, sample_kwargs, declared = sample_arguments(args, kwargs, self.argument_names(args, kwargs))
            before, self.history.declared = self.history.declared, {**self.history.declared, **declared}
            try:
                return self.specialise(samples, sample_kwargs)
            finally:
                self.history.declared = before

    def find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> explain.TraceRecord | None:
        """The trace that takes this call."""
        from tracejit.api.admission import fits
        return next((r for r in reversed(self.traces) if fits(r.compiled, args, kwargs)), None)

    def stages(self, /, *args: Any, **kwargs: Any) -> Any:
        """The texts of every stage for these arguments (or of the newest trace)."""
        from tracejit.api.stages import Stages
        if not args and not kwargs and self.traces:
            return Stages(self.original, self.traces[-1].compiled)
        has_types = any(isinstance(leaf, ArrayType) for leaf in flatten((args, kwargs))[0])
        record = None if has_types else self.find(args, kwargs)
        return Stages(self.original, (record or self.trace(*args, **kwargs)).compiled)

    def explain(self) -> explain.Explanation:
        """Every trace, what caused it, and what it became."""
        return explain.Explanation(self.name, tuple(self.traces), tuple(self.plain.values()))

    def clear(self) -> None:
        """Forgets all traces."""
        from tracejit.xla_lite.runtime.dispatch import uninstall_all
        with self.lock:
            uninstall_all(self.callable)
            self.traces.clear()
            self.special.clear()
            self.plain.clear()
            self.history.calls.clear()


def function(fn: Any = None, *, autograph: bool = True, static: Any = (), donate: Any = (), signature: Any = None,
             precision: str = "default", device: str | None = None, returns: str = "like_inputs",
             name: str | None = None) -> Any:
    """Compiles `fn`: the first call of each signature traces it, later calls run native code.

    autograph: convert the source of user functions, so that globals and attributes are read at every call.
    static: names or positions of parameters that are part of the signature.  donate: parameters whose memory results
    may reuse.  signature: an ArrayType (or its text) for each parameter.  precision: "default" or "strict".
    returns: "like_inputs", "numpy" or "tensor".
    """
    if fn is None:
        return functools.partial(function, autograph=autograph, static=static, donate=donate, signature=signature,
                                 precision=precision, device=device, returns=returns, name=name)
    if isinstance(fn, (classmethod, staticmethod)):
        inner = function(fn.__func__, autograph=autograph, static=static, donate=donate, signature=signature,
                         precision=precision, device=device, returns=returns, name=name)
        return type(fn)(inner)
    if not callable(fn):
        raise UnsupportedTypeError(f"tj.function got a {type(fn).__name__}, which can't be called",
                                   fix="decorate a function: @tj.function")
    if returns == "tensor":
        import_module("tracejit.api.tensor")    # which is written with this function
    refuse_generators(fn)
    names = parameter_names(fn)
    options = make_options(fn, names, autograph, static, donate, signature, precision, device, returns, name)
    return make_function(State(fn, options, names=names))


def make_function(state: State) -> Any:
    """The callable of a state, with what users can ask it."""
    from tracejit.xla_lite.runtime.dispatch import make_callable
    made: Any = make_callable(state.slow, state)
    INLINED.setdefault(type(made), inlined)
    copyreg.pickle(type(made), _reduce)
    functools.update_wrapper(made, state.original, updated=())
    made.original, made.traces = state.original, state.traces
    made.explain, made.stages, made.trace, made.clear = state.explain, state.stages, state.trace, state.clear
    made.state = state
    state.callable = made
    state.history.declared = state.options.declared
    _states.add(state)
    return made


def _reduce(function: Any) -> str:
    """Pickles and copies as plain functions do: by name, as the same object."""
    return str(function.__qualname__)


def inlined(function: Any) -> Callable[..., Any]:
    """What a call of a compiled function inside a trace runs."""
    state: State = function if isinstance(function, State) else function.state
    original = state.original
    if state.options.autograph:
        return original
    return lambda *args, **kwargs: original(*args, **kwargs)


def require_source(fn: Any) -> None:
    """SourceUnavailableError for a Python function that can't be converted: its captured values would go stale."""
    try:
        python = python_function(fn)
    except SourceUnavailableError:
        return
    converted_code(python)


def overlap(made: Trace) -> str | None:
    """Which two arrays share memory although one of them is written; None if none do."""
    for written in made.written:
        for other in made.arrays:
            if other is not written and other.same_as is not written and written.data.size and other.data.size \
                    and np.may_share_memory(written.data, other.data):
                return f"{written.path} is written and shares memory with {other.path}"
    return None


def release(made: Trace) -> None:
    """Drops the values of the traced call, which nothing needs any more."""
    for array in made.arrays:
        array.data = None
    for number in made.numbers:
        number.data = None
    for input_ in inputs_of(made):
        if isinstance(input_, ObjectInput) and not input_.identical:
            input_.value = None


def call_key(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Kinds of all leaves of the arguments."""
    leaves, structure = flatten((args, dict(kwargs)))
    return str(structure), tuple([(x.dtype.str, x.ndim) if isinstance(x, np.ndarray) else type(x) for x in leaves])


def is_traced(value: Any) -> bool:
    return type(value) in (Array, Size) or type(value) in ARRAY_LIKE


def _caller_level() -> int:
    """How far up the user's frame is, for warnings."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and os.sep + "tracejit" + os.sep in frame.f_code.co_filename:
        frame, level = frame.f_back, level + 1
    return level


def _after_fork() -> None:
    """Locks that other threads of the parent held don't exist in the child."""
    for state in tuple(_states):
        state.lock = threading.RLock()


def _load_numpy() -> None:
    """Imports the implementations of NumPy functions by name: a front end, which this layer may not import."""
    import_module("tracejit.numpy.implementations")


def watch_calls(more: int) -> None:
    """While anything is looked for in all calls, native dispatch leaves them to `State.slow`."""
    from tracejit.xla_lite.runtime import host
    host.watch_calls(more)


LISTENERS["debug_nans"] = watch_calls
if config.debug_nans:
    watch_calls(1)
LOADERS.append(_load_numpy)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

__all__ = ["FunctionType", "MethodType", "State", "function", "make_function"]
