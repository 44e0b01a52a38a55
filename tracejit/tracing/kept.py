"""What an exception that leaves the function leaves behind: what was changed so far of what the caller can see.

Flows in:  the reader's arrays and containers and the namespace's stores, as they are where something fails.
Flows out: the state that failing ops hand over, each part with a number; at the end of the trace, for each number the
           output of the graph that gets it, and the stores (`LeftOut`) that are made of such outputs.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracejit.base.dtypes import BOOL
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant
from tracejit.tracing.context import TraceContext
from tracejit.tracing.control.schema import Leaf
from tracejit.tracing.inputs import ArrayInput, Reader
from tracejit.tracing.namespace import TracingNamespace
from tracejit.tracing.outputs import (
    ColumnOut,
    ComputedOut,
    ConstOut,
    InputOut,
    Out,
    StoreOut,
    TreeOut,
    Writer,
    computed,
    container_stores,
    name_stores,
    parts,
    replaced,
    write_backs,
)


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """A store that is done after a failure which keeps all `numbers`, in place of those of `Trace.stores`.

    flag: an output that says nothing, for a value that has none.
    """

    numbers: tuple[int, ...]
    store: StoreOut
    flag: ComputedOut | None = None

    @property
    def outs(self) -> tuple[Out, ...]:
        """What the store is made of."""
        found = (self.flag, self.store.value)
        return tuple([out for out in found if out is not None])


class _Noting(Writer):
    """Notes tracers in place of outputs: the index of an output is their place in `arrays`."""

    def __init__(self, reader: Reader, returns: str):
        super().__init__(reader, returns)
        self.arrays: list[Array] = []

    def add(self, array: Array, form: str) -> ComputedOut:
        self.arrays.append(array.snapshot())
        return ComputedOut(len(self.arrays) - 1, form, array.type)

    def column(self, array: Array, leaf: Leaf) -> ColumnOut:
        self.arrays.append(array.snapshot())
        return replace(super().column(array, leaf), index=len(self.arrays) - 1)


class Keeper:
    """Numbers what failures leave, in the order in which they meet it. arrays: arguments whose memory was changed.

    types: of each number.  stores: by what they assign and the form of the value, with their numbers.
    """

    def __init__(self, context: TraceContext, reader: Reader, namespace: TracingNamespace, returns: str):
        self.context, self.reader, self.namespace, self.returns = context, reader, namespace, returns
        self.types: list[ArrayType] = []
        self.arrays: dict[int, tuple[ArrayInput, int]] = {}
        self.stores: dict[Any, LeftOut] = {}

    # Where something fails

    def state(self) -> tuple[list[Array], tuple[int, ...]]:
        """What is changed now, and the numbers of its parts."""
        found, numbers = [], []
        for changed, content in self.contents():
            if changed.param not in self.arrays:
                self.arrays[changed.param] = changed, self.number(changed.type)
            found.append(content)
            numbers.append(self.arrays[changed.param][1])
        writer = _Noting(self.reader, self.returns)
        for store in (*name_stores(self.namespace, writer), *container_stores(self.reader, writer)):
            values = [writer.arrays[leaf.index] for leaf in computed(store.value)] or [constant(True, BOOL)]
            found += values
            numbers += self.left(store, values).numbers
        return found, tuple(numbers)

    def contents(self) -> Iterator[tuple[ArrayInput, Array]]:
        """Arrays of the caller whose content is another than it was, with that content."""
        known = write_backs(self.reader)
        for array in self.reader.arrays:
            if array.same_as is None and (array in known or self.context.rebindings):
                held = content = array.tracer.snapshot()
                for names in self.context.rebindings:
                    content = names.content_now(array.tracer, content)
                if array in known or content is not held:
                    yield array, content

    def number(self, type: ArrayType) -> int:
        self.types.append(type)
        return len(self.types) - 1

    def left(self, store: StoreOut, values: Sequence[Array]) -> LeftOut:
        """The store with its numbers: the same for all failures that leave a value of the same form there."""
        key = key_of(store)
        if (known := self.stores.get(key)) is None:
            known = self.stores[key] = LeftOut(tuple([self.number(v.type) for v in values]), store)
        return known

    # At the end of the trace

    def outputs(self, writer: Writer, stores: Sequence[StoreOut], written: Sequence[ArrayInput]
                ) -> tuple[dict[int, int], tuple[LeftOut, ...]]:
        """For each number its output, and the stores in terms of outputs. Those of `stores` serve where they fit; else
        there are outputs that only a failure sets. written: the arrays whose contents follow the outputs of `writer`.
        """
        final = {key_of(store): store for store in stores}
        kept: dict[int, int] = {}
        for key, left in self.stores.items():
            mine = [leaf.index for leaf in computed(final[key].value)] if key in final else []
            free = len(set(mine)) == len(left.numbers) and not set(mine) & set(kept.values()) \
                and not any(self.is_late(self.types[number]) for number in left.numbers)
            kept.update(zip(left.numbers, mine if free else self.hidden(left, writer), strict=True))
        made = tuple([placed(left, kept) for left in self.stores.values()])
        first = len(writer.values)
        kept.update((number, first + written.index(array)) for array, number in self.arrays.values())
        return kept, made

    def hidden(self, left: LeftOut, writer: Writer) -> list[int]:
        """Outputs that hold nothing unless a failure sets them, to an array of any size."""
        types = [self.types[number] for number in left.numbers]
        writer.values += [constant(0, t.dtype, (0,) * t.rank).value for t in types]
        return list(range(len(writer.values) - len(left.numbers), len(writer.values)))

    def is_late(self, type: ArrayType) -> bool:
        """Whether only the run knows the size."""
        return any(self.context.late_symbols(n) for n in type.shape)


def placed(left: LeftOut, outputs: Mapping[int, int]) -> LeftOut:
    """With outputs of the graph in place of numbers."""
    store, numbers = left.store, iter(left.numbers)
    value = replaced(store.value, lambda leaf: replace(leaf, index=outputs[next(numbers)]))
    flags = [ComputedOut(outputs[number], "bool", ArrayType(BOOL)) for number in numbers]
    return LeftOut(left.numbers, replace(store, value=value), next(iter(flags), None))


def key_of(store: StoreOut) -> Any:
    """Equal for stores of values of one form in one place."""
    return store.kind, id(store.holder), store.name, _form(store.value)


def _form(out: Out | None) -> Any:
    match out:
        case ComputedOut() | ColumnOut():
            return type(out), out.form, out.type
        case InputOut(input=input_):
            return InputOut, id(input_)
        case ConstOut(value=value):
            return type(value), repr(value) if type(value) in (int, float, str, bool) else id(value)
        case TreeOut(structure=structure, items=items):
            return structure, tuple(map(_form, items))
    return None if out is None else (type(out), *map(_form, parts(out)))
