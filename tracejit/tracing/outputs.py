"""What a traced call gives back: its result as a tree, the arrays it wrote, the stores it left for after the call.

Flows in:  what the traced function returned, inputs, stores of the namespace.
Flows out: `Out` trees whose leaves are graph outputs, inputs or fixed objects.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL, I64
from tracejit.base.errors import InternalError, UnsupportedError
from tracejit.base.trees import TreeDef, flatten, node_type
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Value
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.building import lift
from tracejit.tracing.control.optional import Optional
from tracejit.tracing.control.queues import Queue, TracedQueue
from tracejit.tracing.control.rows import RunTimeList
from tracejit.tracing.control.schema import Leaf, Perhaps, Schema, Static, Text, Tree, build, leaves
from tracejit.tracing.host import Template
from tracejit.tracing.inputs import (
    ArrayInput,
    ContainerInput,
    Input,
    NumberInput,
    ObjectInput,
    Reader,
    is_dataclass_like,
)
from tracejit.tracing.namespace import TracingNamespace, is_deleted
from tracejit.tracing.sizes import Size
from tracejit.tracing.text import TracedText

FORMS = {"b": "bool", "i": "int", "f": "float", "c": "complex"}    # of weak scalars
_FLAG = Leaf(ArrayType(BOOL), "b", "python", False)
_LENGTH = Leaf(ArrayType(I64), "i", "python", False)


@dataclass(frozen=True, slots=True, eq=False)
class ComputedOut:
    """Graph output `index`. form: "array", "tensor", "scalar" (NumPy) or "bool int float complex" (Python)."""

    index: int
    form: str
    type: ArrayType


@dataclass(frozen=True, slots=True, eq=False)
class InputOut:
    """The very object of an input."""

    input: Input


@dataclass(frozen=True, slots=True, eq=False)
class ConstOut:
    """A fixed object."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class TreeOut:
    """A container. structure: its node without the children's structure."""

    structure: TreeDef
    items: tuple[Out, ...]


@dataclass(frozen=True, slots=True, eq=False)
class OptionalOut:
    """None where the output `missing` (a bool) is true, else `value`."""

    missing: ComputedOut | ColumnOut
    value: Out


@dataclass(frozen=True, slots=True, eq=False)
class ColumnOut:
    """One leaf of all items of a list: graph output `index`, items along its first axis. form: of one item's leaf."""

    index: int
    form: str
    type: ArrayType


@dataclass(frozen=True, slots=True, eq=False)
class RowsOut:
    """A list whose length only the run knows, or one for each item of another. item: what every item is made of, with
    columns as leaves.
    """

    length: ComputedOut | ColumnOut
    item: Out


@dataclass(frozen=True, slots=True, eq=False)
class TextOut:
    """Text made of values: `host.fill(template, values)`, with the values of `items` as NumPy has them."""

    template: Any
    items: tuple[ComputedOut | ColumnOut, ...]


Out = ComputedOut | InputOut | ConstOut | TreeOut | OptionalOut | ColumnOut | RowsOut | TextOut


def parts(out: Out) -> tuple[Out, ...]:
    """What stands right below `out`, in the order in which outputs are numbered."""
    match out:
        case TreeOut(items=items) | TextOut(items=items):
            return items
        case OptionalOut(missing=missing, value=value):
            return missing, value
        case RowsOut(length=length, item=item):
            return length, item
    return ()


def computed(out: Out | None) -> Iterator[ComputedOut | ColumnOut]:
    """The outputs of the graph that a value is made of, in order."""
    if isinstance(out, (ComputedOut, ColumnOut)):
        yield out
    for part in parts(out) if out is not None else ():
        yield from computed(part)


def replaced(out: Any, leaf: Callable[[Any], Any]) -> Any:
    """`out` with `leaf(part)` in place of each output of the graph, asked in order."""
    match out:
        case ComputedOut() | ColumnOut():
            return leaf(out)
        case TreeOut(structure=structure, items=items):
            return TreeOut(structure, tuple([replaced(item, leaf) for item in items]))
        case TextOut(template=template, items=items):
            return TextOut(template, tuple([replaced(item, leaf) for item in items]))
        case OptionalOut(missing=missing, value=value):
            return OptionalOut(replaced(missing, leaf), replaced(value, leaf))
        case RowsOut(length=length, item=item):
            return RowsOut(replaced(length, leaf), replaced(item, leaf))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class StoreOut:
    """Something assigned while tracing and done after the call.

    kind: "global" (holder: the dict), "cell" (the cell), "attribute" (an ObjectInput), "contents" (a ContainerInput).
    value: None deletes.
    """

    kind: str
    holder: Any
    name: str
    value: Out | None


