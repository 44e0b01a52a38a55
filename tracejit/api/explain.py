"""Why a function was traced again, and what each trace became.

Flows in:  the inputs of traces.
Flows out: reasons that name the argument or guard with its old and new value; `explain()`; debug output.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

from tracejit.api.memory import Memory, memory_of
from tracejit.api.signature import inputs_of
from tracejit.autograph.frames import span_of_code
from tracejit.autograph.policy import is_user_file
from tracejit.base.dims import Dim
from tracejit.base.spans import SourceSpan
from tracejit.ir.graph import Graph, Node
from tracejit.tracing.context import Decisions, SizeGuard
from tracejit.tracing.inputs import (
    ArrayInput,
    ContainerInput,
    FrozenInput,
    Input,
    NumberInput,
    ObjectInput,
    SharedInput,
    StaticInput,
)
from tracejit.tracing.trace import Trace

_PYTHON = {"i": "int", "f": "float", "c": "complex"}


@dataclass(frozen=True, slots=True)
class Description:
    """One input of a trace in words. what: "argument", "global", "captured variable" or "attribute".

    kind: array, number, static, structure or object.  facts: named properties, compared one by one.  identity: the id
    of an object that must be the very same.
    """

    what: str
    kind: str
    facts: tuple[tuple[str, str], ...]
    suffix: str = ""
    identity: int | None = None


@dataclass(slots=True, eq=False)
class TraceRecord:
    """One compiled specialisation. reasons: why it was needed."""

    number: int
    compiled: Any
    inputs: dict[str, Description]
    trace_seconds: float
    compile_seconds: float
    reasons: list[str] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        """As traced, before any pass."""
        graph: Graph = self.compiled.trace.graph
        return graph

    @property
    def host_calls(self) -> list[str]:
        """What runs in Python at every call."""
        nodes = nodes_of(self.compiled.executable.graph)
        return [str(n.attributes.get("name", n.op.name)) for n in nodes if n.op.name in _ON_HOST]

    @property
    def memory(self) -> Memory:
        """What is kept for the way back of derivatives, and what is computed again. Runs the passes once more."""
        has_derivatives = any(n.span is not None and n.span.derivative_of for n in nodes_of(self.graph))
        return memory_of(self.compiled.executable.fused) if has_derivatives else Memory()

    def text(self) -> str:
        """What `explain()` prints of this trace."""
        executable = self.compiled.executable
        cached = ", from the disk cache" if executable.from_cache else ""
        lines = [f"trace {self.number}: {', '.join(f'{p}: {signature_text(d)}' for p, d in self.inputs.items())}"]
        lines += [f"  because {reason}" for reason in self.reasons]
        lines.append(f"  one native call: {executable.num_kernels} kernels of {len(self.graph.nodes)} ops"
                     f"{temporaries_text(executable.temporaries)}; "
                     f"trace {self.trace_seconds * 1e3:.1f} ms, compile {self.compile_seconds * 1e3:.1f} ms{cached}")
        trace = self.compiled.trace
        lines += control_flow(trace.decisions)
        lines += [f"  guard {g.left} {g.relation} {g.right}" + (f" at {g.span}" if g.span else "")
                  for g in trace.size_guards]
        lines += [f"  writes {a.path}" for a in trace.written]
        lines += [f"  stores {store_text(s)} after the call" for s in trace.stores]
        lines += [f"  runs on the host: {name}" for name in self.host_calls]
        lines += self.memory.lines()
        return "\n".join([*lines, *(f"  note: {note}" for note in trace.notes)])

    def __repr__(self) -> str:
        return self.text()


def temporaries_text(size: str) -> str:
    """What lives between the kernels of a call, in a gradient also what the way back needs; nothing if nothing does."""
    if size == "0":
        return ""
    return f", {int(size):,} bytes of temporaries" if size.isdigit() else f", size of temporaries {size}"


_ON_HOST = ("host_call", "print", "on_host")


def control_flow(decisions: Decisions) -> list[str]:
    """What became of loops that are not native, and of `try` statements that the run must see, by line."""
    found = [(span, f"unrolled the loop at {span}: {n} round{'s' * (n != 1)}, few enough")
             for span, n in decisions.short.items() if span not in decisions.unrolled]
    found += [(span, f"unrolled the loop at {span}: {reason}") for span, reason in decisions.unrolled.items()]
    found += [(span, f"captured the try at {span}: the run may raise in it") for span in decisions.attempted]
    found.sort(key=lambda row: (row[0].file, row[0].line) if row[0] else ("", 0))
    return [f"  {text}" for _, text in found]


def nodes_of(graph: Graph) -> Iterator[Node]:
    """All nodes, those of regions behind the node that has them."""
    for node in graph.nodes:
        yield node
        for _, region in node.regions():
            yield from nodes_of(region)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Prints every trace with its reasons. plain: why some calls ran as plain Python."""

    name: str
    traces: tuple[TraceRecord, ...]
    plain: tuple[str, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """All reasons for traces after the first."""
        return [reason for record in self.traces[1:] for reason in record.reasons]

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.traces)} trace{'s' * (len(self.traces) != 1)}"]
        lines += [record.text() for record in self.traces]
        lines += [f"ran as plain Python: {reason}" for reason in self.plain]
        return "\n".join(lines)

    __repr__ = __str__


