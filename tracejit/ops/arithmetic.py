"""Arithmetic, comparison, selection and conversion, element by element.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `pointwise`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import BOOL, F32, F64, I32, DType
from tracejit.ir.op import Op
from tracejit.ir.terms import Term, apply
from tracejit.ir.terms import compare as compare_
from tracejit.ir.terms import convert as convert_
from tracejit.ir.terms import select as select_
from tracejit.ops.complexes import complex_power, complex_sign, modulus
from tracejit.ops.declare import ANY, BOOLEAN, COMPLEX, FLOAT, INEXACT, NUMBER, REAL, pointwise
from tracejit.ops.derivatives import (
    ZERO,
    Attributes,
    Gradient,
    Terms,
    linear,
    masked_product,
    partials,
    within_mask,
)
from tracejit.ops.scalars import absolute, is_nan, less, like, maximum, minimum

Array = NDArray[Any]
SINGLE_OR_DOUBLE = frozenset({F32, F64})


def _sign(b: Any, x: Any) -> Any:
    """-1, 0 or 1 (never -0.0); NaN of NaN; x / |x| for complex numbers."""
    if x.dtype.is_complex:
        return complex_sign(b, x)
    zero, one = like(b, 0, x), like(b, 1, x)
    if not x.dtype.is_signed:
        return b.select(b.compare("NE", x, zero), one, zero)
    positive, negative = b.compare("GT", x, zero), b.compare("LT", x, zero)
    neither = b.select(b.compare("EQ", x, zero), zero, x)
    return b.select(positive, one, b.select(negative, like(b, -1, x), neither))


def _power(b: Any, x: Any, y: Any) -> Any:
    if x.dtype.is_complex:
        return complex_power(b, x, y)
    return b.call("pow" if x.dtype.is_float else "power", x, y)


def _fmod(b: Any, x: Any, y: Any) -> Any:
    """C's remainder, with the sign of x; from Python's, which has the sign of y, for integers."""
    if x.dtype.is_float:
        return b.call("fmod", x, y)
    r = b.call("remainder", x, y)
    if not x.dtype.is_signed:
        return r
    zero = like(b, 0, x)
    signs_differ = b.compare("LT", b.xor(x, y), zero)
    return b.select(b.and_(signs_differ, b.compare("NE", r, zero)), b.subtract(r, y), r)


def _compare(b: Any, x: Any, y: Any, direction: str) -> Any:
    if not x.dtype.is_complex or direction in ("EQ", "NE"):
        return b.compare(direction, x, y)
    x, y = (y, x) if direction[0] == "G" else (x, y)
    return less(b, x, y, or_equal=direction[1] == "E")


def _convert(x: Array, dtype: DType) -> Array:
    """Complex to real drops the imaginary part, as NumPy does with a warning."""
    x = np.asarray(x)
    if x.dtype.kind == "c" and not dtype.is_complex:
        return x != 0 if dtype is BOOL else x.real.astype(dtype.numpy)
    return x.astype(dtype.numpy)


def _complex(re: Array, im: Array) -> Array:
    """Both parts as they are: re + 1j * im would turn an infinite im into NaN."""
    out = np.empty(np.shape(re), np.result_type(re, np.complex64))
    out.real, out.imag = re, im
    return out



# ---- derivatives longer than a line ----------------------------------------------------------------------------


def wins(x: Term, y: Term) -> Term:
    """1 where x > y, 1/2 where they are equal, else 0: the symmetric subgradient."""
    tie = select_(compare_("EQ", x, y), x.like(0.5), 0)
    return select_(compare_("GT", x, y), x.like(1), tie)


def same_sign(out: Term, x: Term) -> Term:
    """d|x| with the sign of `out`; 0 at 0."""
    return apply("sign", x) * apply("sign", out)


def _abs_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    """Re(conj(sign z) t) for complex numbers; 0 at 0."""
    (z,), (t,) = ins, tangents
    if t is None or not z.dtype.is_complex:
        return [None if t is None else masked_product(t, lambda: apply("sign", z))]
    return [apply("real", apply("conjugate", apply("sign", z)) * t)]


def _abs_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
             wanted: Sequence[bool]) -> Terms:
    (z,), (ct,) = ins, cotangents
    assert ct is not None
    if not z.dtype.is_complex:
        return [masked_product(ct, lambda: apply("sign", z))]
    return [apply("complex", ct, ct.like(0)) * apply("conjugate", apply("sign", z))]


def _across(z: Term, t: Term) -> Term:
    """The change of z / |z| for a change t of z: the part of t at right angles to z, over |z|."""
    direction = apply("sign", z)
    along = apply("real", apply("conjugate", direction) * t)
    return (t - direction * apply("complex", along, along.like(0))) / convert_(apply("abs", z), z.dtype)


def _sign_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    (z,), (t,) = ins, tangents
    return [_across(z, t) if t is not None and z.dtype.is_complex else None]


def _sign_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
              wanted: Sequence[bool]) -> Terms:
    """A projection is its own transpose, up to the conjugation that cotangents carry."""
    (z,), (ct,) = ins, cotangents
    if ct is None or not z.dtype.is_complex:
        return [None]
    return [apply("conjugate", _across(z, apply("conjugate", ct)))]


def _power_by_base(out: Term, x: Term, y: Term) -> Term:
    """y x^(y-1); 0 for y = 0, also at x = 0."""
    if not y.dtype.is_inexact:
        return y * apply("power", x, y - 1)
    return select_(compare_("EQ", y, 0), 0, y * apply("power", x, y - 1))


def _power_by_exponent(out: Term, x: Term, y: Term) -> Term:
    """x^y log x; 0 at x = 0."""
    at_zero = compare_("EQ", x, 0)
    return select_(at_zero, 0, out * apply("log", select_(at_zero, x.like(1), x)))


def _convert_jvp(op: Op, ins: Sequence[Term], outs: Sequence[Term], tangents: Terms, attributes: Attributes) -> Terms:
    (t,) = tangents
    return [None if t is None or not outs[0].dtype.is_inexact else convert_(t, outs[0].dtype)]


def _convert_vjp(op: Op, ins: Sequence[Term], outs: Sequence[Term], cotangents: Terms, attributes: Attributes,
                 wanted: Sequence[bool]) -> Terms:
    """The way back of complex to real gives an imaginary part of 0, that of real to complex takes the real part."""
    (x,), (ct,) = ins, cotangents
    assert ct is not None
    if not x.dtype.is_inexact or not ct.dtype.is_inexact:
        return [None]
    return [within_mask(ct, lambda part: convert_(part, x.dtype))]


negate = pointwise("negate", dtypes=[NUMBER], numpy=np.negative, scalar=lambda b, x: b.negate(x),
                   gradient=partials(lambda y, x: -1))
abs_ = pointwise("abs", dtypes=[NUMBER], numpy=np.abs, result=lambda x: x.real,
                 scalar=lambda b, x: modulus(b, x) if x.dtype.is_complex else absolute(b, x),
                 gradient=Gradient(_abs_jvp, _abs_vjp))
sign = pointwise("sign", dtypes=[NUMBER], numpy=np.sign, scalar=_sign, cost=2,
                 gradient=Gradient(_sign_jvp, _sign_vjp))
floor = pointwise("floor", dtypes=[FLOAT], numpy=np.floor, scalar=lambda b, x: b.call("floor", x),
                  gradient=ZERO)
ceil = pointwise("ceil", dtypes=[FLOAT], numpy=np.ceil, scalar=lambda b, x: b.call("ceil", x),
                 gradient=ZERO)
trunc = pointwise("trunc", dtypes=[FLOAT], numpy=np.trunc, scalar=lambda b, x: b.call("trunc", x),
                  gradient=ZERO)
round_nearest_even = pointwise(
    "round_nearest_even", dtypes=[INEXACT], numpy=np.rint,
    scalar=lambda b, x: (b.complex(b.call("rint", b.real(x)), b.call("rint", b.imag(x))) if x.dtype.is_complex
                         else b.call("rint", x)),
                               gradient=ZERO)

add = pointwise("add", dtypes=[NUMBER, NUMBER], numpy=np.add, scalar=lambda b, x, y: b.add(x, y),
                gradient=partials(lambda out, x, y: 1, lambda out, x, y: 1))
subtract = pointwise("subtract", dtypes=[NUMBER, NUMBER], numpy=np.subtract, scalar=lambda b, x, y: b.subtract(x, y),
                     gradient=partials(lambda out, x, y: 1, lambda out, x, y: -1))
multiply = pointwise("multiply", dtypes=[NUMBER, NUMBER], numpy=np.multiply, scalar=lambda b, x, y: b.multiply(x, y),
                     gradient=partials(lambda out, x, y: y, lambda out, x, y: x))
divide = pointwise("divide", dtypes=[INEXACT, INEXACT], numpy=np.divide, scalar=lambda b, x, y: b.divide(x, y),
                   cost=5,
                   gradient=partials(lambda out, x, y: 1 / y, lambda out, x, y: -(out / y)))
# Integers: x // 0 = 0 and x % 0 = 0, and the least integer // -1 is itself, as NumPy has it.
floor_divide = pointwise("floor_divide", dtypes=[REAL, REAL], numpy=np.floor_divide,
                         scalar=lambda b, x, y: b.call("floor_divide", x, y), cost=15,
                         gradient=ZERO)
remainder = pointwise("remainder", dtypes=[REAL, REAL], numpy=np.remainder,
                      scalar=lambda b, x, y: b.call("remainder", x, y), cost=15,
                      gradient=partials(lambda out, x, y: 1, lambda out, x, y: -apply("floor", x / y)))
fmod = pointwise("fmod", dtypes=[REAL, REAL], numpy=np.fmod, scalar=_fmod, cost=15,
                 gradient=partials(lambda out, x, y: 1, lambda out, x, y: -apply("trunc", x / y)))
# Integers to negative powers: NumPy raises ValueError, and so do front ends; compiled code gives 0, or +-1 for x = +-1.
power = pointwise("power", dtypes=[NUMBER, NUMBER], numpy=np.power, scalar=_power, domain=((0.25, 3.0), (0.0, 3.0)),
                  exact=False, cost=40,
                  gradient=partials(_power_by_base, _power_by_exponent))
maximum_ = pointwise("maximum", dtypes=[ANY, ANY], numpy=np.maximum, scalar=maximum,
                     gradient=partials(lambda out, x, y: wins(x, y), lambda out, x, y: wins(y, x), gaps=True))
minimum_ = pointwise("minimum", dtypes=[ANY, ANY], numpy=np.minimum, scalar=minimum,
                     gradient=partials(lambda out, x, y: wins(y, x), lambda out, x, y: wins(x, y), gaps=True))

copysign = pointwise("copysign", dtypes=[FLOAT, FLOAT], numpy=np.copysign,
                     scalar=lambda b, x, y: b.call("copysign", x, y),
                     gradient=partials(lambda out, x, y: same_sign(out, x), None))
next_after = pointwise("next_after", dtypes=[SINGLE_OR_DOUBLE, SINGLE_OR_DOUBLE], numpy=np.nextafter,
                       scalar=lambda b, x, y: b.call("nextafter", x, y), cost=6,
                       gradient=partials(lambda out, x, y: 1, None))
ldexp = pointwise("ldexp", dtypes=[FLOAT, frozenset({I32})], numpy=np.ldexp, result=lambda x, n: x,
                  scalar=lambda b, x, n: b.call("ldexp", x, n), cost=4,
                  gradient=partials(lambda out, x, n: apply("ldexp", x.like(1), n), None))

DIRECTIONS = {"EQ": np.equal, "NE": np.not_equal, "LT": np.less, "LE": np.less_equal, "GT": np.greater,
              "GE": np.greater_equal}
compare = pointwise("compare", dtypes=[ANY, ANY], attributes=[{"direction": d} for d in DIRECTIONS],
                    numpy=lambda x, y, direction: DIRECTIONS[direction](x, y),
                    result=lambda x, y, direction: BOOL, scalar=_compare,
                    gradient=ZERO)
select = pointwise("select", dtypes=[BOOLEAN, ANY, ANY], numpy=lambda pred, x, y: np.where(pred, x, y),
                   scalar=lambda b, pred, x, y: b.select(pred, x, y),
                   gradient=linear(given=(0,), transpose=lambda ct, pred, x, y: (
    None, select_(pred, ct, 0), select_(pred, 0, ct)), gaps=True))

is_nan_ = pointwise("is_nan", dtypes=[INEXACT], numpy=np.isnan, result=lambda x: BOOL, scalar=is_nan,
                    gradient=ZERO)
is_inf = pointwise("is_inf", dtypes=[INEXACT], numpy=np.isinf, result=lambda x: BOOL,
                   scalar=lambda b, x: _any_part(b, x, _is_infinite),
                   gradient=ZERO)
is_finite = pointwise("is_finite", dtypes=[INEXACT], numpy=np.isfinite, result=lambda x: BOOL,
                      scalar=lambda b, x: b.not_(_any_part(b, x, _is_not_finite)),
                      gradient=ZERO)
signbit = pointwise("signbit", dtypes=[FLOAT], numpy=np.signbit, result=lambda x: BOOL,
                    scalar=lambda b, x: b.compare("LT", b.call("copysign", like(b, 1, x), x), like(b, 0, x)),
                    gradient=ZERO)


def _any_part(b: Any, x: Any, claim: Any) -> Any:
    """`claim` of a real number; of either part of a complex number."""
    return b.or_(claim(b, b.real(x)), claim(b, b.imag(x))) if x.dtype.is_complex else claim(b, x)


def _is_infinite(b: Any, x: Any) -> Any:
    return b.compare("EQ", b.call("abs", x), like(b, float("inf"), x))


def _is_not_finite(b: Any, x: Any) -> Any:
    return b.not_(b.compare("LT", b.call("abs", x), like(b, float("inf"), x)))


CONVERT_TO: tuple[dict[str, DType], ...] = tuple({"dtype": d} for d in sorted(ANY, key=lambda d: d.name))
convert = pointwise("convert", dtypes=[ANY], attributes=CONVERT_TO, numpy=_convert, result=lambda x, dtype: dtype,
                    scalar=lambda b, x, dtype: b.convert(x, dtype), domain=(0.0, 60.0),
                    gradient=Gradient(_convert_jvp, _convert_vjp))

complex_ = pointwise("complex", dtypes=[SINGLE_OR_DOUBLE, SINGLE_OR_DOUBLE],
                     numpy=_complex, result=lambda re, im: DType.parse(f"c{2 * re.bits}"),
                     scalar=lambda b, re, im: b.complex(re, im),
                     gradient=linear(lambda ct, re, im: (apply("real", ct), -apply("imag", ct))))
real = pointwise("real", dtypes=[COMPLEX], numpy=np.real, result=lambda x: x.real, scalar=lambda b, x: b.real(x),
                 gradient=linear(lambda ct, z: apply("complex", ct, ct.like(0))))
imag = pointwise("imag", dtypes=[COMPLEX], numpy=np.imag, result=lambda x: x.real, scalar=lambda b, x: b.imag(x),
                 gradient=linear(lambda ct, z: apply("complex", ct.like(0), -ct)))
conjugate = pointwise("conjugate", dtypes=[COMPLEX], numpy=np.conjugate,
                      scalar=lambda b, x: b.complex(b.real(x), b.negate(b.imag(x))),
                      gradient=linear(lambda ct, z: apply("conjugate", ct)))
