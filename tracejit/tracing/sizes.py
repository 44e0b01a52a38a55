"""`Size`: a symbolic dimension as Python code sees it, an int whose value is only a hint.

Flows in:  a `Dim` and the trace's hints (the sizes of the call that is traced).
Flows out: ints and `Size`s; comparisons that were decided by the hint become size guards of the trace.
"""
from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracejit.base.dims import Dim, dim_function
from tracejit.base.dims import Size as AnySize
from tracejit.ir.graph import Value
from tracejit.tracing.context import current

_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {    # fixed table
    "EQ": operator.eq, "NE": operator.ne, "LT": operator.lt, "LE": operator.le, "GT": operator.gt, "GE": operator.ge}


class Size:
    """An int-like symbolic size. Arithmetic with ints and sizes stays symbolic; the rest of Python sees the hint.

    A comparison is decided by the hint and guarded. `int(n)`, `range(n)` and indexing of lists make the size static.
    """

    __slots__ = ("dim",)

    def __init__(self, dim: Dim):
        self.dim = dim

    def __add__(self, other: Any) -> Any: return _apply(operator.add, self, other)
    def __radd__(self, other: Any) -> Any: return _apply(operator.add, other, self)
    def __sub__(self, other: Any) -> Any: return _apply(operator.sub, self, other)
    def __rsub__(self, other: Any) -> Any: return _apply(operator.sub, other, self)
    def __mul__(self, other: Any) -> Any: return _apply(operator.mul, self, other)
    def __rmul__(self, other: Any) -> Any: return _apply(operator.mul, other, self)
    def __floordiv__(self, other: Any) -> Any: return _divide("floordiv", self, other)
    def __rfloordiv__(self, other: Any) -> Any: return _divide("floordiv", other, self)
    def __mod__(self, other: Any) -> Any: return _divide("mod", self, other)
    def __rmod__(self, other: Any) -> Any: return _divide("mod", other, self)
    def __neg__(self) -> Any: return sized(-self.dim)
    def __pos__(self) -> Size: return self
    def __abs__(self) -> Size: return self

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __pow__(self, other: Any) -> Any:
        if type(other) is int and 0 <= other <= 4:
            result: Any = 1
            for _ in range(other):
                result = result * self
            return result
        return _as_scalar(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any: return _as_scalar(operator.pow, other, self)
    def __truediv__(self, other: Any) -> Any: return _as_scalar(operator.truediv, self, other)
    def __rtruediv__(self, other: Any) -> Any: return _as_scalar(operator.truediv, other, self)

    def __eq__(self, other: object) -> Any: return _compare("EQ", self, other)
    def __ne__(self, other: object) -> Any: return _compare("NE", self, other)
    def __lt__(self, other: Any) -> Any: return _compare("LT", self, other)
    def __le__(self, other: Any) -> Any: return _compare("LE", self, other)
    def __gt__(self, other: Any) -> Any: return _compare("GT", self, other)
    def __ge__(self, other: Any) -> Any: return _compare("GE", self, other)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __index__(self) -> int:
        return current().concrete_size(self.dim)

    __int__ = __index__

    def __float__(self) -> float:
        return float(self.__index__())

    def __hash__(self) -> int:
        return hash(self.__index__())

    def __round__(self, digits: int | None = None) -> Size:
        return self

    def __repr__(self) -> str:
        return str(self.dim)

    def __format__(self, spec: str) -> str:
        return format(self.__index__(), spec)

    # How NumPy hands a foreign scalar in an operation over to us: array ufuncs defer to the reflected operator.
    __array_ufunc__ = None


def sized(size: AnySize) -> Any:
    """A size of a type as Python code should see it: int stays int."""
    return Size(size) if isinstance(size, Dim) else size


def size_of(value: Any) -> AnySize | None:
    """The size that `value` is: int, `Size`, NumPy integer; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is Size:
        return value.dim
    if isinstance(value, Dim):
        return value
    if isinstance(value, (bool, float, complex, str, bytes)) or hasattr(value, "__array_ufunc__") and (
            not hasattr(value, "__index__") or getattr(value, "shape", None) != ()):
        return None
    return None if not _is_numpy_integer(value) else int(value)


def same_size(x: AnySize, y: AnySize) -> bool:
    """Whether two sizes are equal. Where today's sizes decide, the trace is specialised to the answer."""
    if x is y or x == y:
        return True
    if isinstance(x, int) and isinstance(y, int):
        return False
    return current().equal_sizes(x, y)


# ---- what is known of traced ints ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeclaredRange:
    """A traced int is one of range(lower, upper, step). depth: of its scope; inner loops are
    deeper."""

    lower: Any
    upper: Any
    step: int
    depth: int


def declare_range(index: Value, lower: Any, upper: Any, step: int = 1) -> None:
    """Says in the running scope that `index`, the parameter of a loop's body, is one of range(lower, upper, step).

    lower, upper: ints, sizes or traced ints of this scope or one around it.  Indices then need fewer checks.
    """
    facts = current().scope.facts
    facts["range", index] = DeclaredRange(lower, upper, step, _depth_of_scope())


def declared_range(index: Value) -> DeclaredRange | None:
    """What was declared of `index` in this scope or one around it."""
    found: DeclaredRange | None = current().scope.fact(("range", index))
    return found


def _depth_of_scope() -> int:
    depth, scope = 0, current().scope
    while scope.parent is not None:
        depth, scope = depth + 1, scope.parent
    return depth


def _is_numpy_integer(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and getattr(dtype, "kind", "") in "iu" and hasattr(type(value), "__index__") \
        and type(value).__module__ == "numpy"


def _apply(operation: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    left, right = size_of(x), size_of(y)
    if left is None or right is None:
        return _as_scalar(operation, x, y)
    return sized(operation(left, right))


def _divide(name: str, x: Any, y: Any) -> Any:
    left, right = size_of(x), size_of(y)
    if left is None or right is None:
        return _as_scalar(operator.floordiv if name == "floordiv" else operator.mod, x, y)
    if right == 0:
        raise ZeroDivisionError("integer division or modulo by zero")
    return sized(dim_function(name, left, right))


def _compare(relation: str, x: Size, y: Any) -> Any:
    other = size_of(y)
    if other is None:
        if isinstance(y, float):
            return _compare_float(relation, x, y)
        if y is None or isinstance(y, (str, bytes, tuple, list)):
            return NotImplemented
        return _as_scalar(_RELATIONS[relation], x, y)
    difference = x.dim - other
    if isinstance(difference, int):
        return _RELATIONS[relation](difference, 0)
    hint = current().hint(difference)
    if hint is None:
        return _as_scalar(_RELATIONS[relation], x, y)
    holds = _RELATIONS[relation](hint, 0)
    current().guard_size(x.dim, relation if holds else _NEGATED[relation], other)
    return holds


def _compare_float(relation: str, x: Size, y: float) -> Any:
    """n < 2.5: decided for the int at or above, or for the exact value."""
    if y.is_integer():
        return _compare(relation, x, int(y))
    if relation in ("EQ", "NE"):
        return relation == "NE"
    if y != y or y in (float("inf"), float("-inf")):
        return _RELATIONS[relation](0.0, y)
    return _compare("LE" if relation in ("LT", "LE") else "GT", x, int(y // 1))


def _as_scalar(operation: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """The operation on a traced int scalar in the place of each size."""
    lift = current().lift_size
    return operation(lift(x.dim) if type(x) is Size else x, lift(y.dim) if type(y) is Size else y)


_NEGATED = {"EQ": "NE", "NE": "EQ", "LT": "GE", "GE": "LT", "GT": "LE", "LE": "GT"}
