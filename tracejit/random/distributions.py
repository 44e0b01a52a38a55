"""Random numbers of named distributions.

Flows in:  keys, shapes, parameters that broadcast to the shape.
Flows out: arrays. All but `gamma` are one elementwise expression of the counter, so they fuse with what uses them.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import BOOL, F32, F64, I64, U32, U64, DType, dtype_of
from tracejit.base.errors import ShapeError, UnsupportedTypeError
from tracejit.random.keys import Shape, as_shape, fold_in, iota, op, random_bits, split
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_shapes, broadcast_to, constant, convert, emit, lift
from tracejit.tracing.context import current
from tracejit.tracing.implements import NUMPY
from tracejit.tracing.spans import current_span

STEPS = {F64: (U64, 52), F32: (U32, 23)}


def float_type(dtype: Any) -> DType:
    """The dtype of the numbers; drawn in f32 for 16-bit floats."""
    found = dtype_of(np.dtype(dtype)) if not isinstance(dtype, DType) else dtype
    if not found.is_float:
        raise UnsupportedTypeError(f"random numbers of {found} are asked for", span=current_span(2),
                                   why="this distribution gives floats", fix="ask for float32 or float64; see randint")
    return found


def full_shape(shape: Any, *parameters: Any) -> Shape:
    """The shape that was asked for; that of the parameters if none was."""
    shapes = [lift(p).type.shape for p in parameters]
    joint = tuple(broadcast_shapes(*shapes)) if shapes else ()
    return joint if shape is None else as_shape(shape)


def fitted(x: Any, dtype: DType, shape: Shape) -> Array:
    return broadcast_to(convert(lift(x), dtype), shape)


def unit(key: Any, shape: Shape, dtype: DType) -> Array:
    """Uniform in [0, 1): random mantissas of numbers in [1, 2), minus 1."""
    wide = dtype if dtype in STEPS else F32
    word, mantissa = STEPS[wide]
    drawn = random_bits(key, shape, word)
    one = {F64: 0x3FF0000000000000, F32: 0x3F800000}[wide]
    kept = op("shift_right", drawn, constant(word.bits - mantissa, word, shape))
    number = op("bitcast_convert", op("or", kept, constant(one, word, shape)), dtype=wide)
    return convert(op("subtract", number, constant(1, wide, shape)), dtype)


def between(key: Any, shape: Shape, dtype: DType, low: Any, high: Any) -> Array:
    """Uniform in [low, high)."""
    low, high = fitted(low, dtype, shape), fitted(high, dtype, shape)
    spread = op("add", op("multiply", unit(key, shape, dtype), op("subtract", high, low)), low)
    return op("maximum", low, spread)


@library(static=("shape", "dtype"))
def uniform(key: Any, shape: Any = (), dtype: Any = np.float64, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Uniform numbers in [minval, maxval)."""
    return between(key, as_shape(shape), float_type(dtype), minval, maxval)


def standard_normal(key: Any, shape: Shape, dtype: DType) -> Array:
    """sqrt(2) erfinv(u) for u uniform in (-1, 1)."""
    wide = dtype if dtype in STEPS else F32
    low = float(np.nextafter(wide.numpy.type(-1), wide.numpy.type(0)))
    u = between(key, shape, wide, low, 1.0)
    return convert(op("multiply", op("erf_inv", u), constant(math.sqrt(2), wide, shape)), dtype)


