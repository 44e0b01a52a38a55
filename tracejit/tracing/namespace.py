"""What converted code calls while it is traced.

Flows in:  operators of converted code, with tracers and Python values.
Flows out: implementations of NumPy functions, converted user functions, inputs for outer names and attributes; what is
           assigned to outer names and attributes is kept, and stored after the compiled call.
"""
from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from enum import Enum
from functools import partial
from types import BuiltinMethodType, CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tracejit.autograph import policy
from tracejit.autograph.load import converted_code
from tracejit.autograph.namespace import Scope
from tracejit.base.errors import RecursionLimitError, UnsupportedError
from tracejit.tracing.arrays import ARRAY_LIKE, Array, concretize_tests
from tracejit.tracing.builtins import BUILTINS, METHODS, attribute_function
from tracejit.tracing.context import TraceContext
from tracejit.tracing.control.displays import argument, met
from tracejit.tracing.control.operators import ControlFlow
from tracejit.tracing.control.optional import UNDEFINED, Optional, unwrapped
from tracejit.tracing.control.picking import is_position, pick, replace
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.control.several import Several, follow_store, refuse_deletion
from tracejit.tracing.implements import implementation
from tracejit.tracing.inputs import Input, ObjectInput, Reader, Root
from tracejit.tracing.sizes import Size
from tracejit.tracing.spans import current_span
from tracejit.tracing.text import call_text, is_text_method

INLINED: dict[type, Callable[[Any], Any]] = {}    # written by layers above: class of callables -> their function

_DEPTH = 100        # calls of one function inside itself
_DEPTH_IN_BRANCHES = 12     # from here on, the tests around are decided while tracing where they can be
_MISSING: Any = object()
# NumPy functions that make arrays out of plain Python values: the array may be changed later, so it is traced.
_CREATION = frozenset("""array asarray asanyarray ascontiguousarray asfortranarray zeros ones empty full arange linspace
    logspace geomspace eye identity zeros_like ones_like empty_like full_like tri tril triu diag diagflat meshgrid
    indices fromfunction atleast_1d atleast_2d atleast_3d copy""".split())
_SCALARS = (int, float, complex, bool, str, np.generic, np.dtype, type, type(None))
_QUIET_MODULES = ("numpy", "tracejit", "builtins", "math")


