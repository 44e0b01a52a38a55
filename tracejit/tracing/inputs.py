"""What a trace reads from outside: arguments, globals, closure cells, attributes, each with its path.

Flows in:  live values of the call that is traced.
Flows out: tracers, and one `Input` per value: the tree that later calls are compared with.
"""
from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, WrapperDescriptorType
from typing import Any

import numpy as np

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import C128, F64, I64, dtype_of
from tracejit.base.errors import UnsupportedTypeError
from tracejit.base.trees import node_type
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.context import TraceContext
from tracejit.tracing.spans import current_span

NUMBERS = {int: ("i", I64), float: ("f", F64), complex: ("c", C128)}
_STATIC_TYPES = (bool, str, bytes, type(None), type, type(Ellipsis), type(NotImplemented), slice, range, frozenset,
                 np.dtype, np.ufunc, enum.Enum, FunctionType, BuiltinFunctionType, partial)
_BY_IDENTITY = (type, FunctionType, BuiltinFunctionType, partial, np.ufunc)
FIXED_CALLABLES: set[type] = set()  # written by layers above at import: classes whose instances are as functions
IN_TURNS: dict[type, str] = {}  # written by layers above at import: class -> its attribute that calls take turns on

ShapeFor = Callable[[str, tuple[int, ...]], tuple[Size, ...]]


@dataclass(slots=True, eq=False)
class Input:
    """One value read from outside. path: as one would write it, `params["w"][0]` or `self.lr`."""

    path: str


@dataclass(slots=True, eq=False)
class ArrayInput(Input):
    """An ndarray or Tensor. layout: "C" or "strided".  param: its graph parameter.  same_as: an earlier input that is
    the same memory.  tracer: what the trace saw.  data: the ndarray of the traced call, while it is traced."""

    type: ArrayType
    holder: Any
    layout: str
    param: int
    tracer: Array = field(repr=False)
    same_as: ArrayInput | None = None
    data: Any = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class NumberInput(Input):
    """A run-time scalar. kind: `i f c` for Python numbers, "numpy" for NumPy scalars. data: its value in the traced
    call, while it is traced."""

    kind: str
    type: ArrayType
    param: int
    tracer: Array
    data: Any = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class StaticInput(Input):
    """A value the trace is specialised to. identical: compared by identity, else by type and equality.

    concretized: it would be a run-time scalar, had Python not asked for its value.
    """

    value: Any
    identical: bool
    concretized: bool = False


@dataclass(slots=True, eq=False)
class ContainerInput(Input):
    """A list, tuple, dict, namedtuple, dataclass or registered class, with its structure.

    meta: what its node type says (keys, field names).  traced: the copy that the trace works on.
    """

    cls: type
    meta: Any
    children: list[Input]
    traced: Any = None
    original: list[Any] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class FrozenInput(Input):
    """A captured container of a class that dispatch can't look into: it must hold the very same objects, or equal
    numbers and texts; its arrays are read by reference."""

    cls: type
    meta: Any
    content: list[Any]


@dataclass(slots=True, eq=False)
class ObjectInput(Input):
    """An instance whose attributes are read one by one. value: the object; of a trace that is kept, only modules.

    identical: it must be this very one.
    """

    cls: type
    value: Any
    identical: bool
    attributes: dict[str, Input] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class SharedInput(Input):
    """An object or container that was read before by another path: it must be the very same again."""

    first: ObjectInput | ContainerInput


@dataclass(slots=True, eq=False)
class Root:
    """Where reading starts. kind: "parameter" (holder is its index), "global" (holder is the dict), "cell" (the cell).

    An object that is reached by no name is the content of a cell of its own.
    """

    kind: str
    holder: Any = field(repr=False)
    name: str
    input: Input