class Writer:
    """Collects graph outputs; equal values are one output."""

    def __init__(self, reader: Reader, returns: str):
        self.reader = reader
        has_tensor = returns == "like_inputs" and any(a.holder is not np.ndarray for a in reader.arrays)
        self.returns = "tensor" if has_tensor else returns
        self.keeps_inputs = returns == "like_inputs"
        self.values: list[Value] = []
        self.computed: dict[tuple[int, str], ComputedOut] = {}    # by id of a tracer and form
        self.held: list[Array] = []     # those tracers, so that no other gets the id of one

    def add(self, array: Array, form: str) -> ComputedOut:
        """The tracer's content as one more output; the same tracer again is the same object in the result."""
        key = id(array), form
        if (known := self.computed.get(key)) is None:
            self.values.append(array.value)
            self.held.append(array)
            known = self.computed[key] = ComputedOut(len(self.values) - 1, form, array.type)
        return known

    def out(self, value: Any) -> Out:
        """The description of any returned value."""
        if type(value) is Optional:
            return self.optional(value)
        if type(value) is Array:
            return self.array(value)
        if type(value) is Size:
            return self.add(lift(value), "int")
        if type(value) is TracedText:
            return self.text(value)
        if (known := self.input_of(value)) is not None:
            return InputOut(known)
        if isinstance(value, (Queue, TracedQueue)):
            raise UnsupportedError("the function returns (or stores) a deque",
                                   why="compiled functions keep deques as lists", fix="return list(queue)")
        if isinstance(value, RunTimeList):
            return self.items(value)
        if type(value) is np.ndarray or type(value) in ARRAY_LIKE:
            return self.array(lift(value))
        node = None if isinstance(value, ModuleType) else node_type(value)
        if node is None or value is None:
            check_returnable(value)
            return ConstOut(value)
        children, meta = node.flatten(value)
        return TreeOut(TreeDef(type(value), meta), tuple([self.out(c) for c in children]))

    def text(self, value: TracedText) -> Out:
        """Text that is made when the call ends."""
        template = Template()
        made = template.cut(value)
        return TextOut(made, tuple([self.add(a, "scalar" if a.is_scalar else "array") for a in template.arrays]))

    def optional(self, value: Optional) -> Out:
        """None or a value. Where a variable without a value is one side, nobody reads it there."""
        if value.missing is not None:
            return self.out(value.value)
        return OptionalOut(self.add(value.flag, "bool"), self.out(value.value))

    def items(self, value: RunTimeList) -> Out:
        """A list that grows in native loops."""
        rows = value.rows()
        return RowsOut(self.add(rows.length, "int"), self.row(rows.item, iter(rows.columns)))

    def row(self, item: Schema, columns: Iterator[Array]) -> Out:
        """What items of this form are made of."""
        match item:
            case Leaf():
                return self.column(next(columns), item)
            case Tree(cls=cls, meta=meta) if issubclass(cls, RunTimeList):
                lengths = self.column(next(columns), _LENGTH)
                return RowsOut(lengths, ConstOut(None) if meta.form is None else self.row(meta.form, columns))
            case Tree(cls=cls, meta=meta, children=children):
                return TreeOut(TreeDef(cls, meta), tuple([self.row(c, columns) for c in children]))
            case Perhaps(inner=inner):
                missing = self.column(next(columns), _FLAG)
                return ConstOut(None) if inner is None else OptionalOut(missing, self.row(inner, columns))
            case Text():
                return self.text_row(item, [next(columns) for _ in leaves(item)])
            case Static(value=value):
                return self.out(value)
        raise InternalError(f"a list holds {item}")

    def text_row(self, item: Text, held: Sequence[Array]) -> Out:
        template = Template()
        made = template.cut(build(item, iter(held)))
        shown = [self.column(a, Leaf(a.type, None, "numpy", False)) for a in template.arrays]
        return TextOut(made, tuple(shown))

    def column(self, array: Array, leaf: Leaf) -> ColumnOut:
        self.values.append(array.value)
        form = "tensor" if self.returns == "tensor" else "array" if leaf.boxed or leaf.type.shape else "scalar"
        return ColumnOut(len(self.values) - 1, FORMS[leaf.weak] if leaf.weak else form, array.type)

    def input_of(self, value: Any) -> Input | None:
        """The input whose object this is: an object, or the traced copy of a container."""
        found = self.reader.objects.get(id(value)) or self.reader.containers.get(id(value))
        return found if isinstance(found, (ObjectInput, ContainerInput)) else None

    def array(self, array: Array) -> Out:
        """An input comes back as itself; anything else is a new array or scalar."""
        origin = array.origin
        if isinstance(origin, (ArrayInput, NumberInput)) and (
                self.keeps_inputs or isinstance(origin, ArrayInput) and (array.kind == "tensor") == (
                    self.returns == "tensor")):
            return InputOut(origin)
        if array.weak is not None:
            return self.add(array, FORMS[array.weak])
        if self.returns == "tensor":
            return self.add(array, "tensor")
        return self.add(array, "scalar" if array.is_scalar else "array")


