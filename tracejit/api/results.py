"""The outputs of a trace as dispatch builds them, and what is done after the call.

Flows in:  `Out` trees and stores of a `Trace`, the signature.
Flows out: the runtime's output trees; `finish`, which rebuilds what dispatch can't and applies stores; `recover`, which
           applies those of a call that failed.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from tracejit.api.signature import Signature, reach
from tracejit.base.trees import LEAF, TreeDef, unflatten
from tracejit.tracing.host import fill
from tracejit.tracing.inputs import ArrayInput, ContainerInput, Input, NumberInput, ObjectInput
from tracejit.tracing.outputs import (
    ColumnOut,
    ComputedOut,
    ConstOut,
    InputOut,
    OptionalOut,
    Out,
    RowsOut,
    StoreOut,
    TextOut,
    TreeOut,
    computed,
    parts,
)
from tracejit.tracing.trace import Trace
from tracejit.xla_lite.interface import OutputPlace, OutputSizes
from tracejit.xla_lite.runtime import signature as rt

Setter = Callable[[Any, tuple[Any, ...]], None]


@dataclass(slots=True)
class Results:
    """order: for each graph output its position among the outputs that main writes, or None if it is not returned.

    parts: of the result and of each value that is stored, what it is rebuilt from leaves by; None if dispatch gives it.
    setters: what does each store, given its value and the roots.
    """

    trace: Trace
    signature: Signature
    order: dict[int, int] = field(default_factory=dict)
    parts: list[Out | None] = field(default_factory=list)
    setters: list[Setter] = field(default_factory=list)

    def __post_init__(self) -> None:
        for out in all_outs(self.trace):
            if out is not None:
                self._number(out)

    def _number(self, out: Out) -> None:
        if isinstance(out, (ComputedOut, ColumnOut)):
            self.order.setdefault(out.index, len(self.order))
        for part in parts(out):
            self._number(part)

    def places(self) -> list[OutputPlace]:
        """Where each graph output goes; written arrays come last."""
        kinds: dict[int, Any] = dict.fromkeys(self.order, "left")
        for out in (self.trace.result, *(s.value for s in self.trace.stores)):
            for leaf in computed(out):
                is_array = isinstance(leaf, ColumnOut) or leaf.form in ("array", "tensor")
                kinds[leaf.index] = "new" if is_array else "scalar"
        returned = [OutputPlace(kinds[i], self.order[i]) for i in range(len(self.order))]
        return returned + [OutputPlace("write_back", param=a.param) for a in self.trace.written]

    def build(self, sizes: OutputSizes) -> tuple[rt.OutNode, Callable[[Any], Any] | None, rt.OutNode | None]:
        """The output tree, what follows it, and the tree of a call that failed. sizes: of each graph output."""
        leaves, trace = _Leaves(self, sizes), self.trace
        outs = [trace.result, *(s.value for s in trace.stores)]
        self.parts = [None if out is None or self.is_native(out) else out for out in outs]
        self.setters = list(map(self.setter, trace.stores))
        nodes = [self.node(leaves, out, part) for out, part in zip(outs, self.parts, strict=True)]
        roots = rt.OutSeq(tuple, tuple([rt.OutRoot(i) for i in range(len(trace.roots))]))
        is_plain = len(nodes) == 1 and self.parts[0] is None
        outputs = nodes[0] if is_plain else rt.OutSeq(tuple, (*nodes, roots))
        left = [rt.OutSeq(tuple, tuple([leaf for out in one.outs for leaf in leaves.flat(out)])) for one in trace.left]
        return outputs, None if is_plain else self.finish, rt.OutSeq(tuple, (*left, roots)) if left else None

    def node(self, leaves: _Leaves, out: Out | None, part: Out | None) -> rt.OutNode:
        """What dispatch gives for a value: the value, or the leaves that it is rebuilt from."""
        if part is not None:
            return rt.OutSeq(tuple, tuple(leaves.flat(part)))
        return rt.OutConst(None) if out is None else leaves.native(out)

    def is_native(self, out: Out) -> bool:
        """Whether dispatch can build `out` by itself."""
        if isinstance(out, TreeOut):
            kind = out.structure.kind
            known = kind in (list, tuple, dict) or (kind is not None and issubclass(kind, tuple))
            return known and all(map(self.is_native, out.items))
        if isinstance(out, OptionalOut):
            return self.is_native(out.value)
        if isinstance(out, (RowsOut, TextOut)):
            return False
        if isinstance(out, InputOut):
            place = self.signature.places.get(id(out.input))
            return isinstance(out.input, (ArrayInput, NumberInput)) or (
                place is not None and not place[1] and not self.signature.packed)
        return True

    def finish(self, made: tuple[Any, ...]) -> Any:
        """The result of the call, after all stores."""
        roots = made[-1]
        result, *values = [found if part is None else self.rebuild(part, iter(found), roots)
                           for part, found in zip(self.parts, made)]
        for set_, value in zip(self.setters, values):
            set_(value, roots)
        return result

    def recover(self, numbers: Collection[int], made: tuple[Any, ...]) -> None:
        """The stores that were made before a failure which left `numbers`."""
        roots, todo = made[-1], []
        for left, found in zip(self.trace.left, made):
            if all(number in numbers for number in left.numbers):
                leaves = iter(found[left.flag is not None:])
                value = None if left.store.value is None else self.rebuild(left.store.value, leaves, roots)
                todo.append((left.store, value))
        for store, value in todo:
            self.setter(store)(value, roots)

    def rebuild(self, out: Out, leaves: Iterator[Any], roots: tuple[Any, ...]) -> Any:
        match out:
            case TreeOut(structure=structure, items=items):
                children = [self.rebuild(item, leaves, roots) for item in items]
                shape = TreeDef(structure.kind, structure.meta, (LEAF,) * len(children))
                return unflatten(shape, children)
            case OptionalOut(missing=missing, value=value):
                is_missing = self.rebuild(missing, leaves, roots)
                built = self.rebuild(value, leaves, roots)
                return None if is_missing else built
            case TextOut(template=template, items=held):
                return fill(template, [self.rebuild(item, leaves, roots) for item in held])
            case RowsOut(length=length, item=item):
                count = self.rebuild(length, leaves, roots)
                return list(self.items(item, count, leaves, roots))
            case InputOut(input=ObjectInput() | ContainerInput() as input_):
                return self.live(input_, roots)
            case ConstOut(value=value):
                return value
        return next(leaves)

    def items(self, item: Out, count: int, leaves: Iterator[Any], roots: tuple[Any, ...]) -> Iterable[Any]:
        """The items of a list, whose leaves come as columns."""
        match item:
            case ColumnOut(form=form):
                return _elements(next(leaves), form)
            case TreeOut(structure=structure, items=parts_):
                shape = TreeDef(structure.kind, structure.meta, (LEAF,) * len(parts_))
                columns = [self.items(part, count, leaves, roots) for part in parts_]
                rows: Iterable[tuple[Any, ...]] = zip(*columns, strict=True) if columns else [()] * count
                return rows if structure.kind is tuple else [unflatten(shape, row) for row in rows]
            case RowsOut(length=lengths, item=inner):
                counts = list(self.items(lengths, count, leaves, roots))
                flat = iter(self.items(inner, sum(counts), leaves, roots))
                return [list(islice(flat, n)) for n in counts]
            case OptionalOut(missing=missing, value=inner):
                flags = self.items(missing, count, leaves, roots)
                found = self.items(inner, count, leaves, roots)
                return [None if gone else one for gone, one in zip(flags, found, strict=True)]
            case TextOut(template=template, items=parts_):
                held = [self.items(part, count, leaves, roots) for part in parts_]
                made = zip(*held, strict=True) if held else [()] * count
                return [fill(template, row) for row in made]
        return [self.rebuild(item, leaves, roots)] * count

    def live(self, input_: Input, roots: tuple[Any, ...]) -> Any:
        """The object or container of an input in this call."""
        return reach(self.signature.places[id(input_)], roots)

    def setter(self, store: StoreOut) -> Setter:
        """What does one assignment (or deletion) that the traced code made."""
        holder, name, delete = store.holder, store.name, store.value is None
        if store.kind == "global":
            return lambda value, roots: _set_item(holder, name, value, delete)
        if store.kind == "cell":
            return (lambda value, roots: delattr(holder, "cell_contents")) if delete else (
                lambda value, roots: setattr(holder, "cell_contents", value))
        place = self.signature.places[id(holder)]
        if store.kind == "contents":
            return lambda value, roots: _replace(reach(place, roots), value)
        if delete:
            return lambda value, roots: delattr(reach(place, roots), name)
        number, steps = place
        if steps:
            return lambda value, roots: setattr(reach(place, roots), name, value)
        return lambda value, roots: setattr(roots[number], name, value)


class _Leaves:
    """Makes runtime output nodes; a graph output that was placed already is the same object again."""

    def __init__(self, results: Results, sizes: OutputSizes):
        self.results, self.sizes = results, sizes
        self.placed: set[int] = set()
        self.leaf_numbers = {id(input_): i for i, input_ in enumerate(results.signature.leaves)}

    def native(self, out: Out) -> rt.OutNode:
        match out:
            case ComputedOut():
                return self.computed(out)
            case InputOut(input=ArrayInput() | NumberInput() as input_):
                first = input_.same_as if isinstance(input_, ArrayInput) and input_.same_as is not None else input_
                return rt.OutInput(self.leaf_numbers[id(first)])
            case InputOut(input=input_):
                return rt.OutRoot(self.results.signature.places[id(input_)][0])
            case ConstOut(value=value):
                return rt.OutConst(value)
            case TreeOut(structure=structure, items=items):
                made = tuple(map(self.native, items))
                if structure.kind is dict:
                    return rt.OutDict(tuple(zip(structure.meta, made, strict=True)))
                assert structure.kind is not None
                return rt.OutSeq(structure.kind, made)
            case OptionalOut(missing=missing, value=value):
                return rt.OutOptional(self.flag(missing), self.native(value))
        raise AssertionError(f"unknown output {out}")

    def flat(self, out: Out) -> Iterator[rt.OutNode]:
        """The leaves that `rebuild` takes, in its order."""
        if isinstance(out, ColumnOut):
            yield self.computed(out)
        elif isinstance(out, ComputedOut) or (
                isinstance(out, InputOut) and isinstance(out.input, (ArrayInput, NumberInput))):
            yield self.native(out)
        for part in parts(out):
            yield from self.flat(part)

    def flag(self, out: Out) -> Any:
        """An OutPython("bool"), or a repeat of one."""
        return self.native(out)

    def computed(self, out: ComputedOut | ColumnOut) -> rt.OutNode:
        if out.index in self.placed:
            return rt.OutRepeat(self.results.order[out.index])
        self.placed.add(out.index)
        dtype = out.type.dtype.numpy
        if isinstance(out, ColumnOut) or out.form in ("array", "tensor"):
            made = rt.OutLate if self.sizes.late[out.index] else rt.OutArray
            return made(dtype, self.sizes.dims[out.index], out.form == "tensor")
        return rt.OutScalar(dtype) if out.form == "scalar" else rt.OutPython(out.form)  # type: ignore[arg-type]


def all_outs(trace: Trace) -> list[Out | None]:
    """The result, what is stored after the call, and what is stored after a failure."""
    return [trace.result, *(s.value for s in trace.stores), *(out for left in trace.left for out in left.outs)]


def _elements(column: np.ndarray[Any, Any], form: str) -> Iterable[Any]:
    """The items of one column: Python numbers, NumPy scalars, arrays of their own or views of the column's rows."""
    if form in ("bool", "int", "float", "complex"):
        items: list[Any] = column.tolist()
        return items
    return column if form == "scalar" else [column[i, ...] for i in range(len(column))]


def _set_item(holder: dict[str, Any], name: str, value: Any, delete: bool) -> None:
    if delete:
        del holder[name]
    else:
        holder[name] = value


def _replace(container: Any, contents: Any) -> None:
    """Gives a list or dict its new contents, by key or in order; it stays the same object."""
    if isinstance(container, list):
        container[:] = contents.values() if isinstance(contents, dict) else contents
        return
    for key in [k for k in container if k not in contents]:
        del container[key]
    container.update(contents)
