"""The inputs of a trace as the signature that later calls are compared with.

Flows in:  roots of a `Trace`.
Flows out: runtime roots, the inputs in the order of their slots, where each input is reached from, and what native
           dispatch can't check (`Unusual`).
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import BF16
from tracejit.base.trees import node_type
from tracejit.tracing.arrays import ARRAY_LIKE
from tracejit.tracing.inputs import (
    ArrayInput,
    ContainerInput,
    FrozenInput,
    Input,
    NumberInput,
    ObjectInput,
    Root,
    SharedInput,
    StaticInput,
    is_dataclass_like,
)
from tracejit.tracing.trace import Trace
from tracejit.xla_lite.runtime import signature as rt

Step = Callable[[Any], Any]


@dataclass(slots=True)
class Signature:
    """roots: what dispatch checks.  leaves: the input of each leaf.  places: (root number, steps) of each input by id.

    compound: names given to sizes of leaves that are no single symbol, with the size they must equal.
    pairs: inputs that must be the same object or memory.  distinct: inputs that must not be the same object.
    packed: whether some argument has to be unpacked first.
    """

    roots: list[tuple[rt.Root, rt.Node]] = field(default_factory=list)
    leaves: list[Input] = field(default_factory=list)
    places: dict[int, tuple[int, tuple[Step, ...]]] = field(default_factory=dict)
    compound: dict[str, Size] = field(default_factory=dict)
    pairs: list[tuple[Input, Input]] = field(default_factory=list)
    distinct: list[tuple[Input, Input]] = field(default_factory=list)
    packed: bool = False

    @property
    def is_special(self) -> bool:
        """Whether native dispatch can't decide alone if a call fits."""
        return bool(self.pairs or self.distinct or self.packed)


def signature_of(trace: Trace) -> Signature:
    """The signature of all roots. Inputs of objects that were reached twice are checked once."""
    made = Signature()
    written = {id(a) for a in trace.written}
    for number, root in enumerate(trace.roots):
        made.roots.append((_runtime_root(root), _Builder(made, number, written).node(root.input, ())))
    for root in trace.roots:
        if isinstance(root.input, ObjectInput) and root.input.identical:
            made.roots.append((_runtime_root(root), rt.Same(root.input.value)))
    made.distinct = _distinct(trace)
    return made


def _distinct(trace: Trace) -> list[tuple[Input, Input]]:
    """Objects that the function changes, each with the others of its class: being the same object would matter."""
    changed = {id(s.holder): s.holder for s in trace.stores if isinstance(s.holder, (ObjectInput, ContainerInput))}
    if not changed:
        return []
    others = [i for i in inputs_of(trace) if isinstance(i, (ObjectInput, ContainerInput))]
    return [(one, other) for one in changed.values() for other in others
            if other is not one and other.cls is one.cls and not (id(other) in changed and id(other) < id(one))]


def _runtime_root(root: Root) -> rt.Root:
    match root.kind:
        case "positional":
            return rt.Positional(root.holder)
        case "keyword":
            return rt.Keyword(root.name)
        case "global":
            return rt.Global(root.holder, root.name)
    return rt.Cell(root.holder)