def check_returnable(value: Any) -> None:
    """UnsupportedError for objects that would carry tracers, or be used up, out of the trace."""
    if hasattr(type(value), "__next__"):
        raise UnsupportedError(f"the function returns a {type(value).__name__}", why="an iterator would be used up by "
                               "the first call", fix="return a list or tuple of its items")
    held = [getattr(value, name, None) for cls in type(value).__mro__ for name in cls.__dict__.get("__slots__", ())]
    held += getattr(value, "__dict__", {}).values() if not isinstance(value, (type, ModuleType, FunctionType)) else []
    if any(type(leaf) in (Array, Size) for leaf in flatten(held)[0]):
        name = type(value).__qualname__
        raise UnsupportedError(
            f"the function returns (or stores) a {name}, which holds traced values",
            why="objects made in a compiled function can leave it only as containers",
            fix=f"make {name} a dataclass, or call tj.tree.register_node({name}, ...)")


def write_backs(reader: Reader) -> list[ArrayInput]:
    """The inputs whose memory was changed."""
    params = reader.context.root.graph.params
    return [a for a in reader.arrays if a.same_as is None and a.tracer.value is not params[a.param]]


def container_stores(reader: Reader, writer: Writer) -> list[StoreOut]:
    """Lists, dicts and dataclasses whose traced copy differs from what was read."""
    found = []
    for container in reader.containers.values():
        if isinstance(container.traced, RunTimeList):
            found.append(StoreOut("contents", container, "", writer.items(container.traced)))
        elif container.cls in (list, dict) and (changed := _contents(container)) is not None:
            items = tuple([writer.out(v) for v in changed.values()])
            found.append(StoreOut("contents", container, "", TreeOut(TreeDef(dict, tuple(changed)), items)))
        elif is_dataclass_like(container.cls, container.meta):
            found += [StoreOut("attribute", container, name, writer.out(getattr(container.traced, name)))
                      for name, before in zip(container.meta, container.original, strict=True)
                      if getattr(container.traced, name) is not before]
    return found


def _contents(container: ContainerInput) -> dict[Any, Any] | None:
    """The new contents by key, or None if nothing changed."""
    now: dict[Any, Any] = container.traced if container.cls is dict else dict(enumerate(container.traced))
    keys: Sequence[Any] = container.meta if container.cls is dict else range(len(container.original))
    same = len(now) == len(keys) and all(k is j or k == j for k, j in zip(now, keys, strict=True)) and all(
        a is b for a, b in zip(now.values(), container.original, strict=True))
    return None if same else now


def name_stores(namespace: TracingNamespace, writer: Writer) -> list[StoreOut]:
    """Assignments to globals, closure cells and attributes, in order."""
    return [StoreOut(kind, holder, name, None if is_deleted(value) else writer.out(value))
            for kind, holder, name, value in namespace.stored.values()]
