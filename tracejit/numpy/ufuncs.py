"""NumPy's ufuncs: one table of meanings, and the calling convention that all of them share.

Flows in:  arguments of a ufunc call. NumPy itself resolves the dtypes (`ufunc.resolve_dtypes`, NEP 50 included).
Flows out: broadcast, converted operands and one graph op, or a short composition of ops, for each ufunc.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tracejit.base.dtypes import BF16, BOOL, F16, DType, dtype_of
from tracejit.base.options import config
from tracejit.numpy.support import (
    as_bool,
    as_dtype,
    emit,
    fail_dtype,
    finish,
    operand,
    refuse_arguments,
    shape_of,
)
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, broadcast, constant, convert, lift, result_dtype
from tracejit.tracing.implements import implements

Meaning = Callable[..., Any]
MEANINGS: dict[np.ufunc, Meaning] = {}    # written by `meaning` while this package is imported

_PYTHON_SCALARS: dict[type, Any] = {int: int, float: float, complex: complex, bool: np.dtype(bool)}    # fixed table
_WEAK: dict[str, Any] = {"b": np.dtype(bool), "i": int, "f": float, "c": complex}    # fixed table


def meaning(*ufuncs: np.ufunc, builtins: Sequence[Any] = ()) -> Callable[[Meaning], Meaning]:
    """Declares what the ufuncs compute on operands of one shape and of the resolved dtypes."""
    def declare(compute: Meaning) -> Meaning:
        for ufunc in ufuncs:
            MEANINGS[ufunc] = compute
            implements(ufunc, *builtins)(_caller(ufunc, compute))
        return compute
    return declare


def _caller(ufunc: np.ufunc, compute: Meaning) -> Callable[..., Any]:
    nin = ufunc.nin

    def call(*args: Any, **options: Any) -> Any:
        if options or len(args) != nin:
            return _call_with_options(ufunc, compute, args, options)
        return apply(ufunc, compute, args)

    call.__name__ = ufunc.__name__
    return call


def apply(ufunc: np.ufunc, compute: Meaning, args: Sequence[Any], dtype: Any = None,
          casting: str = "same_kind") -> Any:
    """The ufunc on arguments as the user wrote them."""
    if all(type(a) in _PYTHON_SCALARS for a in args):
        return ufunc(*args, **({} if dtype is None else {"dtype": dtype}))
    operands = [a if type(a) in _PYTHON_SCALARS else operand(a) for a in args]
    dtypes = resolve(ufunc, operands, dtype, casting)
    ready = _prepared(operands, dtypes)
    result = compute(*ready)
    if ufunc.nout == 1:
        return _of_dtype(result, dtypes[-1])
    return tuple(_of_dtype(r, d) for r, d in zip(result, dtypes[ufunc.nin:], strict=True))


def _of_dtype(result: Array, dtype: DType) -> Array:
    return result if result.type.dtype is dtype else convert(result, dtype)


def _prepared(operands: Sequence[Any], dtypes: Sequence[DType]) -> list[Array]:
    """Operands converted and broadcast; Python scalars become splats of the common shape."""
    ready = [convert(x, d) if type(x) is Array else x for x, d in zip(operands, dtypes)]
    if len(ready) == 1:
        return ready
    arrays = [x for x in ready if type(x) is Array]
    if len(arrays) == len(ready):
        return broadcast(*ready)
    arrays = broadcast(*arrays) if len(arrays) > 1 else arrays
    shape, rest = shape_of(arrays[0]), iter(arrays)
    return [next(rest) if type(x) is Array else constant(_cast(x, d), d, shape) for x, d in zip(ready, dtypes)]


def _cast(value: Any, dtype: DType) -> Any:
    """A Python scalar as a number of the dtype's kind; OverflowError where NumPy raises it."""
    if dtype.is_integer:
        return int(dtype.numpy.type(value))
    return {"b": bool, "f": float, "c": complex}[dtype.kind](value)


