"""Rules for elementwise ops: identities that hold bit for bit (NaN payloads aside), unless marked.

Flows in:  patterns over pointwise ops.
Flows out: rules for `canonicalize`. The measure that shrinks is the number of nodes, or their cost where said.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tracejit.base.dtypes import BOOL, DType
from tracejit.ir.graph import Value
from tracejit.ir.op import OPS, Op
from tracejit.xla_lite.passes.rewriting import Bindings, Results, Rewriter, Rule, p, rewrite, rewrite_each, splat

MANTISSA = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53, "c64": 24, "c128": 53}
EXPONENT = {"f16": 5, "bf16": 8, "f32": 8, "f64": 11, "c64": 8, "c128": 11}


def _is_zero(c: Any, sign: int) -> bool:
    return bool(c == 0) and math.copysign(1.0, c) == sign


# ---- neutral and absorbing numbers -----------------------------------------------------------------------------


@rewrite(p.add("x", p.number("c")))
def add_nothing(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x + 0 = x for integers; x + -0.0 = x for floats (x + 0.0 would turn -0.0 into 0.0)."""
    kind = x.dtype.kind
    return x if (kind in "iu" and c == 0) or (kind == "f" and _is_zero(c, -1)) else None


@rewrite(p.subtract("x", p.number("c")))
def subtract_nothing(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x - 0 = x; for floats x - 0.0 = x, but not x - -0.0."""
    kind = x.dtype.kind
    return x if (kind in "iu" and c == 0) or (kind == "f" and _is_zero(c, 1)) else None


@rewrite(p.subtract("x", "x"))
def subtract_itself(g: Rewriter, x: Value) -> Value | None:
    """x - x = 0 for integers; floats may be NaN or infinite."""
    return g.constant(0, x) if x.dtype.is_integer else None


@rewrite(p.multiply("x", p.number("c")))
def multiply_by_unit(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x * 1 = x; x * -1.0 = -x for floats; x * 0 = 0 for integers."""
    kind = x.dtype.kind
    if kind in "iuf" and c == 1:
        return x
    if kind == "f" and c == -1:
        return g.add("negate", x)
    return g.constant(0, x) if kind in "iu" and c == 0 else None


@rewrite(p.divide("x", p.number("c")))
def divide_by_power_of_two(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x / 1 = x; x / 2^k = x * 2^-k, both rounded once from the same number. A product is cheaper than a quotient."""
    if not x.dtype.is_float or not math.isfinite(c) or c == 0:
        return None
    if c == 1:
        return x
    fraction, exponent = math.frexp(abs(c))
    fits = abs(exponent) < (1 << (EXPONENT[x.dtype.name] - 1)) - 2
    return g.add("multiply", x, g.constant(1 / c, x)) if fraction == 0.5 and fits else None


def _power_of_two(x: Value, c: Any) -> int | None:
    """k if the integer c is 2^k."""
    c = int(c)
    return c.bit_length() - 1 if x.dtype.is_integer and c > 0 and c & (c - 1) == 0 else None


@rewrite(p.floor_divide("x", p.number("c")))
def floor_divide_by_power_of_two(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x // 2^k = x >> k for integers, signed ones too. A shift is cheaper."""
    if (k := _power_of_two(x, c) if x.dtype.is_integer else None) is None:
        return None
    return x if k == 0 else g.add("shift_right", x, g.constant(k, x))


@rewrite(p.remainder("x", p.number("c")))
def remainder_by_power_of_two(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x % 2^k = x & (2^k - 1) for integers, signed ones too, since the result has the divisor's sign."""
    k = _power_of_two(x, c) if x.dtype.is_integer else None
    return None if k is None else g.add("and", x, g.constant((1 << k) - 1, x))


@rewrite(p.shift_left("x", p.number("c")))
def shift_left_by_nothing(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x << 0 = x."""
    return x if c == 0 else None


@rewrite(p.shift_right("x", p.number("c")))
def shift_right_by_nothing(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x >> 0 = x."""
    return x if c == 0 else None


def _all_ones(c: Any, dtype: DType) -> bool:
    return bool(c) if dtype is BOOL else int(c) % (1 << dtype.bits) == (1 << dtype.bits) - 1


@rewrite(p.and_("x", p.number("c")))
def and_with_number(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x & 0 = 0; x & ~0 = x."""
    return g.constant(c, x) if not c else x if _all_ones(c, x.dtype) else None


@rewrite(p.or_("x", p.number("c")))
def or_with_number(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x | 0 = x; x | ~0 = ~0."""
    return x if not c else g.constant(c, x) if _all_ones(c, x.dtype) else None


@rewrite(p.xor("x", p.number("c")))
def xor_with_number(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x ^ 0 = x; x ^ True = not x."""
    return x if not c else g.add("not", x) if x.dtype is BOOL else None


def _idempotent(name: str) -> Rule:
    @rewrite(getattr(p, name)("x", "x"))
    def combine_with_itself(g: Rewriter, x: Value) -> Value | None:
        """max(x, x) = x, and the like."""
        return x

    return combine_with_itself


IDEMPOTENT = tuple(map(_idempotent, ("and", "or", "maximum", "minimum")))


@rewrite(p.xor("x", "x"))
def xor_with_itself(g: Rewriter, x: Value) -> Value | None:
    """x ^ x = 0."""
    return g.constant(False if x.dtype is BOOL else 0, x)


# ---- inverses --------------------------------------------------------------------------------------------------


def _involution(name: str) -> Rule:
    @rewrite(getattr(p, name)(getattr(p, name)("x")))
    def apply_twice(g: Rewriter, x: Value) -> Value | None:
        """-(-x) = x, and the like."""
        return x

    return apply_twice


INVOLUTIONS = tuple(map(_involution, ("negate", "not", "conjugate")))


def _after_negate(inner: str) -> Rule:
    @rewrite(p.abs(getattr(p, inner)("x")))
    def abs_without_sign(g: Rewriter, x: Value) -> Value | None:
        """|-x| = |x| and ||x|| = |x|."""
        return g.add("abs", x) if inner == "negate" or not x.dtype.is_complex else None

    return abs_without_sign


ABS_OF_SIGNED = tuple(map(_after_negate, ("negate", "abs")))


@rewrite(p.add("x", p.negate("y")))
def add_negated(g: Rewriter, x: Value, y: Value) -> Value | None:
    """x + -y = x - y."""
    return g.add("subtract", x, y)


@rewrite(p.subtract("x", p.negate("y")))
def subtract_negated(g: Rewriter, x: Value, y: Value) -> Value | None:
    """x - -y = x + y."""
    return g.add("add", x, y)


@rewrite(p.multiply(p.negate("x"), p.negate("y")))
def multiply_negated(g: Rewriter, x: Value, y: Value) -> Value | None:
    """-x * -y = x * y for real numbers."""
    return None if x.dtype.is_complex else g.add("multiply", x, y)


@rewrite(p.real(p.complex("x", "y")))
def real_of_parts(g: Rewriter, x: Value, y: Value) -> Value | None:
    """re(x + iy) = x."""
    return x


@rewrite(p.imag(p.complex("x", "y")))
def imag_of_parts(g: Rewriter, x: Value, y: Value) -> Value | None:
    """im(x + iy) = y."""
    return y


@rewrite(p.complex(p.real("z"), p.imag("z")))
def parts_of_complex(g: Rewriter, z: Value) -> Value | None:
    """re(z) + i im(z) = z."""
    return z


# ---- comparison and selection ----------------------------------------------------------------------------------

NEGATED = {"EQ": "NE", "NE": "EQ", "LT": "GE", "GE": "LT", "GT": "LE", "LE": "GT"}


@rewrite(p.compare("x", "x", direction="d"))
def compare_with_itself(g: Rewriter, x: Value, d: str) -> Value | None:
    """x < x is false; x == x is true for types without NaN."""
    known = d in ("LT", "GT") or not x.dtype.is_inexact
    return g.graph.add("constant", value=d in ("EQ", "LE", "GE"), type=x.type.with_dtype(BOOL)) if known else None


@rewrite(p.not_(p.compare("x", "y", direction="d")))
def negate_comparison(g: Rewriter, x: Value, y: Value, d: str) -> Value | None:
    """not x < y = x >= y for types without NaN; not x == y = x != y for all."""
    if x.dtype.is_inexact and d not in ("EQ", "NE"):
        return None
    return g.add("compare", x, y, direction=NEGATED[d])


@rewrite(p.select("c", "x", "x"))
def select_between_equals(g: Rewriter, c: Value, x: Value) -> Value | None:
    """Either branch is x."""
    return x


@rewrite(p.select(p.number("c"), "x", "y"))
def select_by_constant(g: Rewriter, c: Any, x: Value, y: Value) -> Value | None:
    """A known predicate leaves one branch."""
    return x if c else y


@rewrite(p.select(p.not_("c"), "x", "y"))
def select_by_negation(g: Rewriter, c: Value, x: Value, y: Value) -> Value | None:
    """select(not c, x, y) = select(c, y, x)."""
    return g.add("select", c, y, x)


@rewrite(p.select("c", p.number("x"), p.number("y")))
def select_truth(g: Rewriter, c: Value, x: Any, y: Any) -> Value | None:
    """select(c, True, False) = c and its negation."""
    if x is True and y is False:
        return c
    return g.add("not", c) if x is False and y is True else None


# ---- conversion ------------------------------------------------------------------------------------------------


def holds_all(wide: DType, narrow: DType) -> bool:
    """Whether each value of `narrow` is a value of `wide`, so that converting there and on loses nothing."""
    if narrow is wide or narrow is BOOL:
        return True
    if wide is BOOL or narrow.is_complex > wide.is_complex or narrow.is_inexact > wide.is_inexact:
        return False
    if narrow.is_integer and wide.is_integer:
        return narrow.is_signed <= wide.is_signed and (wide.bits - wide.is_signed) >= narrow.bits - narrow.is_signed
    if narrow.is_integer:
        return narrow.bits - narrow.is_signed <= min(MANTISSA[wide.name], 15 if wide.name == "f16" else 64)
    return MANTISSA[narrow.name] <= MANTISSA[wide.name] and EXPONENT[narrow.name] <= EXPONENT[wide.name]


@rewrite(p.convert("x", dtype="dtype"))
def convert_to_itself(g: Rewriter, x: Value, dtype: DType) -> Value | None:
    """Conversion to the type it has already."""
    return x if x.dtype is dtype else None


@rewrite(p.convert(p.convert("x", dtype="between"), dtype="dtype"))
def convert_directly(g: Rewriter, x: Value, between: DType, dtype: DType) -> Value | None:
    """A type in between that holds all values of x changes nothing; integers must not take another way to overflow."""
    if not holds_all(between, x.dtype):
        return None
    same_route = between.kind == x.dtype.kind or not dtype.is_integer or holds_all(dtype, x.dtype)
    integers = {between.kind, x.dtype.kind} <= set("iu")
    return g.add("convert", x, dtype=dtype) if same_route or integers else None


# ---- power -----------------------------------------------------------------------------------------------------


@rewrite(p.power("x", p.number("c")), exact=False)
def power_by_products(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x^0 = 1, x^1 = x, x^-1 = 1/x, x^2 = x x, x^3, x^4: at most 1.5 ULP off, and much cheaper than a logarithm."""
    most = 4 if x.dtype.bits > 16 and not x.dtype.is_complex else 2
    if c in (0, 1):
        return g.constant(1, x) if c == 0 else x
    if c == -1 and x.dtype.is_float:
        return g.add("divide", g.constant(1.0, x), x)
    if c not in (2, 3, 4) or c.real > most:
        return None
    square = g.add("multiply", x, x)
    return square if c == 2 else g.add("multiply", square, x if c == 3 else square)


@rewrite(p.power("x", p.number("c")), exact=False)
def power_by_root(g: Rewriter, x: Value, c: Any) -> Value | None:
    """x^0.5 = sqrt(x), also at -0.0 and -inf, where C's pow differs: NumPy takes the root for a scalar exponent."""
    return g.add("sqrt", x) if c == 0.5 and x.dtype.is_float else None


# ---- broadcasts below pointwise ops ----------------------------------------------------------------------------


@rewrite_each("pointwise")
def compute_before_broadcast(g: Rewriter, op: Op, operands: Sequence[Value], attributes: Bindings) -> Results | None:
    """f(broadcast(x), broadcast(y)) = broadcast(f(x, y)): f runs on the small arrays."""
    first = next((v.node for v in operands if v.node is not None and v.node.op.name == "broadcast_in_dim"), None)
    if first is None:
        return None
    small = first.operands[0].type
    for v in operands:
        node = v.node
        alike = node is not None and node.op is first.op and node.attributes_key == first.attributes_key
        if not (alike and node is not None and node.operands[0].shape == small.shape) and splat(v) is None:
            return None
    found = [g.constant_like(v, small.shape) if splat(v) is not None else v.node.operands[0] for v in operands
             if v.node is not None]
    (result,) = g.emit(op, found, attributes)
    return g.emit(OPS["broadcast_in_dim"], [result], first.attributes)


RULES: tuple[Rule, ...] = (
    add_nothing, subtract_nothing, subtract_itself, multiply_by_unit, divide_by_power_of_two,
    floor_divide_by_power_of_two, remainder_by_power_of_two, shift_left_by_nothing, shift_right_by_nothing,
    and_with_number, or_with_number, xor_with_number, *IDEMPOTENT, xor_with_itself, *INVOLUTIONS, *ABS_OF_SIGNED,
    add_negated, subtract_negated, multiply_negated, real_of_parts, imag_of_parts, parts_of_complex,
    compare_with_itself, negate_comparison, select_between_equals, select_by_constant, select_by_negation,
    select_truth, convert_to_itself, convert_directly, power_by_products, power_by_root, compute_before_broadcast)