class Reader:
    """Makes tracers of live values; remembers which value is which input.

    shape_for(path, shape): the shape of an array with symbols for the axes that vary.
    aliases: arrays that are the same memory become one tracer; else each is read as its own (nothing may write them).
    """

    def __init__(self, context: TraceContext, shape_for: ShapeFor, aliases: bool = False):
        self.context, self.shape_for, self.aliases = context, shape_for, aliases
        self.in_arguments = True
        self.arrays: list[ArrayInput] = []
        self.numbers: list[NumberInput] = []
        self.containers: dict[int, ContainerInput] = {}     # by id of the traced copy
        self.copies: dict[int, ContainerInput] = {}         # by id of the user's container
        self.objects: dict[int, ObjectInput] = {}           # by id
        self.argument: Callable[[str, Any], Any] = lambda path, copy: copy     # what the trace works on
        self._memory: dict[Any, ArrayInput] = {}

    def read(self, value: Any, path: str) -> tuple[Input, Any]:
        """The input and what the traced code sees for it."""
        cls = type(value)
        if cls is np.ndarray or cls in ARRAY_LIKE:
            return self.array(value, path)
        if cls in NUMBERS:
            return self.number(value, path)
        if isinstance(value, np.generic):
            return self.numpy_scalar(value, path)
        if isinstance(value, np.ndarray):
            raise _subclass_error(cls, path)
        if value is None or isinstance(value, _STATIC_TYPES):
            return StaticInput(path, value, isinstance(value, _BY_IDENTITY)), value
        if cls is MethodType:
            return self.method(value, path), value
        if cls in (list, tuple, dict) or (node_type(value) is not None and not isinstance(value, ModuleType)):
            return self.container(value, path)
        if is_fixed_callable(cls):
            return StaticInput(path, value, True), value
        return self.object(value, path), value

    def static(self, value: Any, path: str) -> tuple[Input, Any]:
        """A value which the trace is specialised to, whatever it is."""
        has_equality: Any = type(value).__eq__
        by_value = isinstance(value, (int, float, complex, str, bytes, tuple, frozenset, np.generic, np.dtype))
        return StaticInput(path, value, not by_value and has_equality is object.__eq__), value

    def array(self, value: Any, path: str) -> tuple[Input, Any]:
        """An array argument. The same memory twice is one tracer."""
        cls = type(value)
        data = value if cls is np.ndarray else ARRAY_LIKE[cls](value)
        memory = (data.__array_interface__["data"][0], data.dtype.str, data.shape, data.strides)
        if self.aliases and data.size and (known := self._memory.get(memory)) is not None and known.holder is cls:
            made = ArrayInput(path, known.type, cls, known.layout, known.param, known.tracer, known, data)
            self.context.objects[id(value)] = value, known.tracer
            self.arrays.append(made)
            return made, known.tracer
        type_ = ArrayType(supported_dtype(data, path), self.resolved_shape(path, data.shape))
        tracer = Array(self.context.input(type_, path, False), self.context.root,
                       "numpy" if cls is np.ndarray else "tensor", boxed=True)
        tracer.writeable = bool(data.flags.writeable)
        layout = "C" if data.flags.c_contiguous else "strided"
        made = tracer.origin = ArrayInput(path, type_, cls, layout, len(self.context.root.graph.params) - 1, tracer)
        self.context.objects[id(value)] = value, tracer
        made.data = data
        self._memory[memory] = made
        self.arrays.append(made)
        return made, tracer

    def resolved_shape(self, path: str, shape: tuple[int, ...]) -> tuple[Size, ...]:
        """Sizes after this trace's decisions; symbols get today's sizes as hints."""
        planned = self.shape_for(path, shape)
        for size, actual in zip(planned, shape, strict=True):
            if isinstance(size, Dim):
                self.context.hints[str(size)] = actual
        return tuple([self.context.decisions.resolve(n) for n in planned])

    def number(self, value: Any, path: str) -> tuple[Input, Any]:
        """A Python int, float or complex: a run-time scalar unless Python asked for its value."""
        if path in self.context.decisions.static:
            return StaticInput(path, value, False, True), value
        weak, dtype = NUMBERS[type(value)]
        if weak == "i" and not -2**63 <= value < 2**63:
            return StaticInput(path, value, False), value
        type_ = ArrayType(dtype)
        tracer = Array(self.context.input(type_, path, True), self.context.root, "python", weak)
        made = tracer.origin = NumberInput(path, weak, type_, len(self.context.root.graph.params) - 1, tracer, value)
        self.numbers.append(made)
        return made, tracer

    def numpy_scalar(self, value: Any, path: str) -> tuple[Input, Any]:
        if path in self.context.decisions.static:
            return StaticInput(path, value, False, True), value
        type_ = ArrayType(supported_dtype(value, path))
        tracer = Array(self.context.input(type_, path, True), self.context.root)
        made = tracer.origin = NumberInput(path, "numpy", type_, len(self.context.root.graph.params) - 1, tracer, value)
        self.numbers.append(made)
        return made, tracer

    def container(self, value: Any, path: str) -> tuple[Input, Any]:
        """A pytree node: its children are read, the trace works on a copy."""
        if (known := self.copies.get(id(value))) is not None:
            return SharedInput(path, known), known.traced
        node = node_type(value)
        assert node is not None
        children, meta = node.flatten(value)
        if not self.in_arguments and not _is_plain(type(value), meta):
            content = list(children)
            seen = [self.context.capture(c) if type(c) is np.ndarray and self.context.capture else c for c in content]
            return FrozenInput(path, type(value), meta, content), node.unflatten(meta, seen)
        made = ContainerInput(path, type(value), meta, [])
        self.copies[id(value)] = made
        self.context.objects[id(value)] = value, None
        traced = []
        for i, child in enumerate(children):
            input_, seen = self.read(child, path + node.path(meta, i))
            made.children.append(input_)
            traced.append(seen)
        made.traced, made.original = self.argument(path, node.unflatten(meta, traced)), traced
        self.containers[id(made.traced)] = made
        return made, made.traced

    def data(self) -> dict[int, Any]:
        """The values of the traced call, by number of the parameter."""
        return {a.param: a.data for a in self.arrays} | {n.param: n.data for n in self.numbers}

    def object(self, value: Any, path: str) -> Input:
        """Any other object: its class (modules: itself) is guarded, attributes are read when the code reads them."""
        if (known := self.objects.get(id(value))) is not None:
            return SharedInput(path, known)
        made = self.objects[id(value)] = ObjectInput(path, type(value), value, isinstance(value, ModuleType))
        self.context.objects.setdefault(id(value), (value, None))
        return made


    def method(self, value: MethodType, path: str) -> ObjectInput:
        """A bound method: its function is guarded, its instance is an input."""
        made = ObjectInput(path, MethodType, value, False)
        made.attributes["__func__"] = StaticInput(f"{path}.__func__", value.__func__, True)
        made.attributes["__self__"] = self.read(value.__self__, f"{path}.__self__")[0]
        return made