def resolve(ufunc: np.ufunc, operands: Sequence[Any], dtype: Any = None, casting: str = "same_kind"
            ) -> tuple[DType, ...]:
    """The dtypes of operands and results, as NumPy resolves them. Raises DtypeError with NumPy's message."""
    if config.strict_promotion and ufunc.nin > 1:
        result_dtype(*operands)    # refuses types that differ
    given = tuple([_question(x) for x in operands])
    try:
        return _resolved(ufunc, given, None if dtype is None else as_dtype(dtype), casting)
    except TypeError as error:
        fail_dtype(str(error) or f"ufunc '{ufunc.__name__}' has no rule for {', '.join(map(str, given))}",
                   fix="convert an operand first, for example x.astype(...)")


def _question(x: Any) -> Any:
    """What NumPy is asked with: the dtype of a strong operand, the class of a Python number."""
    if isinstance(x, Array):
        return x.type.dtype if x.weak is None else _WEAK[x.weak]
    return _PYTHON_SCALARS[type(x)]


@cache
def _resolved(ufunc: np.ufunc, given: tuple[Any, ...], dtype: DType | None, casting: str) -> tuple[DType, ...]:
    """bfloat16 asks as float16, and gets bfloat16 for every float16 of the answer."""
    asked = [np.dtype(np.float16) if d is BF16 else d.numpy if isinstance(d, DType) else d for d in given]
    options: Any = {} if casting == "same_kind" else {"casting": casting}
    if dtype is not None:
        options["signature"] = (None,) * ufunc.nin + (dtype.numpy,) * ufunc.nout
    dtypes = map(dtype_of, ufunc.resolve_dtypes((*asked, *[None] * ufunc.nout), **options))
    brief = BF16 in given and F16 not in given
    return tuple(BF16 if brief and d is F16 else d for d in dtypes)


