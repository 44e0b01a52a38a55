"""What every family of NumPy functions needs: axes, errors with the user's line, `out=` and `where=`, static values.

Flows in:  arguments as users write them.
Flows out: normal forms (axes as sorted non-negative tuples, shapes of ints and `Dim`s) and NumPy's own errors.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from tracejit.base.dims import Dim, Size, product
from tracejit.base.dtypes import BF16, BOOL, F32, DType, dtype_of
from tracejit.base.errors import (
    DtypeError,
    ShapeError,
    TracedIndexError,
    TracejitError,
    UnsupportedError,
)
from tracejit.base.types import ArrayType
from tracejit.numpy.index_forms import Form, form_of, is_non_negative, lowest
from tracejit.tracing import building
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import (
    assert_,
    broadcast_to,
    constant,
    convert,
    lift,
    scalar_paths,
    static_int,
    write,
)
from tracejit.tracing.context import current
from tracejit.tracing.sizes import size_of
from tracejit.tracing.spans import current_span

emit: Callable[..., Array] = building.emit    # of an op with one result
emit_all: Callable[..., tuple[Array, ...]] = building.emit    # of an op with several
NO_VALUE: Any = np._NoValue    # NumPy's own mark of an argument that was not given


class AxisError(TracejitError, np.exceptions.AxisError):
    """An axis is out of range: `np.sum(x, axis=2)` of a matrix."""

    def __init__(self, message: str, **details: Any):
        np.exceptions.AxisError.__init__(self, message)
        TracejitError.__init__(self, message, **details)

    __str__ = TracejitError.__str__


class ArgumentError(TracejitError, ValueError):
    """An argument has a value that NumPy refuses: `np.sum(x, axis=(0, 0))`."""


class ArgumentTypeError(TracejitError, TypeError):
    """An argument has a type that NumPy refuses: `np.zeros("three")`."""


class LinearAlgebraError(TracejitError, np.linalg.LinAlgError):
    """Matrices of a shape that np.linalg refuses: `np.linalg.inv(np.ones((2, 3)))`."""


_ERRORS: dict[type[BaseException], type[TracejitError]] = {    # fixed table: NumPy's error -> the same with a line
    ValueError: ArgumentError, TypeError: ArgumentTypeError, IndexError: TracedIndexError,
    NotImplementedError: UnsupportedError, np.exceptions.AxisError: AxisError,
    np.linalg.LinAlgError: LinearAlgebraError}


def fail(kind: type[BaseException], message: str, *, why: str = "", fix: str = "") -> NoReturn:
    """Raises NumPy's error of this kind and message at the user's line."""
    raise _ERRORS[kind](message, span=current_span(2), why=why, fix=fix)


def unsupported(message: str, *, why: str = "", fix: str = "") -> NoReturn:
    raise UnsupportedError(message, span=current_span(2), why=why, fix=fix)


def fail_shape(message: str, *, why: str = "", fix: str = "") -> NoReturn:
    raise ShapeError(message, span=current_span(2), why=why, fix=fix)


def fail_dtype(message: str, *, why: str = "", fix: str = "") -> NoReturn:
    raise DtypeError(message, span=current_span(2), why=why, fix=fix)


def refuse_arguments(function: str, **given: Any) -> None:
    """UnsupportedError for the first argument that is not at its default (None or False)."""
    for name, value in given.items():
        if value is not None and value is not False and value is not NO_VALUE:
            unsupported(f"{function}({name}=...) can't be compiled", fix=f"leave {name}= out")


def operand(x: Any) -> Array:
    """The content of `x` now: a tracer that shares no memory with it, so that a result may be the operand itself."""
    array = lift(x)
    return Array(array.value, array.scope, array.kind, array.weak)


# ---- sizes and axes --------------------------------------------------------------------------------------------


def shape_of(x: Array) -> tuple[Size, ...]:
    """The shape as ints and `Dim`s: comparisons of it record no guards."""
    return x.type.shape


def is_static(size: Size) -> bool:
    return isinstance(size, int)


def normal_axis(given: Any, ndim: int, name: str = "axis") -> int:
    """A non-negative axis; AxisError as NumPy's."""
    axis: int = static_int(given)
    if not -ndim <= axis < ndim:
        prefix = "" if name == "axis" else f"{name}: "
        fail(np.exceptions.AxisError, f"{prefix}axis {axis} is out of bounds for array of dimension {ndim}")
    return axis + ndim if axis < 0 else axis