def supported_dtype(array: Any, path: str) -> Any:
    """The element type of an argument. UnsupportedTypeError for object, string, time and structured arrays."""
    try:
        return dtype_of(array.dtype)
    except TypeError as error:
        raise UnsupportedTypeError(f"{path} has dtype {array.dtype}, which can't be compiled", why=str(error),
                                   fix=f"convert it before the call: {path}.astype(float)") from None


def is_fixed_callable(cls: type) -> bool:
    """Whether instances are callables into which tracing can't look, attribute by attribute: they are guarded whole."""
    call = next((c.__dict__["__call__"] for c in cls.__mro__ if "__call__" in c.__dict__), None)
    return cls in FIXED_CALLABLES or isinstance(call, WrapperDescriptorType)


def _is_plain(cls: type, meta: Any) -> bool:
    """Whether dispatch can look into such a container: exact dicts, lists, tuples of any class, dataclasses."""
    return cls is dict or issubclass(cls, (list, tuple)) or is_dataclass_like(cls, meta)


def is_dataclass_like(cls: type, meta: Any) -> bool:
    """Whether children are attributes named by `meta`."""
    return hasattr(cls, "__dataclass_fields__") and isinstance(meta, tuple)


def _subclass_error(cls: type, path: str) -> UnsupportedTypeError:
    name = f"{cls.__module__}.{cls.__qualname__}"
    return UnsupportedTypeError(
        f"{path} is a {name}, a subclass of ndarray", span=current_span(2),
        why="its methods may give NumPy functions another meaning, which compiled code would ignore",
        fix=f"pass np.asarray({path})" + (" and its mask as an array" if "MaskedArray" in name else ""))
