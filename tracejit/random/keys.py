"""Keys and random bits: the Threefry counter-based generator.

Flows in:  seeds and keys.
Flows out: keys, and arrays of independent random bits: element i is the cipher of i under the key, so that the numbers
           depend on nothing but key and position.

Source: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011): Threefry-2x32 with 20 rounds. Seeds,
splitting and the use of the two words are those of JAX's `threefry_partitionable`, so the streams are the same.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dims import Size
from tracejit.base.dtypes import I64, U8, U16, U32, U64, DType, dtype_of
from tracejit.base.errors import UnsupportedTypeError
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_to, constant, convert, emit, lift, shape_of
from tracejit.tracing.spans import current_span

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
Shape = tuple[Size, ...]


def op(name: str, *arrays: Array, **attributes: Any) -> Array:
    """One graph op with one result."""
    made: Array = emit(name, *arrays, **attributes)
    return made


# ---- the cipher ------------------------------------------------------------------------------------------------


def threefry(key: tuple[Array, Array], words: tuple[Array, Array]) -> tuple[Array, Array]:
    """The cipher of two arrays of counters, u32, under a key of two u32[]."""
    shape = words[0].type.shape
    first, second = (broadcast_to(k, shape) for k in key)
    third = _xor(_xor(first, second), _word(PARITY, shape))
    keys = (first, second, third)
    x, y = _add(words[0], first), _add(words[1], second)
    for group in range(5):
        for amount in ROTATIONS[group % 2]:
            x = _add(x, y)
            y = _xor(x, _rotated(y, amount))
        x = _add(x, keys[(group + 1) % 3])
        y = _add(_add(y, keys[(group + 2) % 3]), _word(group + 1, shape))
    return x, y


def _word(value: int, shape: Shape) -> Array:
    return constant(value, U32, shape)


def _add(x: Array, y: Array) -> Array:
    return op("add", x, y)


def _xor(x: Array, y: Array) -> Array:
    return op("xor", x, y)


def _rotated(x: Array, amount: int) -> Array:
    shape = x.type.shape
    return op("or", op("shift_left", x, _word(amount, shape)), op("shift_right", x, _word(32 - amount, shape)))


# ---- keys ------------------------------------------------------------------------------------------------------


def key_words(key: Any) -> tuple[Array, Array]:
    """The two words of a key. Raises UnsupportedTypeError for anything that is none."""
    array = lift(key)
    if array.type.dtype is not U32 or array.type.shape != (2,):
        raise UnsupportedTypeError(f"{array.type} is no key", span=current_span(2),
                                   why="a key is a uint32[2]", fix="make one: tj.random.key(seed)")
    first, second = [op("reshape", op("slice", array, start=(k,), limit=(k + 1,), stride=(1,)), shape=())
                     for k in (0, 1)]
    return first, second


def joined(words: tuple[Array, Array]) -> Array:
    """Two arrays of words as keys: (*shape, 2)."""
    shape = words[0].type.shape
    parts = [op("reshape", w, shape=(*shape, 1)) for w in words]
    return op("concatenate", *parts, axis=len(shape))


def positions(shape: Shape) -> tuple[Array, Array]:
    """The row-major number of every element, as high and low word."""
    count: Any = 1
    total = constant(0, U64, shape)
    for axis in reversed(range(len(shape))):
        along = convert(iota(shape, axis), U64)
        total = op("add", total, op("multiply", along, broadcast_to(convert(lift(count), U64), shape)))
        count = count * shape[axis]
    high = op("shift_right", total, constant(32, U64, shape))
    return convert(high, U32), convert(total, U32)


def iota(shape: Shape, axis: int) -> Array:
    return op("iota", dimension=axis, type=ArrayType(I64, shape))


def as_shape(shape: Any) -> Shape:
    """A shape argument: an int or a sequence of sizes."""
    return tuple(shape_of(shape if isinstance(shape, (tuple, list)) else (shape,)))


@library()
def key(seed: Any) -> Any:
    """A key from an integer seed, up to 64 bits."""
    number = convert(lift(seed), U64)
    high = convert(op("shift_right", number, constant(32, U64)), U32)
    return joined((high, convert(number, U32)))


@library(static=("num",))
def split(key: Any, num: Any = 2) -> Any:
    """`num` (an int or a shape) independent keys from one, which is not to be used again: uint32[num, 2]."""
    return joined(threefry(key_words(key), positions(as_shape(num))))


@library()
def fold_in(key: Any, data: Any) -> Any:
    """A key from a key and an integer: one per step, layer or worker, without splitting ahead."""
    number = convert(lift(data), U32)
    return joined(threefry(key_words(key), (constant(0, U32), number)))


@library(static=("shape", "dtype"))
def bits(key: Any, shape: Any = (), dtype: Any = np.uint32) -> Any:
    """Uniform random bits of an unsigned dtype (uint8 to uint64)."""
    return random_bits(key, as_shape(shape), dtype_of(np.dtype(dtype)))


def random_bits(key: Any, shape: Shape, dtype: DType) -> Array:
    if dtype not in (U8, U16, U32, U64):
        raise UnsupportedTypeError(f"random bits are unsigned integers, not {dtype}", span=current_span(2),
                                   fix="ask for uint8, uint16, uint32 or uint64")
    high, low = threefry(key_words(key), positions(shape))
    if dtype is U64:
        return op("or", op("shift_left", convert(high, U64), constant(32, U64, shape)), convert(low, U64))
    return convert(_xor(high, low), dtype)
