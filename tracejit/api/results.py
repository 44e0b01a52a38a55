"""The outputs of a trace as dispatch builds them, and what is done after the call.

Flows in:  `Out` trees and stores of a `Trace`, the signature.
Flows out: the runtime's output tree; `finish`, which rebuilds what dispatch can't and applies stores, or None.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Results:
    """order: for each graph output its position among the outputs that main writes, or None if it is not returned.

    starts: of each store of a failure, where its leaves begin among all.
    """

    trace: Trace
    signature: Signature
    order: dict[int, int] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)

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

    def build(self, sizes: OutputSizes) -> tuple[rt.OutNode, Callable[[Any], Any] | None]:
        """The output tree and what follows it. sizes: of each graph output."""
        leaves = _Leaves(self, sizes)
        result = self.trace.result
        if not self.trace.stores and not self.trace.left and self.is_native(result):
            return leaves.native(result), None
        outs = [result, *(s.value for s in self.trace.stores if s.value is not None)]
        flat = [leaf for out in outs for leaf in leaves.flat(out)]
        for left in self.trace.left:
            self.starts.append(len(flat))
            flat += [leaf for out in left.outs for leaf in leaves.flat(out)]
        roots = [rt.OutRoot(i) for i in range(len(self.trace.roots))]
        return rt.OutSeq(tuple, (rt.OutSeq(tuple, tuple(flat)), rt.OutSeq(tuple, tuple(roots)))), self.finish

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

    def finish(self, made: tuple[tuple[Any, ...], tuple[Any, ...]]) -> Any:
        """The result of the call, after all stores."""
        leaves, roots = iter(made[0]), made[1]
        result = self.rebuild(self.trace.result, leaves, roots)
        values = [None if s.value is None else self.rebuild(s.value, leaves, roots) for s in self.trace.stores]
        for store, value in zip(self.trace.stores, values, strict=True):
            self.apply(store, value, roots)
        return result

    def recover(self, numbers: Collection[int], made: tuple[tuple[Any, ...], tuple[Any, ...]]) -> None:
        """The stores that were made before a failure which left `numbers`."""
        roots, todo = made[1], []
        for left, start in zip(self.trace.left, self.starts, strict=True):
            if all(number in numbers for number in left.numbers):
                leaves = iter(made[0][start + (left.flag is not None):])
                value = None if left.store.value is None else self.rebuild(left.store.value, leaves, roots)
                todo.append((left.store, value))
        for store, value in todo:
            self.apply(store, value, roots)

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

    def apply(self, store: StoreOut, value: Any, roots: tuple[Any, ...]) -> None:
        """One assignment (or deletion) that the traced code made."""
        delete = store.value is None
        match store.kind:
            case "global":
                _set_item(store.holder, store.name, value, delete)
            case "cell":
                if delete:
                    del store.holder.cell_contents
                else:
                    store.holder.cell_contents = value
            case "attribute":
                owner = self.live(store.holder, roots)
                delattr(owner, store.name) if delete else setattr(owner, store.name, value)
            case "contents":
                _replace(self.live(store.holder, roots), value)


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
