"""Random numbers of named distributions.

Flows in:  keys, shapes, parameters that broadcast to the shape.
Flows out: arrays. Most are one elementwise expression of the counter, so that they fuse with what uses them.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import F32, F64, I64, U32, U64, DType, dtype_of
from tracejit.base.errors import ShapeError, UnsupportedTypeError
from tracejit.random.keys import Shape, as_shape, iota, op, random_bits
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_shapes, broadcast_to, constant, convert, emit, lift
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


@library(static=("shape", "dtype"))
def laplace(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Laplace numbers of mean 0 and scale 1: sign(u) log(1 - |u|) for u uniform in (-1, 1)."""
    size, kind = as_shape(shape), float_type(dtype)
    u = between(key, size, kind, float(np.nextafter(kind.compute.numpy.type(-1), kind.compute.numpy.type(0))), 1.0)
    return op("multiply", op("sign", u), op("log_plus_one", op("negate", op("abs", u))))


@library(static=("shape", "dtype"))
def multivariate_normal(key: Any, mean: Any, cov: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Vectors (*shape, n) of normal numbers with means (..., n) and covariances (..., n, n), by their Cholesky factor.

    shape: without the axis of the vector; by default that of the other axes of mean and cov.
    """
    kind = float_type(dtype)
    center, matrix = convert(lift(mean), kind), convert(lift(cov), kind)
    batch = tuple(broadcast_shapes(center.type.shape[:-1], matrix.type.shape[:-2]))
    size = batch if shape is None else as_shape(shape)
    numbers = standard_normal(key, (*size, *center.type.shape[-1:]), kind)
    moved = NUMPY[np.matmul](NUMPY[np.linalg.cholesky](matrix), NUMPY[np.expand_dims](numbers, -1))
    return NUMPY[np.add](center, NUMPY[np.squeeze](moved, -1))


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
        at = randint(key, size, 0, count)
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