def normal_axes(axis: Any, ndim: int, name: str = "axis") -> tuple[int, ...]:
    """Sorted axes: all of them for None."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(listed_axes(axis, ndim, name)))


def listed_axes(axis: Any, ndim: int, name: str = "axis") -> tuple[int, ...]:
    """Non-negative axes in the order given; ValueError for one that repeats."""
    items = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(normal_axis(a, ndim, name) for a in items)
    if len(set(axes)) != len(axes):
        fail(ValueError, f"repeated axis in `{name}` argument" if name != "axis" else "duplicate value in 'axis'")
    return axes


def as_size(value: Any, late: bool = False) -> Size:
    """An int, `Size` or traced int as a size of a shape. What is traced gives a size known at run time; scalar
    arguments are made static, except for arrays that are made anew (late).
    """
    size = size_of(value)
    if size is None:
        if isinstance(value, float) or (isinstance(value, Array) and value.type.dtype.kind not in "iub"):
            fail(TypeError, "'float' object cannot be interpreted as an integer",
                 fix="write int(...) or // for sizes")
        traced = isinstance(value, Array) and not value.ndim and form_of(value).terms and (
            late or not scalar_paths(value))
        size = _size_of_number(convert(value, "i64")) if traced else static_int(value)
    return size


def _size_of_number(number: Array) -> Size:
    """A traced int as a size; ValueError at run time if it is negative."""
    form = form_of(number)
    if not is_non_negative(lowest(form, lambda value: (None, None))):
        assert_(emit("compare", number, constant(0, "i64"), direction="GE"), "ValueError",
                "negative dimensions are not allowed")
    return bound_size(number, form)


def as_shape(shape: Any, late: bool = False) -> tuple[Size, ...]:
    """A shape argument: one size, or a sequence of them. late: as of `as_size`."""
    if isinstance(shape, Array) and shape.ndim == 1:
        shape = [shape[i] for i in range(static_int(shape.shape[0]))]
    if not isinstance(shape, (tuple, list)):
        if isinstance(shape, np.ndarray) and shape.ndim == 1:
            shape = shape.tolist()
        else:
            shape = (shape,)
    sizes = tuple([as_size(n, late) for n in shape])
    if any(isinstance(n, int) and n < 0 for n in sizes):
        fail(ValueError, "negative dimensions are not allowed")
    return sizes


def size_scalar(size: Size) -> Any:
    """A size as a number to compute with: an int, or the traced scalar of a `Dim`."""
    return size if isinstance(size, int) else emit("dimension", size=size)


def runtime_size(count: Array, counted: bool = False) -> Size:
    """A size that is known only at run time: `count` (i64[], not negative) from here on. One count, one symbol.

    counted: reads with this size stay in bounds even if `count` is smaller, so that it may be checked after them.
    """
    context, scope = current(), current().scope
    value = scope.origin(count.value)
    if value.node is not None and value.node.op.name == "constant":
        return int(value.node.attributes["value"])
    size: Size | None = scope.fact(("size", value))
    if size is None:
        name = context.fresh_dim()
        if counted:
            context.counted.add(name)
        if (paths := scalar_paths(count)):
            context.size_paths[name] = paths
        size = scope.facts["size", value] = _bound(count, name)
    return size


def bound_size(count: Array, form: Form | None = None) -> Size:
    """The run-time size `count`, which is not negative. form: what it is a sum of; equal sums are one size, and a sum
    that is greater by a number is that size and the number."""
    if form is None:
        return runtime_size(count, True)
    if form.known is not None:
        return form.known
    scope, key = current().scope, ("count", form.terms)
    if (found := scope.fact(key)) is not None:
        least, known = found
        if is_non_negative(more := form.size - least):
            greater: Size = known + more
            return greater
    size = runtime_size(count, True)
    scope.facts[key] = form.size, size
    if isinstance(size, Dim) and size.as_symbol is not None:
        scope.facts["dim", size.as_symbol] = form
    return size


def _bound(count: Array, name: str) -> Size:
    """The symbol `name` with the value of `count`; or the size that it met, which `count` must be equal to."""
    size = current().decisions.resolve(Dim.symbol(name))
    if size == Dim.symbol(name):
        emit("bind_dim", count, dim=name)
        return size
    expected = convert(size_scalar(size), "i64")
    assert_(emit("compare", count, expected, direction="EQ"), "ValueError",
            "operands could not be broadcast together with shapes ({0},) ({1},)", expected, count)
    return size


def count_of(x: Array, axes: Sequence[int]) -> Size:
    """The number of elements along axes."""
    shape = shape_of(x)
    return product(shape[a] for a in axes)


# ---- small emitters, which emit nothing where there is nothing to do -------------------------------------------


def reshaped(x: Array, shape: Sequence[Size]) -> Array:
    """`x` with the same elements in another shape."""
    shape = tuple(shape)
    return x if shape == shape_of(x) else emit("reshape", x, shape=shape)


def transposed(x: Array, permutation: Sequence[int]) -> Array:
    permutation = tuple(permutation)
    return x if permutation == tuple(range(len(permutation))) else emit("transpose", x, permutation=permutation)


def placed(x: Array, shape: Sequence[Size], dims: Sequence[int]) -> Array:
    """`broadcast_in_dim` where it changes something."""
    shape, dims = tuple(shape), tuple(dims)
    if shape == shape_of(x):
        return x
    return emit("broadcast_in_dim", x, shape=shape, dims=dims)


def flattened(x: Array) -> Array:
    """`x` as one axis, in row-major order."""
    return reshaped(x, (x.type.size,))


def sliced(x: Array, axis: int, start: Size, limit: Size, stride: int = 1) -> Array:
    """Elements start, start + stride, ... below limit of one axis."""
    shape = shape_of(x)
    if start == 0 and limit == shape[axis] and stride == 1:
        return x
    return emit("slice", x, start=tuple(start if a == axis else 0 for a in range(len(shape))),
                limit=tuple(limit if a == axis else n for a, n in enumerate(shape)),
                stride=tuple(stride if a == axis else 1 for a in range(len(shape))))


def expanded(x: Array, axes: Sequence[int]) -> Array:
    """`x` with axes of size 1 at these places of the result."""
    rest = iter(shape_of(x))
    return reshaped(x, [1 if a in axes else next(rest) for a in range(x.ndim + len(axes))])


def iota(size: Size, dtype: Any = "i64") -> Array:
    """0, 1, ... size - 1."""
    return iota_along((size,), 0, dtype)


def iota_along(shape: Sequence[Size], dimension: int, dtype: Any = "i64") -> Array:
    made = emit("iota", dimension=dimension, type=ArrayType(dtype_of(dtype), tuple(shape)))
    return made


def filled(value: Any, dtype: Any, shape: Sequence[Size]) -> Array:
    """A splat of a Python scalar."""
    return constant(value, dtype_of(dtype), tuple(shape))


def like(x: Array, value: Any) -> Array:
    """A splat of the type of `x`."""
    return constant(value, x.type.dtype, shape_of(x))


def select(pred: Array, x: Any, y: Any) -> Array:
    """`x` where `pred`, else `y`; Python numbers take the other's type, shapes are `pred`'s."""
    kept = x if isinstance(x, Array) else y
    x, y = (v if isinstance(v, Array) else like(kept, v) for v in (x, y))
    return emit("select", pred, x, y)


def compare(direction: str, x: Array, y: Any) -> Array:
    """Elementwise comparison; a Python number takes the type of `x`."""
    return emit("compare", x, y if isinstance(y, Array) else like(x, y), direction=direction)


def as_bool(x: Any) -> Array:
    return convert(x, BOOL)


def as_index(x: Array) -> Array:
    """Indices as i64."""
    return convert(x, "i64")


# ---- dtypes ----------------------------------------------------------------------------------------------------


def numpy_dtype(x: Array) -> np.dtype[Any]:
    """The dtype that NumPy's rules are asked with; bfloat16 asks as float16."""
    return np.dtype(np.float16) if x.type.dtype is BF16 else x.type.dtype.numpy