class _Builder:
    """Walks the input of one root."""

    def __init__(self, made: Signature, root: int, written: set[int]):
        self.made, self.root, self.written = made, root, written

    def node(self, input_: Input, steps: tuple[Step, ...]) -> rt.Node:
        self.made.places[id(input_)] = self.root, steps
        match input_:
            case ArrayInput():
                return self.array(input_)
            case NumberInput():
                self.made.leaves.append(input_)
                return _number_leaf(input_)
            case StaticInput(value=value, identical=identical):
                return rt.Same(value) if identical else rt.simplify(rt.Equal(value))
            case SharedInput(first=first):
                self.made.pairs.append((first, input_))
                return ANYTHING
            case ContainerInput():
                return self.container(input_, steps)
            case FrozenInput():
                return rt.Check(_same_content(input_), f"{input_.path} holds what it held")
            case ObjectInput():
                attributes = tuple((name, self.node(child, (*steps, attribute_step(name))))
                                   for name, child in input_.attributes.items())
                return rt.Object(input_.cls, attributes)
        raise AssertionError(f"unknown input {input_}")

    def array(self, input_: ArrayInput) -> rt.Node:
        if input_.same_as is not None:
            self.made.pairs.append((input_.same_as, input_))
            return ANYTHING
        self.made.leaves.append(input_)
        dims = tuple(map(self.dim, input_.type.shape))
        dtype = np.dtype(np.uint16) if input_.type.dtype is BF16 else input_.type.dtype.numpy
        return rt.ArrayLeaf(dtype, dims, "C" if input_.layout == "C" else "strided",
                            tensor=input_.holder is not np.ndarray, writable=id(input_) in self.written)

    def dim(self, size: Size) -> int | str:
        """A number, a symbol, or a new name for a polynomial, which a guard ties to its value."""
        if not isinstance(size, Dim):
            return size
        if size.as_symbol is not None:
            return size.as_symbol
        name = f"compound{len(self.made.compound)}"
        self.made.compound[name] = size
        return name

    def container(self, input_: ContainerInput, steps: tuple[Step, ...]) -> rt.Node:
        cls, children = input_.cls, input_.children
        if cls is dict:
            return rt.Dict(tuple((key, self.node(child, (*steps, item_step(key))))
                                 for key, child in zip(input_.meta, children, strict=True)))
        if issubclass(cls, (list, tuple)):
            return rt.Seq(cls, self.items(children, steps))
        if is_dataclass_like(cls, input_.meta):
            return rt.Object(cls, tuple((name, self.node(child, (*steps, attribute_step(name))))
                                        for name, child in zip(input_.meta, children, strict=True)))
        self.made.packed = True
        head = rt.simplify(rt.Equal((cls.__module__, cls.__qualname__, repr(input_.meta))))
        return rt.Seq(tuple, (head, *self.items(children, steps, 1)))

    def items(self, children: list[Input], steps: tuple[Step, ...], offset: int = 0) -> tuple[rt.Node, ...]:
        return tuple(self.node(child, (*steps, item_step(i + offset))) for i, child in enumerate(children))


ANYTHING = rt.Check(lambda value: True, "checked together with another argument")


def attribute_step(name: str) -> Step:
    return lambda value: getattr(value, name)


def item_step(key: Any) -> Step:
    return lambda value: value[key]


def reach(place: tuple[int, tuple[Step, ...]], roots: Any) -> Any:
    """The live object of an input, from the live objects of the roots."""
    number, steps = place
    value = roots[number]
    for step in steps:
        value = step(value)
    return value


def _number_leaf(input_: NumberInput) -> rt.Node:
    match input_.kind:
        case "i":
            return rt.IntLeaf()
        case "f":
            return rt.FloatLeaf()
        case "c":
            return rt.ComplexLeaf()
    return rt.ScalarLeaf(input_.type.dtype.numpy)


def _same_content(input_: FrozenInput) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        node = node_type(value)
        if type(value) is not input_.cls or node is None:
            return False
        children, meta = node.flatten(value)
        found = list(children)
        return bool(meta == input_.meta) and len(found) == len(input_.content) and all(
            a is b or (isinstance(b, (int, float, complex, str)) and rt.typed_key(a) == rt.typed_key(b))
            for a, b in zip(found, input_.content, strict=True))
    return test


def unpack(value: Any) -> Any:
    """An argument with containers of unknown classes as tuples, their class and meta in front."""
    cls = type(value)
    if cls is dict:
        return {key: unpack(child) for key, child in value.items()}
    if cls is list:
        return [unpack(child) for child in value]
    if cls is tuple:
        return tuple([unpack(child) for child in value])
    if cls is np.ndarray or cls in ARRAY_LIKE or value is None or (node := node_type(value)) is None:
        return value
    children, meta = node.flatten(value)
    if isinstance(value, tuple):
        return cls(*[unpack(child) for child in value])
    if is_dataclass_like(cls, meta):
        return value
    return ((cls.__module__, cls.__qualname__, repr(meta)), *[unpack(child) for child in children])


def inputs_of(trace: Trace) -> Iterator[Input]:
    """All inputs of a trace, parents first."""
    pending = [root.input for root in reversed(trace.roots)]
    while pending:
        input_ = pending.pop()
        yield input_
        if isinstance(input_, ContainerInput):
            pending += reversed(input_.children)
        elif isinstance(input_, ObjectInput):
            pending += reversed(list(input_.attributes.values()))
