"""Arrays whose size is known only in the region that made them, or is another on every way: they travel in a stack.

Flows in:  arrays at the end of a region, or before a loop.
Flows out: `Home.put`: the sizes, as scalars that a region gives; `Home.take`: the array again, where the region ended.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracejit.base.dims import Dim, product
from tracejit.base.dims import Size as AnySize
from tracejit.base.dtypes import I64, DType
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, emit, lift
from tracejit.tracing.context import current, inside

Sizes = tuple[AnySize | None, ...]      # None: the run tells


class Home:
    """A stack that one array is kept in while it goes from scope to scope. It is made when the function begins."""

    __slots__ = ("handle", "types")

    def __init__(self, dtype: DType):
        self.types = (ArrayType(dtype),)
        self.handle: Array | None = None

    def stack(self) -> Array:
        if self.handle is None:
            with inside(current().root):
                self.handle = emit("stack_new", types=self.types)
        return self.handle

    def put(self, array: Array, sizes: Sizes) -> list[Array]:
        """Keeps the elements; gives the sizes that `sizes` leaves open."""
        handle, shape = self.stack(), array.type.shape
        count = product(shape)
        emit("stack_truncate", handle, constant(0, I64), types=self.types)
        emit("stack_extend", handle, number(count), emit("reshape", array, shape=(count,)))
        return [number(n) for n, known in zip(shape, sizes, strict=True) if known is None]

    def take(self, numbers: Iterator[Array], sizes: Sizes) -> Array:
        """The array that was kept last."""
        shape = tuple([bound(next(numbers)) if n is None else n for n in sizes])
        type = ArrayType(self.types[0].dtype, (product(shape),))
        flat = emit("stack_array", self.stack(), constant(0, I64), field=0, types=self.types, type=type)
        made: Array = emit("reshape", flat, shape=shape)
        return made


def number(size: AnySize) -> Array:
    return convert(lift(size), I64)


def bound(count: Array) -> AnySize:
    """A size of its own with the value of `count`."""
    name = current().fresh_dim()
    emit("bind_dim", count, dim=name)
    return Dim.symbol(name)


def is_hidden(shape: Sequence[AnySize]) -> bool:
    """Whether a size was bound in a region that has ended."""
    context = current()
    return any(context.scope.fact(("bound", name)) is None for n in shape if isinstance(n, Dim)
               for name in context.late_symbols(n))


def merged(x: Sequence[AnySize | None], y: Sequence[AnySize | None]) -> Sizes:
    """The sizes of which both are known and equal, and that can be seen here."""
    return tuple([n if n == m and n is not None and not is_hidden((n,)) else None for n, m in zip(x, y, strict=True)])
