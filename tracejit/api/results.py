"""The outputs of a trace as dispatch builds them, and what is done after the call.

Flows in:  `Out` trees and stores of a `Trace`, the signature.
Flows out: the runtime's output tree; `finish`, which rebuilds what dispatch can't and applies stores, or None.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tracejit.api.signature import Signature, reach
from tracejit.base.trees import LEAF, TreeDef, unflatten
from tracejit.tracing.inputs import ArrayInput, ContainerInput, Input, NumberInput, ObjectInput
from tracejit.tracing.outputs import ComputedOut, ConstOut, InputOut, Out, StoreOut, TreeOut
from tracejit.tracing.trace import Trace
from tracejit.xla_lite.interface import OutputPlace
from tracejit.xla_lite.runtime import signature as rt

Dims = tuple[int | rt.Slot, ...]


@dataclass(slots=True)
class Results:
    """order: for each graph output its position among the outputs that main writes, or None if it is not returned."""

    trace: Trace
    signature: Signature
    order: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for out in (self.trace.result, *(s.value for s in self.trace.stores)):
            if out is not None:
                self._number(out)

    def _number(self, out: Out) -> None:
        if isinstance(out, ComputedOut):
            self.order.setdefault(out.index, len(self.order))
        elif isinstance(out, TreeOut):
            for item in out.items:
                self._number(item)

    def places(self) -> list[OutputPlace]:
        """Where each graph output goes; written arrays come last."""
        forms = dict.fromkeys(self.order, "array")
        for out in _computed(self.trace):
            forms[out.index] = out.form
        returned = [OutputPlace("new" if forms[i] in ("array", "tensor") else "scalar", self.order[i])
                    for i in range(len(self.order))]
        return returned + [OutputPlace("write_back", param=a.param) for a in self.trace.written]

    def build(self, dims: list[Dims], final: list[Dims | None]) -> tuple[rt.OutNode, Callable[[Any], Any] | None]:
        """The output tree and what follows it. dims, final: sizes of each graph output."""
        leaves = _Leaves(self, dims, final)
        result = self.trace.result
        if not self.trace.stores and self.is_native(result):
            return leaves.native(result), None
        outs = [result, *(s.value for s in self.trace.stores if s.value is not None)]
        flat = [leaf for out in outs for leaf in leaves.flat(out)]
        roots = [rt.OutRoot(i) for i in range(len(self.trace.roots))]
        return rt.OutSeq(tuple, (rt.OutSeq(tuple, tuple(flat)), rt.OutSeq(tuple, tuple(roots)))), self.finish

    def is_native(self, out: Out) -> bool:
        """Whether dispatch can build `out` by itself."""
        if isinstance(out, TreeOut):
            kind = out.structure.kind
            known = kind in (list, tuple, dict) or (kind is not None and issubclass(kind, tuple))
            return known and all(map(self.is_native, out.items))
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

    def rebuild(self, out: Out, leaves: Iterator[Any], roots: tuple[Any, ...]) -> Any:
        match out:
            case TreeOut(structure=structure, items=items):
                children = [self.rebuild(item, leaves, roots) for item in items]
                shape = TreeDef(structure.kind, structure.meta, (LEAF,) * len(children))
                return unflatten(shape, children)
            case InputOut(input=ObjectInput() | ContainerInput() as input_):
                return self.live(input_, roots)
            case ConstOut(value=value):
                return value
        return next(leaves)

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

    def __init__(self, results: Results, dims: list[Dims], final: list[Dims | None]):
        self.results, self.dims, self.final = results, dims, final
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
        raise AssertionError(f"unknown output {out}")

    def flat(self, out: Out) -> Iterator[rt.OutNode]:
        """The leaves that `rebuild` takes, in its order."""
        if isinstance(out, TreeOut):
            for item in out.items:
                yield from self.flat(item)
        elif isinstance(out, ComputedOut) or (
                isinstance(out, InputOut) and isinstance(out.input, (ArrayInput, NumberInput))):
            yield self.native(out)

    def computed(self, out: ComputedOut) -> rt.OutNode:
        if out.index in self.placed:
            return rt.OutRepeat(self.results.order[out.index])
        self.placed.add(out.index)
        dtype = out.type.dtype.numpy
        if out.form in ("array", "tensor"):
            return rt.OutArray(dtype, self.dims[out.index], self.final[out.index], out.form == "tensor")
        return rt.OutScalar(dtype) if out.form == "scalar" else rt.OutPython(out.form)  # type: ignore[arg-type]


def _computed(trace: Trace) -> Iterator[ComputedOut]:
    pending: list[Out | None] = [trace.result, *(s.value for s in trace.stores)]
    while pending:
        out = pending.pop()
        if isinstance(out, ComputedOut):
            yield out
        elif isinstance(out, TreeOut):
            pending += out.items


def _set_item(holder: dict[str, Any], name: str, value: Any, delete: bool) -> None:
    if delete:
        del holder[name]
    else:
        holder[name] = value


def _replace(container: Any, contents: dict[Any, Any]) -> None:
    """Gives a list or dict its new contents; it stays the same object."""
    if isinstance(container, list):
        container[:] = contents.values()
        return
    for key in [k for k in container if k not in contents]:
        del container[key]
    container.update(contents)