@library(static=("shape", "dtype"))
def normal(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Normal numbers of mean 0 and variance 1."""
    return standard_normal(key, as_shape(shape), float_type(dtype))


@library(static=("shape", "dtype"))
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Normal numbers given that they lie in (lower, upper)."""
    kind = float_type(dtype)
    size = full_shape(shape, lower, upper)
    root = constant(math.sqrt(0.5), kind, size)
    low, high = fitted(lower, kind, size), fitted(upper, kind, size)
    a, b = (op("erf", op("multiply", x, root)) for x in (low, high))
    u = op("add", op("multiply", unit(key, size, kind), op("subtract", b, a)), a)
    made = op("divide", op("erf_inv", u), root)
    inside = op("next_after", low, constant(math.inf, kind, size)), op("next_after", high,
                                                                          constant(-math.inf, kind, size))
    return op("minimum", op("maximum", made, inside[0]), inside[1])


@library(static=("shape",))
def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Any:
    """True with probability p."""
    size = full_shape(shape, p)
    kind = lift(p).type.dtype if lift(p).type.dtype.is_float else F64
    return op("compare", unit(key, size, kind), fitted(p, kind, size), direction="LT")


@library(static=("shape", "dtype"))
def exponential(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Exponential numbers of rate 1: -log(1 - u)."""
    size, kind = as_shape(shape), float_type(dtype)
    return op("negate", op("log_plus_one", op("negate", unit(key, size, kind))))


@library(static=("shape", "dtype"))
def gumbel(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Standard Gumbel numbers: -log(-log u)."""
    return standard_gumbel(key, as_shape(shape), float_type(dtype))


def standard_gumbel(key: Any, shape: Shape, dtype: DType) -> Array:
    u = between(key, shape, dtype, float(np.finfo(dtype.compute.numpy).tiny), 1.0)
    return op("negate", op("log", op("negate", op("log", u))))


@library(static=("axis", "shape"))
def categorical(key: Any, logits: Any, axis: int = -1, shape: Any = None) -> Any:
    """Positions along `axis`, with probabilities softmax(logits): the largest of logits plus Gumbel numbers.

    shape: of the result, to which the other axes broadcast; by default those axes.
    """
    array = lift(logits)
    rank = len(array.type.shape)
    axis %= rank
    rest = tuple(n for a, n in enumerate(array.type.shape) if a != axis)
    size = rest if shape is None else as_shape(shape)
    moved = NUMPY[np.moveaxis](array, axis, -1)
    whole = (*size, array.type.shape[axis])
    noise = standard_gumbel(key, whole, array.type.dtype)
    return op("reduce_argmax", op("add", noise, broadcast_to(moved, whole)), axis=len(whole) - 1)


@library(static=("shape", "dtype"))
def randint(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = np.int64) -> Any:
    """Integers in [minval, maxval), uniform up to 2^-64: the high word of a product of random bits and the range."""
    size, kind = as_shape(shape), dtype_of(np.dtype(dtype))
    low, high = fitted(minval, I64, size), fitted(maxval, I64, size)
    extent = convert(op("maximum", op("subtract", high, low), constant(1, I64, size)), U64)
    offset = convert(high_word(random_bits(key, size, U64), extent), I64)
    return convert(op("add", low, offset), kind)


def high_word(x: Array, y: Array) -> Array:
    """The upper 64 bits of the product of two u64, by 32-bit halves."""
    shape = x.type.shape
    half, mask = constant(32, U64, shape), constant(0xFFFFFFFF, U64, shape)

    def split_words(a: Array) -> tuple[Array, Array]:
        return op("shift_right", a, half), op("and", a, mask)

    (xh, xl), (yh, yl) = split_words(x), split_words(y)
    low, cross, other = op("multiply", xl, yl), op("multiply", xh, yl), op("multiply", xl, yh)
    carry = op("add", op("shift_right", low, half), op("and", cross, mask))
    middle = op("add", carry, other)
    return op("add", op("add", op("multiply", xh, yh), op("shift_right", cross, half)),
                op("shift_right", middle, half))


@library(static=("axis",))
def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The slices of `x` along an axis in random order; of an int n, the numbers below n."""
    array = lift(x)
    if not array.type.shape:
        raise ShapeError("permutation got a number that is traced", span=current_span(2),
                         why="the number of elements must be a size", fix="pass np.arange(n)")
    axis %= len(array.type.shape)
    order = random_order(key, array.type.shape[axis])
    return NUMPY[np.take](array, order, axis)


shuffle = permutation


def random_order(key: Any, count: Any) -> Array:
    """A random permutation of range(count): positions sorted by random words."""
    words = random_bits(key, (count,), U64)
    order: Array = emit("sort", words, iota((count,), 0), axis=0, num_keys=1, descending=False)[1]
    return order


@library(static=("shape", "replace", "axis"))
def choice(key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None, axis: int = 0) -> Any:
    """Random slices of `a` along an axis. p: probabilities; without, all are equally likely.

    replace: the same one may be drawn twice. Without replacement and with p: the largest of log p plus Gumbel noise.
    """
    array, size = lift(a), as_shape(shape)
    count = array.type.shape[axis]
    drawn = math.prod(size)
    if replace and p is None:
        at = randint(key, size, 0, lift_size(count))
    elif replace:
        at = categorical(key, NUMPY[np.log](lift(p)), shape=size)
    else:
        order = random_order(key, count) if p is None else _ordered_by(key, lift(p))
        at = NUMPY[np.reshape](order[:drawn], size)
    return NUMPY[np.take](array, at, axis)


def _ordered_by(key: Any, p: Array) -> Array:
    """Positions without replacement, by probability."""
    scores = op("add", op("log", p), standard_gumbel(key, p.type.shape, p.type.dtype))
    order: Array = emit("sort", scores, iota(p.type.shape, 0), axis=0, num_keys=1, descending=True)[1]
    return order


def lift_size(count: Any) -> Array:
    return constant(count, I64) if isinstance(count, int) else op("dimension", size=count)


@library(static=("shape", "dtype"))
def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Gamma numbers of shape parameter a and scale 1.

    Source: G. Marsaglia and W. Tsang, A simple method for generating gamma variables (2000); for a < 1 that of a + 1
    times u^(1/a).
    """
    kind = float_type(dtype)
    size = full_shape(shape, a)
    whole = fitted(a, kind, size)
    small = op("compare", whole, constant(1, kind, size), direction="LT")
    boosted = op("select", small, op("add", whole, constant(1, kind, size)), whole)
    keys = split(key, 2)
    drawn = NUMPY[np.reshape](accepted(keys[0], NUMPY[np.reshape](boosted, (-1,))), size)
    u = op("subtract", constant(1, kind, size), unit(keys[1], size, kind))
    factor = op("power", u, op("divide", constant(1, kind, size), whole))
    return op("multiply", drawn, op("select", small, factor, constant(1, kind, size)))


def accepted(key: Any, a: Array) -> Any:
    """Marsaglia and Tsang's rejection for a >= 1: rounds until every element has a number."""
    kind, shape = a.type.dtype, a.type.shape
    d: Any = NUMPY[np.subtract](a, constant(1 / 3, kind, shape))
    c: Any = constant(1 / 3, kind, shape) / NUMPY[np.sqrt](d)
    step: Any = constant(0, I64)
    done: Any = constant(False, BOOL, shape)
    value: Any = constant(0, kind, shape)

    def test() -> Any:
        return NUMPY[np.any](NUMPY[np.logical_not](done))

    def body() -> None:
        nonlocal step, done, value
        keys = split(fold_in(key, step), 2)
        x: Any = standard_normal(keys[0], shape, kind)
        u: Any = unit(keys[1], shape, kind)
        v = (1 + c * x) ** 3
        positive = v > 0
        safe = NUMPY[np.where](positive, v, 1.0)
        bound = 0.5 * x * x + d - d * safe + d * NUMPY[np.log](safe)
        takes = positive & (NUMPY[np.log1p](-u) < bound)
        value = NUMPY[np.where](done, value, NUMPY[np.where](takes, d * v, value))
        done = done | takes
        step = step + constant(1, I64)

    current().namespace.while_(test, body, ("step", "done", "value"))
    return value
