"""Which sizes become symbols: an axis that had two different sizes does, axes that were always equal share one.

Flows in:  the shapes of the arrays of each traced call, by path.
Flows out: for the call that is traced, shapes with symbols. Sizes 0 and 1 stay numbers: they mean something else.
"""
from __future__ import annotations

from collections.abc import Mapping

from tracejit.base.dims import Dim, Size
from tracejit.base.types import ArrayType

_NAMES = "nmkpqrst"
Shape = tuple[int, ...]


class ShapeHistory:
    """The shapes of the calls that were traced so far. declared: types that the user fixed, by path."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Shape]] = []
        self.declared: Mapping[str, ArrayType] = {}

    def begin(self) -> ShapePlan:
        """The plan for one more call."""
        return ShapePlan(self)


class ShapePlan:
    """Shapes of one call, asked for while it is traced; the same answers at every attempt."""

    def __init__(self, history: ShapeHistory):
        self.history = history
        self.seen: dict[str, Shape] = {}
        self.symbols: dict[tuple[int | None, ...], str] = {}

    def shape(self, path: str, shape: Shape) -> tuple[Size, ...]:
        """The shape of the array at `path` with a symbol for each axis that varies."""
        self.seen[path] = shape
        declared = self.history.declared.get(path)
        if declared is not None:
            return tuple(Dim.symbol(n.as_symbol) if isinstance(n, Dim) and n.as_symbol and actual > 1 else actual
                         for n, actual in zip(declared.shape, shape, strict=True))
        return tuple([self.size(path, axis, n, len(shape)) for axis, n in enumerate(shape)])

    def size(self, path: str, axis: int, now: int, rank: int) -> Size:
        """A number while the axis never had another size above 1."""
        if now < 2 or not self.history.calls:
            return now
        before = [shape[axis] if shape is not None and len(shape) == rank else None
                  for shape in (call.get(path) for call in self.history.calls)]
        if all(n is None or n < 2 or n == now for n in before):
            return now
        key = (*before, now)
        name = self.symbols.get(key)
        if name is None:
            name = self.symbols[key] = self.fresh()
        return Dim.symbol(name)

    def fresh(self) -> str:
        """n, m, k, ..., n1, m1, ...; names of run-time sizes start with u, so they never collide."""
        number = len(self.symbols)
        taken = {s for t in self.history.declared.values() for s in t.symbols()}
        while True:
            name = _NAMES[number % len(_NAMES)] + (str(number // len(_NAMES)) if number >= len(_NAMES) else "")
            if name not in taken:
                return name
            number += 1

    def keep(self) -> None:
        """This call was traced: later calls are compared with it."""
        self.history.calls.append(dict(self.seen))