def descriptions(trace: Trace) -> dict[str, Description]:
    """The inputs by path."""
    words = {"positional": "argument", "keyword": "argument", "global": "global", "cell": "captured variable"}
    found = {}
    roots = {id(root.input): words[root.kind] for root in trace.roots}
    what = ""
    for input_ in inputs_of(trace):
        what = roots.get(id(input_), what)
        described = _describe(input_, trace)
        if described is not None:
            kind, facts, suffix = described
            last = input_.path.rsplit(".", 1)
            is_attribute = len(last) == 2 and last[1].isidentifier() and id(input_) not in roots
            identity = id(input_.value) if isinstance(input_, StaticInput) and input_.identical else None
            found[input_.path] = Description("attribute" if is_attribute else what, kind, facts, suffix, identity)
    return found


def _describe(input_: Input, trace: Trace) -> tuple[str, tuple[tuple[str, str], ...], str] | None:
    match input_:
        case ArrayInput(type=type_, holder=holder, layout=layout):
            facts = [("dtype", type_.dtype.numpy_name), ("rank", str(len(type_.shape))),
                     *((f"size of axis {i}", str(n)) for i, n in enumerate(type_.shape)),
                     ("layout", layout), ("class", holder.__name__)]
            if input_.same_as is not None:
                facts.append(("memory", f"that of {input_.same_as.path}"))
            return "array", tuple(facts), ""
        case NumberInput(kind=kind, type=type_):
            return "number", (("type", _PYTHON.get(kind) or type_.dtype.numpy_name),), ""
        case StaticInput(value=value, concretized=concretized):
            span = trace.decisions.spans.get(input_.path) if concretized else None
            asked = f" (Python needs its value{f' at {span}' if span else ''})" if concretized else ""
            return "static", (("value", short(value)), ("type", type(value).__name__)), asked
        case ContainerInput(cls=cls, meta=meta):
            return "structure", (("structure", f"{cls.__name__} {short(meta)}"),), ""
        case FrozenInput(cls=cls):
            return "structure", (("content", f"of {cls.__name__}"),), ""
        case ObjectInput(cls=cls):
            return "object", (("class", cls.__name__),), ""
        case SharedInput(first=first):
            return "object", (("object", f"that of {first.path}"),), ""
    return None


def reasons(new: TraceRecord, old: Sequence[TraceRecord]) -> list[str]:
    """What differs from the most similar earlier trace."""
    alike = [record for record in old if record.compiled.checks_nans == new.compiled.checks_nans]
    if old and not alike:
        return [f"tj.config.debug_nans is {'on' if new.compiled.checks_nans else 'off'}"]
    if not old:
        return ["it is the first call"]
    return min((differences(before, new) for before in reversed(alike)), key=_severity)


def _severity(found: Sequence[str]) -> int:
    """How different two traces are: another size is less than another rank."""
    weights = ((": size", 1), (": value", 2), (": layout", 2), (": dtype", 3), (": rank", 4), (" guard ", 1))
    return sum(next((weight for mark, weight in weights if mark in reason), 6) for reason in found)


