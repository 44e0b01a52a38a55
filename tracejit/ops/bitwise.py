"""Logic, bits and whole numbers, element by element.

Flows in:  the vocabulary of `declare`.
Flows out: ops of kind `pointwise`.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.base.dtypes import F32, F64, DType
from tracejit.base.errors import DtypeError
from tracejit.ops.declare import BITS, INTEGER, pointwise
from tracejit.ops.derivatives import ZERO
from tracejit.ops.scalars import absolute, like

Array = NDArray[Any]
PLAIN = INTEGER | {F32, F64}    # types whose bits the engines hold as they are in memory


def _shift(b: Any, x: Any, amount: Any, left: bool) -> Any:
    """Amounts outside 0..bits-1 shift everything out, as in NumPy: 0, or the sign for signed right shifts."""
    zero = like(b, 0, x)
    fits = b.compare("LT", amount, like(b, x.dtype.bits, x))
    if x.dtype.is_signed:
        fits = b.and_(fits, b.compare("GE", amount, zero))
    amount = b.select(fits, amount, zero)
    if left:
        return b.select(fits, b.shift_left(x, amount), zero)
    if not x.dtype.is_signed:
        return b.select(fits, b.shift_right_logical(x, amount), zero)
    sign = b.select(b.compare("LT", x, zero), like(b, -1, x), zero)
    return b.select(fits, b.shift_right_arithmetic(x, amount), sign)


def _lcm(b: Any, x: Any, y: Any) -> Any:
    """|x| / gcd * |y|; 0 if one is 0, since x // 0 = 0."""
    g = b.call("gcd", x, y)
    return b.multiply(b.call("floor_divide", absolute(b, x), g), absolute(b, y))


def _population_count(x: Array) -> Array:
    """The bits of the representation; np.bitwise_count of signed integers counts those of |x|."""
    x = np.asarray(x)
    return np.asarray(np.bitwise_count(x.view(np.dtype(f"u{x.itemsize}"))).astype(x.dtype))


def _bitcast_result(x: DType, dtype: DType) -> DType:
    """Same width only; the type rule reports the rest."""
    from_bits, to_bits = x.bits, dtype.bits
    if from_bits != to_bits or dtype not in PLAIN:
        raise DtypeError(f"bitcast_convert got {x}: {dtype} is not a plain type of {from_bits} bits",
                         fix="cast between types of one width, such as f32 and i32")
    return dtype


and_ = pointwise("and", dtypes=[BITS, BITS], numpy=np.bitwise_and, scalar=lambda b, x, y: b.and_(x, y),
                 gradient=ZERO)
or_ = pointwise("or", dtypes=[BITS, BITS], numpy=np.bitwise_or, scalar=lambda b, x, y: b.or_(x, y),
                gradient=ZERO)
xor = pointwise("xor", dtypes=[BITS, BITS], numpy=np.bitwise_xor, scalar=lambda b, x, y: b.xor(x, y),
                gradient=ZERO)
not_ = pointwise("not", dtypes=[BITS], numpy=np.invert, scalar=lambda b, x: b.not_(x),
                 gradient=ZERO)
shift_left = pointwise("shift_left", dtypes=[INTEGER, INTEGER], numpy=np.left_shift, domain=((-60, 60), (0, 12)),
                       scalar=lambda b, x, n: _shift(b, x, n, left=True), cost=3,
                       gradient=ZERO)
shift_right = pointwise("shift_right", dtypes=[INTEGER, INTEGER], numpy=np.right_shift, domain=((-60, 60), (0, 12)),
                        scalar=lambda b, x, n: _shift(b, x, n, left=False), cost=3,
                        gradient=ZERO)
population_count = pointwise("population_count", dtypes=[INTEGER], numpy=_population_count,
                             scalar=lambda b, x: b.call("popcount", x),
                             gradient=ZERO)
gcd = pointwise("gcd", dtypes=[INTEGER, INTEGER], numpy=np.gcd, scalar=lambda b, x, y: b.call("gcd", x, y), cost=60,
                gradient=ZERO)
lcm = pointwise("lcm", dtypes=[INTEGER, INTEGER], numpy=np.lcm, scalar=_lcm, domain=(-9, 9), cost=80,
                gradient=ZERO)
bitcast_convert = pointwise("bitcast_convert", dtypes=[PLAIN],
                            attributes=lambda x: [{"dtype": d} for d in sorted(PLAIN, key=str) if d.bits == x.bits],
                            numpy=lambda x, dtype: np.asarray(x).view(dtype.numpy), result=_bitcast_result,
                            scalar=lambda b, x, dtype: b.bitcast(x, dtype),
                            gradient=ZERO)
