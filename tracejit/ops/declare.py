"""The vocabulary that op declarations are written in: the kinds of op, and what follows from each.

Flows in:  the facts that only the author of an op knows: accepted dtypes, meaning, scalar code, index maps.
Flows out: `Op` records in `OPS`. `Op.lower` by kind, all that code generators know of an op:

  pointwise    lower(b, *scalars, **attributes) -> scalar; scalars have compute dtypes (f32 for f16 and bf16)
  source       lower(b, index, **attributes) -> scalar; index: i64 scalars of b, one per output axis
  reduction    `Combine`
  cumulative   `Combine`
  view         lower(index, source_shape, target_shape, **attributes) -> operand index, or `Piecewise`
  gather       `GatherRule`
  scatter      `ScatterRule`
  contraction  lower(index, k, lhs_rank, rhs_rank, **attributes) -> (lhs index, rhs index); sums products over k;
               convolution without the ranks
  window       None: each is a routine of its own over the windows that its attributes describe
  library control effect   None: each is a routine of its own
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, COMPLEXES, DTYPES, F64, FLOATS, I64, INTEGERS, DType
from tracejit.base.errors import DtypeError, ShapeError, TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.op import Case, Op, register

BOOLEAN = frozenset({BOOL})
INTEGER = frozenset(INTEGERS)
FLOAT = frozenset(FLOATS)
COMPLEX = frozenset(COMPLEXES)
BITS = BOOLEAN | INTEGER
REAL = INTEGER | FLOAT
INEXACT = FLOAT | COMPLEX
NUMBER = REAL | COMPLEX
ORDERED = BOOLEAN | REAL
ANY = frozenset(DTYPES.values())

SHAPES: tuple[tuple[int, ...], ...] = ((2, 3), (), (3,), (1, 3), (0, 2))     # matrix, scalar, vector, unit, empty

TestAttributes = Sequence[Mapping[str, Any]] | Callable[[DType], Sequence[Mapping[str, Any]]]
Index = tuple[Any, ...]    # of ints, Dims or index expressions of an engine: + - * // % work


# ---- lowering facts --------------------------------------------------------------------------------------------


def _own_state(dtype: DType) -> tuple[DType, ...]:
    return (dtype.compute,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combine:
    """How a reduction or cumulative op folds: associative up to rounding, so that any tree is allowed.

    identity(dtype) -> start values, one Python number per part of the state.
    combine(b, acc, x) -> state; acc and x are tuples of scalars; x is an item or another partial state.
    state(dtype) -> the dtype of each part, compute dtypes.
    takes_position: items are (value, position along the axis as i64) instead of (value,).
    result: which part is the answer.
    """

    identity: Callable[[DType], tuple[Any, ...]]
    combine: Callable[[Any, tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]
    state: Callable[[DType], tuple[DType, ...]] = _own_state
    takes_position: bool = False
    result: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds where `low <= index[axis] < high` and `(index[axis] - low) % step == 0`."""

    axis: int
    low: Size
    high: Size
    step: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Element `index` of operand number `operand`, where all of `where` hold. `index` is in range only there."""

    operand: int
    where: tuple[Condition, ...]
    index: Index


@dataclass(frozen=True, slots=True)
class Piecewise:
    """A view that reads one of several operands.

    pieces(index, source_shapes, target_shape, **attributes): in order; the first piece whose conditions hold
    supplies the element; the last one has no conditions. Generators emit selects, or loops split at low and high.
    """

    pieces: Callable[..., tuple[Piece, ...]]


@dataclass(frozen=True, slots=True)
class GatherRule:
    """A view whose index is read from data.

    index(index, read, source_shape, **attributes) -> index of operand 0; read(k, i): element i of the k-th index
    operand, clamped by the generator into [0, limits[k]].
    limits(source_shape, **attributes) -> one size per index operand.
    """

    index: Callable[..., Index]
    limits: Callable[..., tuple[Size, ...]]


@dataclass(frozen=True, slots=True)
class ScatterRule:
    """Operand 0 with elements of operand 1 (the updates) combined into it, in program order.

    index(update_index, read, target_shape, update_shape, **attributes) -> where that update goes.
    limits(target_shape, update_shape, **attributes) -> read(k, i) is clamped into [0, limits[k]]; None: it is read
        as it is, and an update whose index is out of range is dropped.
    combine(b, old, new, **attributes) -> scalar.
    """

    index: Callable[..., Index]
    limits: Callable[..., tuple[Size, ...] | None]
    combine: Callable[..., Any]


# ---- type errors -----------------------------------------------------------------------------------------------


def names_of(dtypes: Iterable[DType]) -> str:
    """Accepted element types for a message, by family where a family is whole."""
    rest, names = set(dtypes), []
    for family, name in ((INTEGER, "integers"), (FLOAT, "floats"), (COMPLEX, "complex numbers")):
        if family <= rest:
            names.append(name)
            rest -= family
    return ", ".join(names + sorted(d.name for d in rest))


def refuse(kind: type[TypeRuleError], op: str, types: Sequence[ArrayType], what: str, fix: str) -> NoReturn:
    """Raises `kind` with the op, the types it got, what is wrong and the way out."""
    raise kind(f"{op} got {' and '.join(map(str, types)) or 'no operands'}: {what}", fix=fix)


def require_arity(op: str, types: Sequence[ArrayType], count: int) -> None:
    if len(types) != count:
        refuse(TypeRuleError, op, types, f"it takes {count} operand{'s' * (count != 1)}, not {len(types)}",
               f"pass {count}")


def require_dtype(op: str, types: Sequence[ArrayType], at: int, accepted: frozenset[DType]) -> None:
    if types[at].dtype not in accepted:
        refuse(DtypeError, op, types, f"operand {at} is {types[at].dtype}, but `{op}` is defined for "
               f"{names_of(accepted)}", f"convert operand {at} first, for example x.astype(...)")


def require_axes(op: str, x: ArrayType, axes: Sequence[int]) -> None:
    """Axes are in range, sorted and distinct."""
    if any(not 0 <= a < x.rank for a in axes):
        refuse(ShapeError, op, [x], f"axes {tuple(axes)} are out of range for rank {x.rank}",
               f"use axes from 0 to {x.rank - 1}")
    if any(a >= b for a, b in zip(axes, axes[1:])):
        refuse(ShapeError, op, [x], f"axes {tuple(axes)} are not sorted and distinct", "name each axis once, in order")


def require_axis(op: str, x: ArrayType, axis: int) -> None:
    if not 0 <= axis < x.rank:
        refuse(ShapeError, op, [x], f"axis {axis} is out of range for rank {x.rank}",
               f"use an axis from 0 to {x.rank - 1}")


# ---- the kinds of op -------------------------------------------------------------------------------------------


def pointwise(name: str, *, dtypes: Sequence[frozenset[DType]], numpy: Callable[..., Any],
              scalar: Callable[..., Any], result: Callable[..., DType] | None = None,
              attributes: TestAttributes = ({},), **facts: Any) -> Op:
    """One output element per input element.

    dtypes: accepted element types per operand; operands that name the same set must have the same dtype.
    result(*operand dtypes, **attributes): the dtype of the result; by default that of the last operand.
    attributes: those that the generated tests use, or a function of the operand's dtype that gives them.
    """
    uniform = all(d is dtypes[0] for d in dtypes)
    rule = _uniform_rule(name, dtypes, result) if uniform else _mixed_rule(name, dtypes, result)
    return register(Op(name=name, kind="pointwise", type_rule=rule, numpy=numpy, lower=scalar,
                       cases=lambda full=False: _pointwise_cases(dtypes, attributes, full), **facts))


def _uniform_rule(name: str, dtypes: Sequence[frozenset[DType]], result: Callable[..., DType] | None
                  ) -> Callable[..., list[ArrayType]]:
    """One dtype and one shape for all operands: the common case, kept quick since it runs at every emit."""
    accepted, arity = dtypes[0], len(dtypes)

    def rule(*types: ArrayType, **attributes: Any) -> list[ArrayType]:
        if len(types) == arity:
            x, y = types[0], types[-1]
            same = x is y or (x.dtype is y.dtype and x.shape == y.shape)
            if same and arity < 3 and x.dtype in accepted:
                return [x] if result is None else [ArrayType(result(*[x.dtype] * arity, **attributes), x.shape)]
        explain_mismatch(name, types, dtypes)
        x = types[0]
        return [ArrayType(result(*(t.dtype for t in types), **attributes) if result else x.dtype, x.shape)]

    return rule


def _mixed_rule(name: str, dtypes: Sequence[frozenset[DType]], result: Callable[..., DType] | None
                ) -> Callable[..., list[ArrayType]]:
    arity = len(dtypes)
    groups = [next(j for j in range(arity) if dtypes[j] is d) for d in dtypes]     # operand -> first of its set

    def rule(*types: ArrayType, **attributes: Any) -> list[ArrayType]:
        fits = len(types) == arity
        for t, accepted, first in zip(types, dtypes, groups):
            fits = fits and t.dtype in accepted and t.shape == types[0].shape and t.dtype is types[first].dtype
        if not fits:
            explain_mismatch(name, types, dtypes)
        last = types[-1]
        return [last] if result is None else [ArrayType(result(*(t.dtype for t in types), **attributes), last.shape)]

    return rule


def explain_mismatch(name: str, types: Sequence[ArrayType], dtypes: Sequence[frozenset[DType]]) -> None:
    """Raises for the first thing wrong with the operands of a pointwise op; returns if there is nothing."""
    require_arity(name, types, len(dtypes))
    for i, accepted in enumerate(dtypes):
        require_dtype(name, types, i, accepted)
    for t in types:
        if t.shape != types[0].shape:
            refuse(ShapeError, name, types, _shape_difference(types[0], t), "broadcast_in_dim the smaller operand")
    for i, accepted in enumerate(dtypes):
        first = next(j for j, d in enumerate(dtypes) if d is accepted)
        if types[i].dtype is not types[first].dtype:
            refuse(DtypeError, name, types, f"operands {first} and {i} have different dtypes",
                   f"convert one: x.astype({types[first].dtype.numpy_name!r})")


def _shape_difference(x: ArrayType, y: ArrayType) -> str:
    if x.rank != y.rank:
        return f"ranks differ, {x.rank} against {y.rank}"
    axis = next(i for i in range(x.rank) if x.shape[i] != y.shape[i])
    return f"sizes of axis {axis} differ, {x.shape[axis]} against {y.shape[axis]}"


def _pointwise_cases(dtypes: Sequence[frozenset[DType]], attributes: TestAttributes, full: bool) -> Iterator[Case]:
    """Every dtype on a matrix and every shape in one dtype; with `full` their product."""
    varied = max(dtypes, key=len)
    accepted = sorted(varied, key=lambda d: (d is not F64, d.name))
    pairs = ([(d, s) for d in accepted for s in SHAPES] if full else
             [(d, SHAPES[0]) for d in accepted] + [(accepted[0], s) for s in SHAPES[1:]])
    for dtype, shape in pairs:
        for chosen in attributes(dtype) if callable(attributes) else attributes:
            others = {d: dtype if d is varied else min(d, key=lambda t: t.name) for d in dtypes}
            yield tuple(ArrayType(others[d], shape) for d in dtypes), chosen


def _cases_of(dtypes: frozenset[DType], operand_shapes: Sequence[tuple[tuple[int, ...], Mapping[str, Any]]],
              full: bool) -> Iterator[Case]:
    """One operand: every dtype on the first shape, every shape in one dtype; with `full` their product."""
    accepted = sorted(dtypes, key=lambda d: (d is not F64, d.name))
    for i, dtype in enumerate(accepted):
        for shape, attributes in operand_shapes if full or i == 0 else operand_shapes[:1]:
            yield (ArrayType(dtype, shape),), attributes


REDUCTION_SHAPES: Sequence[tuple[tuple[int, ...], Mapping[str, Any]]] = (
    ((3, 5), {"axes": (1,)}), ((4,), {"axes": (0,)}), ((2, 3), {"axes": (0,)}), ((2, 3), {"axes": (0, 1)}),
    ((2, 3, 2), {"axes": (1,)}), ((2, 3, 2), {"axes": (0, 2)}), ((2,), {"axes": ()}), ((), {"axes": ()}),
    ((2, 0), {"axes": (1,)}), ((0, 2), {"axes": (1,)}), ((2, 1), {"axes": (1,)}))


def reduction(name: str, *, dtypes: frozenset[DType], numpy: Callable[..., Any], combine: Combine,
              **facts: Any) -> Op:
    """Folds the attribute `axes` away."""

    def type_rule(x: ArrayType, *, axes: tuple[int, ...]) -> list[ArrayType]:
        if x.dtype not in dtypes:
            require_dtype(name, [x], 0, dtypes)
        if len(axes) == 1 and 0 <= (a := axes[0]) < len(x.shape):
            return [ArrayType(x.dtype, x.shape[:a] + x.shape[a + 1:])]
        require_axes(name, x, axes)
        return [ArrayType(x.dtype, tuple(n for i, n in enumerate(x.shape) if i not in axes))]

    return register(Op(name=name, kind="reduction", type_rule=type_rule, numpy=numpy, lower=combine,
                       cases=lambda full=False: _cases_of(dtypes, REDUCTION_SHAPES, full), **facts))


POSITION_SHAPES: Sequence[tuple[tuple[int, ...], Mapping[str, Any]]] = (
    ((3, 5), {"axis": 1}), ((4,), {"axis": 0}), ((2, 3), {"axis": 0}), ((2, 3, 2), {"axis": 1}), ((2, 1), {"axis": 1}),
    ((0, 2), {"axis": 1}))


def position_reduction(name: str, *, dtypes: frozenset[DType], numpy: Callable[..., Any], combine: Combine,
                       **facts: Any) -> Op:
    """Folds the attribute `axis` away; the result is a position along it, i64."""

    def type_rule(x: ArrayType, *, axis: int) -> list[ArrayType]:
        require_dtype(name, [x], 0, dtypes)
        require_axis(name, x, axis)
        return [ArrayType(I64, x.shape[:axis] + x.shape[axis + 1:])]

    return register(Op(name=name, kind="reduction", type_rule=type_rule, numpy=numpy, lower=combine,
                       cases=lambda full=False: _cases_of(dtypes, POSITION_SHAPES, full), **facts))


CUMULATIVE_SHAPES: Sequence[tuple[tuple[int, ...], Mapping[str, Any]]] = tuple(
    (shape, {"axis": axis, "reverse": reverse}) for reverse in (False, True)
    for shape, axis in (((2, 5), 1), ((4,), 0), ((2, 3), 0), ((2, 3, 2), 1), ((0, 2), 0), ((1, 3), 0)))


def cumulative(name: str, *, dtypes: frozenset[DType], numpy: Callable[..., Any], combine: Combine,
               **facts: Any) -> Op:
    """Element i along `axis` is the fold of elements 0..i, or of i..n-1 with `reverse`."""

    def type_rule(x: ArrayType, *, axis: int, reverse: bool) -> list[ArrayType]:
        require_dtype(name, [x], 0, dtypes)
        require_axis(name, x, axis)
        return [x]

    return register(Op(name=name, kind="cumulative", type_rule=type_rule, numpy=numpy, lower=combine,
                       cases=lambda full=False: _cases_of(dtypes, CUMULATIVE_SHAPES, full), **facts))


def view(name: str, *, type_rule: Callable[..., list[ArrayType]], numpy: Callable[..., Any],
         index: Callable[..., Index] | Piecewise,
         cases: Sequence[tuple[tuple[tuple[int, ...], ...], Mapping[str, Any]]], **facts: Any) -> Op:
    """Moves elements without computing. cases: operand shapes and attributes."""

    def typed(full: bool = False) -> Iterator[Case]:
        for i, dtype in enumerate(sorted(ANY, key=lambda d: (d is not F64, d.name))):
            for shapes, attributes in cases if full or i == 0 else cases[:1]:
                yield tuple(ArrayType(dtype, s) for s in shapes), attributes

    return register(Op(name=name, kind="view", type_rule=type_rule, numpy=numpy, lower=index, cases=typed,
                       cost=0, **facts))


def _from_text(cases: Sequence[tuple[str, Mapping[str, Any]]]) -> Callable[..., Iterator[Case]]:
    """Cases whose operand types are written as text, `f32[2,3] i64[4]`."""
    def typed(full: bool = False) -> Iterator[Case]:
        for text, attributes in cases:
            yield tuple(map(ArrayType.parse, text.split())), attributes

    return typed


def declare(kind: str, name: str, *, type_rule: Callable[..., Sequence[ArrayType]], numpy: Callable[..., Any],
            lower: Any = None, cases: Sequence[tuple[str, Mapping[str, Any]]] | Callable[..., Iterator[Case]] = (),
            **facts: Any) -> Op:
    """An op about which nothing follows from its kind. cases: operand types as text, and attributes."""
    drawn = cases if callable(cases) else _from_text(cases)
    return register(Op(name=name, kind=kind, type_rule=type_rule, numpy=numpy, lower=lower, cases=drawn, **facts))