def is_half(dtype: DType) -> bool:
    return dtype.kind == "f" and dtype.bits == 16


def widened(x: Array) -> Array:
    """16-bit floats as f32, in which NumPy accumulates them."""
    return convert(x, F32) if is_half(x.type.dtype) else x


def as_dtype(spec: Any) -> DType:
    """A dtype as NumPy's users write it: "i8" has eight bytes, while `i8` of a graph has eight bits."""
    if isinstance(spec, DType):
        return spec
    if spec == "bfloat16" or getattr(spec, "__name__", "") == "bfloat16":
        return BF16
    try:
        return dtype_of(np.dtype(spec))
    except TypeError as error:
        fail(TypeError, str(error), fix="use a bool, integer, float or complex dtype")


def requested(dtype: Any, default: Any) -> DType:
    """The `dtype=` argument, or a default."""
    return as_dtype(default if dtype is None else dtype)


# ---- out=, where=, casting= ------------------------------------------------------------------------------------


def finish(result: Array, out: Any = None, where: Any = True, casting: Any = "same_kind", name: str = "") -> Any:
    """The result, written to `out` where `where` holds; without `out` the rest is undefined in NumPy too."""
    if out is None or out is NO_VALUE:
        return result
    if isinstance(out, tuple):
        (out,) = out
    target = lift(out)
    if not np.can_cast(numpy_dtype(result), numpy_dtype(target), casting):
        fail(TypeError, f"Cannot cast ufunc '{name}' output from {numpy_dtype(result)!r} to {numpy_dtype(target)!r} "
             f"with casting rule '{casting}'", fix="give out= the dtype of the result, or casting='unsafe'")
    result = fitted(convert(result, target.type.dtype), target)
    if where is not True and where is not NO_VALUE:
        result = emit("select", broadcast_to(as_bool(where), shape_of(target)), result, target)
    write(target, Ellipsis, result)
    return out


def fitted(result: Array, target: Array) -> Array:
    """`result` broadcast to the shape of an output argument."""
    if result.ndim > target.ndim:
        fail(ValueError, f"non-broadcastable output operand with shape {target.shape} doesn't match the broadcast "
             f"shape {result.shape}")
    return broadcast_to(result, shape_of(target))