def differences(old: TraceRecord, new: TraceRecord) -> list[str]:
    found = []
    for path, now in new.inputs.items():
        before = old.inputs.get(path)
        if before is None:
            if now.kind not in ("object",):
                found.append(f"{now.what} {path} is new: {signature_text(now)}")
        elif before != now:
            found += _changes(path, before, now, new, old)
    found += [f"{before.what} {path} is gone" for path, before in old.inputs.items()
              if path not in new.inputs and before.kind != "object"]
    if not found:
        kept = new.compiled.trace.size_guards
        found = [f"the guard {g.left} {g.relation} {g.right}{f' at {g.span}' if g.span else ''} does not hold"
                 f"{_changed_sizes(g, old, new)}" for g in old.compiled.trace.size_guards if g not in kept]
    return found or ["the arguments share memory, or a guard of an earlier trace does not hold"]


def _changed_sizes(guard: SizeGuard, old: TraceRecord, new: TraceRecord) -> str:
    """The sizes that a guard is about, as they were and as they are."""
    was, now = old.compiled.trace.hints, new.compiled.trace.hints
    names = {s for size in (guard.left, guard.right) if isinstance(size, Dim) for s in size.symbols()}
    texts = [f"{name} {was[name]} -> {now[name]}" for name in sorted(names & was.keys() & now.keys())]
    return f": {', '.join(texts)}" if texts else ""


def _changes(path: str, before: Description, now: Description, new: TraceRecord, old: TraceRecord) -> list[str]:
    if before.kind != now.kind:
        return [f"{now.what} {path} changed: {signature_text(before)} -> {signature_text(now)}{now.suffix}"]
    was = dict(before.facts)
    changed = [(name, was.get(name, "none"), value) for name, value in now.facts if was.get(name) != value]
    if not changed:
        return [f"{now.what} {path}: another object of the name {signature_text(now)}"]
    important = [c for c in changed if c[0] in ("dtype", "rank")] or changed
    if any(name == "rank" for name, _, _ in important):
        important = [c for c in important if not c[0].startswith("size")]
    return [f"{now.what} {path}: {name} {value_of(a, old)} -> {_new_value(b, new)}"
            f"{_asked_for(b, new) if name.startswith('size') else now.suffix}" for name, a, b in important]


def _new_value(text: str, record: TraceRecord) -> str:
    """A value; a symbol with the size that it has in the traced call."""
    hints = record.compiled.trace.hints
    return f"{hints[text]} (now symbolic: {text})" if text in hints else text


def _asked_for(text: str, record: TraceRecord) -> str:
    """Why a size that varies is a number all the same: the line that needed it."""
    decisions = record.compiled.trace.decisions
    name = next((n for n, size in decisions.sizes.items() if str(size) == text), None)
    if name is None:
        return ""
    span = decisions.spans.get(name)
    return f" (Python needs its value{f' at {span}' if span else ''})"


def value_of(text: str, record: TraceRecord) -> str:
    """A symbol with the size it had when it was traced."""
    hints = record.compiled.trace.hints
    return f"{text} ({hints[text]} when traced)" if text in hints else text


def signature_text(described: Description) -> str:
    """An input in short."""
    facts = dict(described.facts)
    if described.kind == "array":
        sizes = [v for k, v in described.facts if k.startswith("size")]
        return f"{facts['dtype']}[{','.join(sizes)}]" + ("" if facts["layout"] == "C" else " strided")
    return next(iter(facts.values()))


def store_text(store: Any) -> str:
    holder = getattr(store.holder, "path", "")
    return f"{holder}.{store.name}" if store.kind == "attribute" else holder or store.name


def short(value: Any) -> str:
    text = repr(value) if not callable(value) else getattr(value, "__qualname__", repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def span_of_traceback(traceback: TracebackType | None) -> SourceSpan | None:
    """The innermost user's line of an error."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if is_user_file(code.co_filename):
            found = span_of_code(code, traceback.tb_lasti)
        traceback = traceback.tb_next
    return found


Array = np.ndarray[Any, Any]