class TracingNamespace(ControlFlow):
    """Implements `Namespace` for one attempt at one trace."""

    def __init__(self, context: TraceContext, reader: Reader):
        super().__init__()
        self.context, self.reader = context, reader
        self.roots: list[Root] = []
        self.stored: dict[tuple[int, str], tuple[str, Any, str, Any]] = {}    # kind, holder, name, value
        self.plain_lists: dict[int, tuple[list[Any], Any]] = {}    # by id: lists that may grow, and their keys
        self.several: dict[int, Several] = {}           # by id: objects that stand for one of several
        self.choices: dict[int, list[Several]] = {}     # by id: what stands for an object among others
        self.following: set[int] = set()                # ids of objects to which a store is followed now
        self.shared: list[tuple[Any, Any, str, Any]] = []    # containers that others may be too, with their content
        self.watched: list[tuple[list[Any], list[Any], Callable[[], None]]] = []    # lists of which there are copies
        self.shared_lists: list[Any] = []      # native lists whose handles went where tracing can't follow
        reader.argument = partial(argument, self)
        self._loaded: dict[tuple[int, str], Any] = {}
        self._functions: dict[FunctionType, Callable[..., Any]] = {}

    # Calls

    def converted(self, function: FunctionType) -> Callable[..., Any]:
        made = self._functions.get(function)
        if made is None:
            made = self._functions[function] = super().converted(function)
            if made is function:
                self.note_unconverted(function)
            elif isinstance(made, FunctionType) and function.__defaults__:
                made.__defaults__ = tuple([self.default(v, function) for v in function.__defaults__])
        return made

    def note_unconverted(self, function: FunctionType) -> None:
        """A function without lines runs as it is. SourceUnavailableError if its lines are not what runs."""
        code = function.__code__
        if linecache.getlines(code.co_filename, function.__globals__):
            converted_code(function)
        if not code.co_name.startswith("__"):
            self.context.notes.append(f"{function.__qualname__} has no source and runs as it is while tracing: "
                                      "outer names and attributes that it reads are constants")

    def default(self, value: Any, function: FunctionType) -> Any:
        """A default value of a parameter: arrays, lists and dicts are inputs, everything else is part of the code."""
        if type(value) in (np.ndarray, list, dict) or type(value) in ARRAY_LIKE:
            return self.root_of(value, f"<default of {function.__name__}>")[1]
        return value

    def call(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        result = self.called(fn, args, kwargs)
        return met(self, result) if type(result) is list else result

    def called(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(type(a) is Optional for a in args) and not _holds_values(fn):
            args = args if policy.resolve(fn) is not None else tuple(map(unwrapped, args))
        special = _special(fn)
        if special is not None and (result := special(self, *args, **kwargs)) is not NotImplemented:
            return result
        if is_text_method(fn) and (result := call_text(fn, args, kwargs)) is not NotImplemented:
            return result
        function = None if getattr(fn, "__module__", None) == "builtins" else implementation(fn)
        if function is not None:
            return self.numpy_call(fn, function, args, kwargs)
        cls = fn.__class__
        if cls in INLINED:
            return self.called(INLINED[cls](fn), args, kwargs)
        if _is_numpy_random(fn):
            raise _random_error(fn)
        return self.enter(fn, args, kwargs)

    def numpy_call(self, fn: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A NumPy function: at once for Python values if its result can't be changed, else its implementation."""
        if not kwargs and all(isinstance(a, _SCALARS) for a in args) and fn.__name__ not in _CREATION:
            result = fn(*args)
            if not isinstance(result, np.ndarray):
                return result
        return function(*args, **kwargs)

    def enter(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """User functions are converted; everything else runs as it is over the tracers."""
        code = getattr(fn, "__code__", None) or getattr(getattr(fn, "__func__", None), "__code__", fn.__class__)
        depth = self.context.depth
        depth[code] = depth.get(code, 0) + 1
        if depth[code] == _DEPTH_IN_BRANCHES and self.context.tests:
            concretize_tests(self.context)
        if depth[code] > _DEPTH and code is not fn.__class__:
            raise recursion_error(fn)
        try:
            return super().call(fn, *args, **kwargs)
        finally:
            depth[code] -= 1

    # Outer names

    def load_global(self, scope: Scope, name: str, /) -> Any:
        namespace = scope.globals
        key = id(namespace), name
        if (stored := self.stored.get(key)) is not None:
            return self.present(stored[3], name)
        loaded = self._loaded.get(key, _MISSING)
        if loaded is _MISSING:
            if name not in namespace:
                return super().load_global(scope, name)
            loaded = self._loaded[key] = self.load_root("global", namespace, name, namespace[name])
        return loaded

    def load_free(self, scope: Scope, name: str, /) -> Any:
        cell = scope.cells[name]
        if (stored := self.stored.get((id(cell), ""))) is not None:
            return self.present(stored[3], name)
        loaded = self._loaded.get((id(cell), ""), _MISSING)
        if loaded is _MISSING:
            value = super().load_free(scope, name)
            loaded = self._loaded[id(cell), ""] = self.load_root("cell", cell, name, value)
        return loaded

    def load_root(self, kind: str, holder: Any, name: str, value: Any) -> Any:
        """Reads an outer name for the first time in this trace."""
        if isinstance(value, ModuleType) and _is_quiet(value):
            return value
        input_, seen = self.reader.read(value, name)
        self.roots.append(Root(kind, holder, name, input_))
        return seen

    def root_of(self, value: Any, path: str) -> tuple[Input, Any]:
        """Reads an object that is reached by no name: the content of a cell of its own."""
        input_, seen = self.reader.read(value, path)
        self.roots.append(Root("cell", CellType(value), path, input_))
        return input_, seen

    def store_global(self, scope: Scope, name: str, value: Any, /) -> Any:
        self.stored[id(scope.globals), name] = "global", scope.globals, name, value
        return value

    def store_free(self, scope: Scope, name: str, value: Any, /) -> Any:
        cell = scope.cells[name]
        self.stored[id(cell), ""] = "cell", cell, name, value
        return value

    def delete_global(self, scope: Scope, name: str, /) -> None:
        self.load_global(scope, name)
        self.stored[id(scope.globals), name] = "global", scope.globals, name, _MISSING

    def delete_free(self, scope: Scope, name: str, /) -> None:
        self.load_free(scope, name)
        cell = scope.cells[name]
        self.stored[id(cell), ""] = "cell", cell, name, _MISSING

    def present(self, value: Any, name: str) -> Any:
        if value is _MISSING:
            raise NameError(f"name {name!r} is not defined", name=name)
        return value

    # Attributes

    def load_attribute(self, obj: Any, name: str, /) -> Any:
        cls = obj.__class__
        if cls is Array or cls is Optional or cls is ModuleType and _is_quiet(obj):
            return getattr(obj, name)
        if (stored := self.stored.get((id(obj), "." + name))) is not None:
            if stored[3] is _MISSING:
                raise AttributeError(f"{cls.__name__!r} object has no attribute {name!r}", name=name, obj=obj)
            return stored[3]
        known = self.reader.objects.get(id(obj))
        if known is None and (cls is ModuleType or isinstance(obj, type) and _is_users_class(obj)):
            self.roots.append(Root("cell", CellType(obj), obj.__name__, self.reader.object(obj, obj.__name__)))
            known = self.reader.objects[id(obj)]
        if known is None or not _is_data(obj, name):
            found = super().load_attribute(obj, name)
            return found if type(found) is not Optional else self.set_attribute_of(found, cls, name)
        return self.load_input_attribute(known, name)

    def set_attribute_of(self, found: Optional, cls: type, name: str) -> Any:
        """An attribute that only some ways to here have set."""
        if found.missing is not UNDEFINED:
            return found
        return found.present("AttributeError", f"{cls.__name__!r} object has no attribute {name!r}")

    def load_input_attribute(self, known: ObjectInput, name: str) -> Any:
        """An attribute of an object from outside: an input of its own."""
        key = id(known.value), "." + name
        loaded = self._loaded.get(key, _MISSING)
        if loaded is _MISSING:
            value = getattr(known.value, name)
            if isinstance(value, ModuleType) and _is_quiet(value):
                return value
            input_, loaded = self.reader.read(value, f"{known.path}.{name}")
            known.attributes[name] = input_
            self._loaded[key] = loaded
        return loaded

    def store_attribute(self, value: Any, obj: Any, name: str, /) -> None:
        if id(obj) not in self.reader.objects or policy.property_setter(obj, name) is not None:
            super().store_attribute(value, obj, name)
            if policy.property_setter(obj, name) is None:
                follow_store(self, obj, name, value)
            return
        key = id(obj), "." + name
        if key not in self.stored and self._loaded.get(key, _MISSING) is value:
            return
        self.stored[key] = "attribute", self.reader.objects[id(obj)], name, value

    def delete_attribute(self, obj: Any, name: str, /) -> None:
        if id(obj) not in self.reader.objects:
            refuse_deletion(self, obj, name)
            super().delete_attribute(obj, name)
            return
        self.load_attribute(obj, name)
        self.stored[id(obj), "." + name] = "attribute", self.reader.objects[id(obj)], name, _MISSING

    def load_item(self, obj: Any, index: Any, /) -> Any:
        obj, index = unwrapped(obj), unwrapped(index)
        if attribute_function(obj, "__getitem__") is not None:
            return self.call(obj.__getitem__, index)
        if type(obj) in (list, tuple) and is_position(index):
            return pick(self, obj, index)
        return met(self, obj[index]) if type(obj) is list and type(index) is slice else obj[index]

    def store_item(self, value: Any, obj: Any, index: Any, /) -> None:
        obj, index = unwrapped(obj), unwrapped(index)
        if attribute_function(obj, "__setitem__") is not None:
            self.call(obj.__setitem__, index, value)
        elif type(obj) is list and is_position(index):
            replace(self, obj, index, value)
        else:
            obj[index] = value

    def outside(self, key: tuple[int, str], entry: tuple[str, Any, str, Any]) -> Any:
        kind, holder, name, _ = entry
        if kind == "attribute":
            return self.load_input_attribute(holder, name) if hasattr(holder.value, name) else _MISSING
        loaded = self._loaded.get(key, _MISSING)
        if loaded is not _MISSING:
            return loaded
        value = holder.get(name, _MISSING) if kind == "global" else _cell_content(holder)
        if value is not _MISSING:
            value = self._loaded[key] = self.load_root(kind, holder, name, value)
        return value


def _cell_content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def is_deleted(value: Any) -> bool:
    """Whether a store of `TracingNamespace.stored` is a deletion."""
    return value is _MISSING


def recursion_error(fn: Any) -> RecursionLimitError:
    """The error for a function that calls itself without end."""
    name = getattr(fn, "__qualname__", type(fn).__name__)
    return RecursionLimitError(
        f"{name} calls itself more than {_DEPTH} times while it is traced", span=current_span(2),
        why="every call is traced into its caller; the end of the recursion must not depend on traced values",
        fix="write the recursion as a loop, or make the argument that ends it static: "
            f"@tj.function(static={('n',)!r})")


def _special(fn: Any) -> Any:
    """What a builtin, or a method of one of Python's containers, does with traced values; None if it is no such."""
    found = _lookup(BUILTINS, fn)
    if found is None and fn.__class__ is BuiltinMethodType:
        method = METHODS.get((type(fn.__self__), fn.__name__))
        return None if method is None else lambda namespace, *args, **kw: method(namespace, fn.__self__, *args, **kw)
    return found


def _lookup(table: dict[Any, Any], key: Any) -> Any:
    try:
        return table.get(key)
    except TypeError:
        return None


def _is_quiet(module: ModuleType) -> bool:
    """Modules that nobody reassigns: their attributes are not guarded."""
    name = module.__name__.partition(".")[0]
    return name in _QUIET_MODULES or name in sys.stdlib_module_names or not policy.is_user_file(
        getattr(module, "__file__", None) or "<frozen ")


def _is_data(obj: Any, name: str) -> bool:
    """Whether `obj.name` is a value rather than a method or property of its class."""
    if isinstance(obj, ModuleType):
        return hasattr(obj, name)
    if isinstance(obj, type):
        return _is_plain_value(next((c.__dict__[name] for c in obj.__mro__ if name in c.__dict__), _MISSING))
    if name.startswith("__") and name.endswith("__"):
        return False
    instance = getattr(obj, "__dict__", None)
    if instance is not None and name in instance:
        return True
    for cls in type(obj).__mro__:
        if name in cls.__dict__:
            found = cls.__dict__[name]
            return _is_plain_value(found) or type(found).__name__ == "member_descriptor" and hasattr(obj, name)
    return False


def _is_plain_value(found: Any) -> bool:
    return found is not _MISSING and not callable(found) and not hasattr(type(found), "__get__")


def _is_users_class(cls: type) -> bool:
    """Whether attributes of the class itself may be settings that change: `Config.rate`."""
    module = sys.modules.get(cls.__module__)
    return policy.is_user_file(getattr(module, "__file__", None) or "<frozen ") and not issubclass(cls, Enum)


def _holds_values(fn: Any) -> bool:
    """Whether a function only puts what it is given into a list or dict."""
    return isinstance(getattr(fn, "__self__", None), (list, dict, RunTimeList)) and fn.__name__ in (
        "append", "insert", "setdefault")


def _is_numpy_random(fn: Any) -> bool:
    owner = getattr(fn, "__self__", None)
    return type(owner).__module__.startswith("numpy.random") if owner is not None else False


def _random_error(fn: Any) -> UnsupportedError:
    return UnsupportedError(
        f"numpy.random: {getattr(fn, '__name__', 'a generator')} can't be called in a compiled function",
        span=current_span(2), why="the numbers would be drawn once, while tracing, and repeated at every call",
        fix="draw the numbers outside and pass them as an argument")


TRACED = (Array, Size)


def is_traced(value: Any) -> bool:
    """Whether `value` is a tracer, a size, or a Tensor."""
    return isinstance(value, TRACED) or type(value) in ARRAY_LIKE
