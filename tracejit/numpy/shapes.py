"""Shape manipulation: reshape, transpose and their relatives, as views of the array where NumPy gives views.

Flows in:  arrays, shapes and axes as users write them.
Flows out: reshape, transpose, reverse and broadcast_in_dim ops; writing to a result writes the array.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from tracejit.base.dims import Size, divide_exactly, product
from tracejit.numpy.support import (
    as_shape,
    emit,
    expanded,
    fail,
    fail_shape,
    flattened,
    listed_axes,
    normal_axis,
    operand,
    reshaped,
    shape_of,
    transposed,
)
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import broadcast_shapes, broadcast_to, lift, static_int, view
from tracejit.tracing.context import current
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size, sized

Get = Callable[[Array], Array]


def shape_view(x: Array, shape: Sequence[Size]) -> Array:
    """`x` in another shape of as many elements, as a view."""
    old = shape_of(x)
    return view(x, lambda parent: reshaped(parent, shape), lambda _, new: reshaped(new, old))


def permuted_view(x: Array, permutation: Sequence[int]) -> Array:
    """`x` with its axes in another order, as a view."""
    inverse = sorted(range(len(permutation)), key=lambda i: permutation[i])
    return view(x, lambda parent: transposed(parent, permutation), lambda _, new: transposed(new, inverse))


# ---- reshape ---------------------------------------------------------------------------------------------------


def resolve_shape(x: Array, shape: Any) -> tuple[Size, ...]:
    """A shape argument with its -1 replaced; ValueError if the number of elements differs."""
    sizes = list(_shape_argument(shape))
    total = x.type.size
    unknown = [i for i, n in enumerate(sizes) if isinstance(n, int) and n == -1]
    if len(unknown) > 1:
        fail(ValueError, "can only specify one unknown dimension")
    if unknown:
        rest = product(n for i, n in enumerate(sizes) if i != unknown[0])
        quotient = divide_exactly(total, rest)
        if quotient is None:
            _refuse_reshape(x, shape)
        sizes[unknown[0]] = quotient
    elif not same_size(product(sizes), total):
        _refuse_reshape(x, shape)
    return tuple(sizes)


def _shape_argument(shape: Any) -> tuple[Size, ...]:
    items = shape if isinstance(shape, (tuple, list)) else (shape,)
    if any(isinstance(n, int) and n == -1 for n in items):
        return tuple(-1 if isinstance(n, int) and n == -1 else as_shape((n,))[0] for n in items)
    return as_shape(shape)


def _refuse_reshape(x: Array, shape: Any) -> NoReturn:
    if x.type.symbols() and current().hint(x.type.size) is not None:
        current().concrete_size(x.type.size)    # whether it fits depends on the size: traced again for this one
    fail_shape(f"cannot reshape array of size {x.type.size} into shape {shape}",
               why=f"{x.type} has {x.type.size} elements", fix="give a shape with as many elements, or one -1")


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: Any = None) -> Any:
    """np.reshape; order 'F' counts the first axis fastest."""
    x = lift(a)
    sizes = resolve_shape(x, shape)
    if order == "F":
        turned = permuted_view(shape_view(permuted_view(x, _reversed(x.ndim)), sizes[::-1]), _reversed(len(sizes)))
        return boxed(turned)
    return boxed(shape_view(x, sizes) if copy is not True else reshaped(operand(x), sizes))


def _reversed(ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim))[::-1]


def boxed(x: Array) -> Array:
    """Rank 0 as an ndarray instead of a NumPy scalar."""
    if x.ndim == 0 and x.kind == "numpy":
        x.boxed = True
    return x


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    x = lift(a)
    return shape_view(permuted_view(x, _reversed(x.ndim)) if order == "F" else x, (x.type.size,))


@implements("ndarray.flatten")
def flatten(a: Any, order: str = "C") -> Any:
    """A copy in one axis."""
    x = operand(a)
    return flattened(transposed(x, _reversed(x.ndim)) if order == "F" else x)


# ---- axes ------------------------------------------------------------------------------------------------------


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    x = lift(a)
    if axes is None:
        return permuted_view(x, _reversed(x.ndim))
    permutation = listed_axes(axes, x.ndim)
    if len(permutation) != x.ndim:
        fail(ValueError, "axes don't match array")
    return permuted_view(x, permutation)


implements(np.permute_dims)(transpose)


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    x = lift(x)
    if x.ndim < 2:
        fail(ValueError, f"Input array must be at least 2-dimensional, but it is {x.ndim}")
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    x = lift(a)
    permutation = list(range(x.ndim))
    i, j = normal_axis(axis1, x.ndim, "axis1"), normal_axis(axis2, x.ndim, "axis2")
    permutation[i], permutation[j] = j, i
    return permuted_view(x, permutation)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    x = lift(a)
    sources = listed_axes(source, x.ndim, "source")
    targets = listed_axes(destination, x.ndim, "destination")
    if len(sources) != len(targets):
        fail(ValueError, "`source` and `destination` arguments must have the same number of elements")
    order = [a for a in range(x.ndim) if a not in sources]
    for target, origin in sorted(zip(targets, sources)):
        order.insert(target, origin)
    return permuted_view(x, order)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    x = lift(a)
    axis, start = normal_axis(axis, x.ndim), static_int(start)
    start = start + x.ndim if start < 0 else start
    order = [a for a in range(x.ndim) if a != axis]
    order.insert(start - 1 if axis < start else start, axis)
    return permuted_view(x, order)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    x = lift(a)
    items = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = listed_axes(axis, x.ndim + len(items))
    rest = iter(shape_of(x))
    return shape_view(x, [1 if i in axes else next(rest) for i in range(x.ndim + len(axes))])


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    x = lift(a)
    shape = shape_of(x)
    axes = [i for i, n in enumerate(shape) if n == 1] if axis is None else listed_axes(axis, x.ndim)
    if any(shape[i] != 1 for i in axes):
        fail(ValueError, "cannot select an axis to squeeze out which has size not equal to one")
    return boxed(shape_view(x, [n for i, n in enumerate(shape) if i not in axes]))


def _atleast(rank: int, to_shape: Callable[[tuple[Size, ...]], tuple[Size, ...]]) -> Callable[..., Any]:
    def function(*arrays: Any) -> Any:
        results = tuple(shape_view(x, to_shape(shape_of(x))) if x.ndim < rank else x for x in map(lift, arrays))
        return results[0] if len(results) == 1 else results
    return function


def _three(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    return {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)]


implements(np.atleast_1d)(_atleast(1, lambda shape: (1,)))
implements(np.atleast_2d)(_atleast(2, lambda shape: (1,) * (2 - len(shape)) + shape))
implements(np.atleast_3d)(_atleast(3, _three))


# ---- broadcasting ----------------------------------------------------------------------------------------------


@implements(np.broadcast_to)
def broadcast_to_shape(array: Any, shape: Any, subok: bool = False) -> Any:
    """np.broadcast_to; the result is read-only."""
    x = lift(array)
    result = broadcast_to(operand(x), as_shape(shape))
    result.writeable = False
    return result


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    arrays = [operand(a) for a in args]
    shape = broadcast_shapes(*map(shape_of, arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


@implements(np.broadcast_shapes)
def shape_of_broadcast(*args: Any) -> Any:
    return tuple(map(sized, broadcast_shapes(*map(as_shape, args))))


# ---- reversals -------------------------------------------------------------------------------------------------


def reversed_view(x: Array, axes: Sequence[int]) -> Array:
    """Elements in the opposite order along axes, as a view."""
    def flip_(y: Array) -> Array:
        return emit("reverse", y, axes=tuple(sorted(axes))) if axes else y
    return view(x, flip_, lambda _, new: flip_(new))


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = lift(m)
    return reversed_view(x, range(x.ndim) if axis is None else listed_axes(axis, x.ndim))


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    x = lift(m)
    if x.ndim < 2:
        fail(ValueError, "Input must be >= 2-d.")
    return flip(x, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    x = lift(m)
    if x.ndim < 1:
        fail(ValueError, "Input must be >= 1-d.")
    return flip(x, 0)


@implements(np.rot90)
def rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    x = lift(m)
    turns, (i, j) = static_int(k) % 4, tuple(axes)
    if len(tuple(axes)) != 2 or i == j or abs(i - j) == x.ndim:
        fail(ValueError, "Axes must be different.")
    if turns == 0:
        return flip(x, ())
    if turns == 2:
        return flip(flip(x, i), j)
    return swapaxes(flip(x, j), i, j) if turns == 1 else flip(swapaxes(x, i, j), j)


# ---- what is known of a shape ----------------------------------------------------------------------------------


@implements(np.shape)
def shape_(a: Any) -> Any:
    return lift(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    return lift(a).ndim


@implements(np.size)
def size(a: Any, axis: Any = None) -> Any:
    x = lift(a)
    if axis is None:
        return x.size
    count: Any = 1
    for i in listed_axes(axis, x.ndim):
        count = count * x.shape[i]
    return count


def unit_axes(x: Array, ndim: int) -> Array:
    """`x` with axes of size 1 in front, up to rank `ndim`."""
    return expanded(x, range(ndim - x.ndim)) if x.ndim < ndim else x