def _call_with_options(ufunc: np.ufunc, compute: Meaning, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """out= (also by position), where=, dtype=, casting=; order= and subok= mean nothing here."""
    nin, nout = ufunc.nin, ufunc.nout
    if not nin <= len(args) <= nin + nout:
        raise TypeError(f"{ufunc.__name__}() takes from {nin} to {nin + nout} positional arguments but "
                        f"{len(args)} were given")
    out = args[nin:] or options.pop("out", None)
    where, casting, dtype = options.pop("where", True), options.pop("casting", "same_kind"), options.pop("dtype", None)
    options = {k: v for k, v in options.items() if k not in ("order", "subok")}
    refuse_arguments(f"np.{ufunc.__name__}", **options)
    result = apply(ufunc, compute, args[:nin], dtype, casting)
    if out is None:
        return result
    outs = out if isinstance(out, tuple) else (out,)
    results = result if isinstance(result, tuple) else (result,)
    outs = (*outs, *[None] * (nout - len(outs)))
    written = [finish(lift(r), o, where, casting, ufunc.__name__) for r, o in zip(results, outs, strict=True)]
    return written[0] if nout == 1 else tuple(written)


# ---- one op each -----------------------------------------------------------------------------------------------

_UNARY: dict[str, tuple[np.ufunc, ...]] = {    # fixed table: op -> ufuncs
    "exponential": (np.exp,), "exponential2": (np.exp2,), "exponential_minus_one": (np.expm1,), "log": (np.log,),
    "log2": (np.log2,), "log10": (np.log10,), "log_plus_one": (np.log1p,), "sine": (np.sin,), "cosine": (np.cos,),
    "tan": (np.tan,), "asin": (np.arcsin,), "acos": (np.arccos,), "atan": (np.arctan,), "sinh": (np.sinh,),
    "cosh": (np.cosh,), "tanh": (np.tanh,), "asinh": (np.arcsinh,), "acosh": (np.arccosh,), "atanh": (np.arctanh,),
    "sqrt": (np.sqrt,), "cbrt": (np.cbrt,), "negate": (np.negative,), "not": (np.invert,)}
_BINARY: dict[str, tuple[np.ufunc, ...]] = {    # fixed table: op -> ufuncs
    "subtract": (np.subtract,), "divide": (np.true_divide,), "floor_divide": (np.floor_divide,),
    "remainder": (np.remainder,), "fmod": (np.fmod,), "atan2": (np.arctan2,), "and": (np.bitwise_and,),
    "or": (np.bitwise_or,), "xor": (np.bitwise_xor,), "shift_left": (np.left_shift,),
    "shift_right": (np.right_shift,), "copysign": (np.copysign,), "next_after": (np.nextafter,),
    "hypot": (np.hypot,), "logaddexp": (np.logaddexp,), "logaddexp2": (np.logaddexp2,), "gcd": (np.gcd,),
    "lcm": (np.lcm,), "power": (np.float_power,)}


def _one_op(name: str) -> Meaning:
    return lambda *operands: emit(name, *operands)


for _name, _ufuncs in {**_UNARY, **_BINARY}.items():
    meaning(*_ufuncs)(_one_op(_name))


def _or_for_bool(name: str, on_bool: str) -> Meaning:
    return lambda x, y: emit(on_bool if x.type.dtype is BOOL else name, x, y)


meaning(np.add)(_or_for_bool("add", "or"))
meaning(np.multiply)(_or_for_bool("multiply", "and"))


# ---- powers, rounding, sign ------------------------------------------------------------------------------------


def constant_of(x: Array) -> bool | int | float | complex | None:
    """The number that every element of `x` is, if the graph says so."""
    node = x.value.node
    while node is not None and node.op.name == "broadcast_in_dim":
        node = node.operands[0].node
    if node is None or node.op.name != "constant" or isinstance(node.attributes["value"], tuple):
        return None
    found: bool | int | float | complex = node.attributes["value"]
    return found


@meaning(np.bitwise_count)
def bitwise_count(x: Array) -> Array:
    """Ones in the binary form of |x|."""
    return emit("population_count", absolute(x))


@meaning(np.square)
def square(x: Array) -> Array:
    return emit("multiply", x, x)


@meaning(np.power, builtins=(pow,))
def power(x: Array, y: Array) -> Array:
    """x ** y; the exponents 1, 2 and (of floats) 0.5 as NumPy's operator treats them. ints: y >= 0 is asserted."""
    exponent = constant_of(y)
    if exponent == 1:
        return x
    if exponent == 2:
        return emit("multiply", x, x)
    if exponent == 0.5 and x.type.dtype.is_float:
        return emit("sqrt", x)
    if y.type.dtype.kind == "i" and not (isinstance(exponent, int) and exponent >= 0):
        _refuse_negative_powers(y)
    return emit("power", x, y)


def _refuse_negative_powers(y: Array) -> None:
    message = "Integers to negative integer powers are not allowed."
    legal = emit("compare", y, constant(0, y.type.dtype, shape_of(y)), direction="GE")
    assert_(emit("reduce_and", legal, axes=tuple(range(y.ndim))) if y.ndim else legal, "ValueError", message)


@meaning(np.reciprocal)
def reciprocal(x: Array) -> Array:
    """1 / x; of ints, 1 // x rounded towards zero."""
    one = constant(1, x.type.dtype, shape_of(x))
    if x.type.dtype.is_inexact:
        return emit("divide", one, x)
    magnitude = emit("abs", x) if x.type.dtype.kind == "i" else x
    unit = emit("compare", magnitude, one, direction="EQ")
    return emit("select", unit, x, constant(0, x.type.dtype, shape_of(x)))


@meaning(np.absolute, np.fabs, builtins=(abs,))
def absolute(x: Array) -> Array:
    return x if x.type.dtype.kind in "bu" else emit("abs", x)


@meaning(np.positive, builtins=())
def positive(x: Array) -> Array:
    return x


@meaning(np.conjugate)
def conjugate(x: Array) -> Array:
    return emit("conjugate", x) if x.type.dtype.is_complex else x


meaning(np.sign)(_one_op("sign"))


def _rounding(op: str) -> Meaning:
    def compute(x: Array) -> Array:
        return emit(op, x) if x.type.dtype.is_inexact else x
    return compute


_ufunc: np.ufunc
for _op, _ufunc in {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round_nearest_even": np.rint}.items():
    meaning(_ufunc)(_rounding(_op))


@meaning(np.divmod, builtins=(divmod,))
def divide_with_remainder(x: Array, y: Array) -> tuple[Array, Array]:
    return emit("floor_divide", x, y), emit("remainder", x, y)


@meaning(np.degrees, np.rad2deg)
def degrees(x: Array) -> Array:
    return emit("multiply", x, constant(_rounded(180 / np.pi, x), x.type.dtype, shape_of(x)))


@meaning(np.radians, np.deg2rad)
def radians(x: Array) -> Array:
    return emit("multiply", x, constant(_rounded(np.pi / 180, x), x.type.dtype, shape_of(x)))


def _rounded(value: float, x: Array) -> float:
    """A double constant as NumPy's loop for the dtype of `x` holds it."""
    return float(x.type.dtype.compute.numpy.type(value))


# ---- minimum and maximum ---------------------------------------------------------------------------------------


def _of_numbers(op: str) -> Meaning:
    """NaN only where both operands are NaN."""
    def compute(x: Array, y: Array) -> Array:
        extreme = emit(op, x, y)
        if not x.type.dtype.is_inexact:
            return extreme
        return emit("select", emit("is_nan", x), y, emit("select", emit("is_nan", y), x, extreme))
    return compute


meaning(np.maximum)(_one_op("maximum"))
meaning(np.minimum)(_one_op("minimum"))
meaning(np.fmax)(_of_numbers("maximum"))
meaning(np.fmin)(_of_numbers("minimum"))


@meaning(np.heaviside)
def heaviside(x: Array, at_zero: Array) -> Array:
    zero, one = (constant(v, x.type.dtype, shape_of(x)) for v in (0.0, 1.0))
    step = emit("select", emit("compare", x, zero, direction="LT"), zero, one)
    known = emit("select", emit("compare", x, zero, direction="EQ"), at_zero, step)
    return emit("select", emit("is_nan", x), x, known)


# ---- floating-point parts --------------------------------------------------------------------------------------


@meaning(np.spacing)
def spacing(x: Array) -> Array:
    away = emit("copysign", constant(float("inf"), x.type.dtype, shape_of(x)), x)
    return emit("subtract", emit("next_after", x, away), x)


@meaning(np.ldexp)
def ldexp(x: Array, n: Array) -> Array:
    """x * 2**n; wide exponents are clipped first, which changes no result."""
    if n.type.dtype.bits == 64:
        low, high = (constant(v, n.type.dtype, shape_of(n)) for v in (-10000, 10000))
        n = emit("minimum", emit("maximum", n, low), high)
    return emit("ldexp", x, convert(n, "i32"))


@meaning(np.modf)
def modf(x: Array) -> tuple[Array, Array]:
    whole = emit("trunc", x)
    zero = constant(0.0, x.type.dtype, shape_of(x))
    infinite = emit("is_inf", x)
    rest = emit("select", infinite, zero, emit("subtract", x, whole))
    return emit("copysign", rest, x), whole


@meaning(np.frexp)
def frexp(x: Array) -> tuple[Array, Array]:
    """x = m * 2**e with 0.5 <= |m| < 1; the exponent is read from the bits, of subnormals after scaling."""
    narrow = x.type.dtype
    wide = x if narrow.bits >= 32 else convert(x, "f32")
    bits, shift, bias = (64, 52, 1022) if wide.type.dtype.bits == 64 else (32, 23, 126)
    integer, shape = dtype_of(f"i{bits}"), shape_of(x)
    tiny = float(np.finfo(wide.type.dtype.numpy).tiny)
    small = emit("compare", emit("abs", wide), constant(tiny, wide.type.dtype, shape), direction="LT")
    scaled = emit("select", small, emit("multiply", wide, constant(2.0 ** 60, wide.type.dtype, shape)), wide)
    raw = emit("bitcast_convert", scaled, dtype=integer)
    field = emit("and", emit("shift_right", raw, constant(shift, integer, shape)),
                 constant((1 << (bits - 1 - shift)) - 1, integer, shape))
    scale = emit("select", small, constant(bias + 60, integer, shape), constant(bias, integer, shape))
    exponent = convert(emit("subtract", field, scale), "i32")
    plain = emit("and", emit("is_finite", wide), emit("compare", wide, constant(0.0, wide.type.dtype, shape),
                                                      direction="NE"))
    exponent = emit("select", plain, exponent, constant(0, "i32", shape))
    return convert(emit("ldexp", wide, emit("negate", exponent)), narrow), exponent


# ---- comparisons and logic -------------------------------------------------------------------------------------

_DIRECTIONS: dict[np.ufunc, str] = {    # fixed table
    np.equal: "EQ", np.not_equal: "NE", np.less: "LT", np.less_equal: "LE", np.greater: "GT", np.greater_equal: "GE"}
_SWAPPED = {"EQ": "EQ", "NE": "NE", "LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE"}


def _comparison(ufunc: np.ufunc, direction: str) -> Callable[..., Any]:
    def compute(x: Array, y: Array) -> Array:
        if x.type.dtype is not y.type.dtype:
            return _compare_signs(x, y, direction)
        return emit("compare", x, y, direction=direction)

    def call(*args: Any, **options: Any) -> Any:
        if len(args) > 1:
            x, y = (a if type(a) in _PYTHON_SCALARS else lift(a) for a in args[:2])
            args = _widened_weak(x, y), _widened_weak(y, x), *args[2:]
        return general(*args, **options)

    MEANINGS[ufunc] = compute
    general = _caller(ufunc, compute)
    return call


def _compare_signs(x: Array, y: Array, direction: str) -> Array:
    """u64 against i64, exactly: a negative number is below every unsigned one."""
    if x.type.dtype.kind == "i":
        return _compare_signs(y, x, _SWAPPED[direction])
    negative = emit("compare", y, constant(0, y.type.dtype, shape_of(y)), direction="LT")
    plain = emit("compare", x, convert(y, x.type.dtype), direction=direction)
    return emit("select", negative, constant(direction in ("NE", "GT", "GE"), BOOL, shape_of(x)), plain)


def _widened_weak(x: Any, other: Any) -> Any:
    """An int array that meets a Python int is compared in i64 unless its dtype holds the number surely."""
    if not isinstance(x, Array) or x.weak is not None or not x.type.dtype.is_integer or x.type.dtype.bits == 64:
        return x
    if type(other) is int:
        info = np.iinfo(x.type.dtype.numpy)
        return x if info.min <= other <= info.max else convert(x, "i64")
    return convert(x, "i64") if isinstance(other, Array) and other.weak == "i" else x


for _compared, _direction in _DIRECTIONS.items():
    implements(_compared)(_comparison(_compared, _direction))


def _logical(op: str) -> Meaning:
    return lambda *operands: emit(op, *map(as_bool, operands))


for _op, _ufunc in {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not}.items():
    meaning(_ufunc)(_logical(_op))


def _classification(op: str, of_exact: bool) -> Meaning:
    """is_nan, is_inf, is_finite: known for ints."""
    def compute(x: Array) -> Array:
        return emit(op, x) if x.type.dtype.is_inexact else constant(of_exact, BOOL, shape_of(x))
    return compute


meaning(np.isnan)(_classification("is_nan", False))
meaning(np.isinf)(_classification("is_inf", False))
meaning(np.isfinite)(_classification("is_finite", True))
meaning(np.signbit)(_one_op("signbit"))


def elementwise(ufunc: np.ufunc, *args: Any) -> Any:
    """The ufunc on tracers or numbers, for compositions in this package."""
    return apply(ufunc, MEANINGS[ufunc], args)

