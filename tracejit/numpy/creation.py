"""Creation functions: zeros, ones, full, arange, linspace, eye, array, tri and the grids.

Flows in:  shapes of ints, sizes and traced ints; fill values; dtypes.
Flows out: constant and iota ops; the results own their memory and can be written.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.dims import Dim, Size
from tracejit.base.dtypes import BOOL, F64
from tracejit.numpy.index_forms import form_of
from tracejit.numpy.index_plans import true_positions
from tracejit.numpy.index_ranges import size_like
from tracejit.numpy.index_slices import has_hint, range_count
from tracejit.numpy.shapes import boxed, moveaxis, shape_view
from tracejit.numpy.support import (
    as_dtype,
    as_shape,
    as_size,
    compare,
    emit,
    fail,
    filled,
    finish,
    iota,
    iota_along,
    operand,
    placed,
    requested,
    select,
    shape_of,
    unsupported,
)
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import (
    broadcast_to,
    constant,
    convert,
    lift,
    result_dtype,
    static_int,
    static_value,
)
from tracejit.tracing.implements import NUMPY, implements
from tracejit.tracing.sizes import Size as TracedSize
from tracejit.tracing.sizes import size_of

Function = Callable[..., Any]


def _new(value: Any, shape: Any, dtype: Any) -> Array:
    return boxed(filled(value, requested(dtype, F64), as_shape(shape, late=True)))


@implements(np.zeros, np.empty)
def zeros(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    return _new(_scalar(0, dtype), shape, dtype)


@implements(np.ones)
def ones(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    return _new(_scalar(1, dtype), shape, dtype)


def _scalar(value: int, dtype: Any) -> Any:
    """0 or 1 as a number of the dtype's kind."""
    return {"b": bool, "i": int, "u": int, "f": float, "c": complex}[requested(dtype, F64).kind](value)


@implements(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None,
         like: Any = None) -> Any:
    value = lift(fill_value)
    value = convert(value, requested(dtype, value.type.dtype))
    return boxed(operand(broadcast_to(value, as_shape(shape, late=True))))


def _like(value: int) -> Function:
    def function(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
                 device: Any = None) -> Any:
        x = lift(a)
        kind = requested(dtype, x.type.dtype)
        return boxed(filled(_scalar(value, kind), kind, shape_of(x) if shape is None else as_shape(shape, late=True)))
    return function


zeros_like, ones_like = _like(0), _like(1)
implements(np.zeros_like, np.empty_like)(zeros_like)
implements(np.ones_like)(ones_like)


@implements(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
              device: Any = None) -> Any:
    x = lift(a)
    value = convert(lift(fill_value), requested(dtype, x.type.dtype))
    return boxed(operand(broadcast_to(value, shape_of(x) if shape is None else as_shape(shape, late=True))))


# ---- copies and conversions ------------------------------------------------------------------------------------


@implements(np.array)
def array(object: Any, dtype: Any = None, *, copy: Any = True, order: str = "K", subok: bool = False, ndmin: Any = 0,
          ndmax: Any = 0, like: Any = None) -> Any:
    """np.array: a copy."""
    x = lift(object)
    x = convert(operand(x), requested(dtype, x.type.dtype))
    missing = static_int(ndmin) - x.ndim
    return boxed(x if missing <= 0 else operand(shape_view(x, (*[1] * missing, *shape_of(x)))))


@implements(np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.asarray_chkfinite, np.require)
def asarray(a: Any, dtype: Any = None, *args: Any, copy: Any = None, **options: Any) -> Any:
    """The array itself where nothing has to change."""
    x = lift(a)
    wanted = x.type.dtype if dtype is None else as_dtype(dtype)
    if x.weak is None and wanted is x.type.dtype and copy is not True and not x.is_scalar:
        return x
    return boxed(convert(operand(x), wanted))


@implements(np.copy, "ndarray.copy")
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    x = operand(a)
    return boxed(convert(x, x.type.dtype))


@implements(np.astype, "ndarray.astype")
def astype(x: Any, dtype: Any, /, order: Any = None, casting: str = "unsafe", subok: bool = True, *, copy: Any = True,
           device: Any = None) -> Any:
    source, target = lift(x), as_dtype(dtype)
    if not np.can_cast(source.type.dtype.numpy, target.numpy, casting):  # type: ignore[arg-type]
        fail(TypeError, f"Cannot cast array data from {source.type.dtype.numpy!r} to {target.numpy!r} according to "
             f"the rule '{casting}'")
    if copy is False and source.type.dtype is target and source.weak is None:
        return source
    plain = operand(source)
    if plain.type.dtype.is_complex and not target.is_complex and target is not BOOL:
        plain = emit("real", plain)
    result = convert(plain, target)
    return boxed(result) if source.boxed else result


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    finish(lift(src), dst, where, casting, "copyto")


# ---- ranges ----------------------------------------------------------------------------------------------------


@implements(np.arange)
def arange(start: Any = None, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None,
           like: Any = None) -> Any:
    """np.arange; of ints and sizes the length may be known at run time only, other scalars become static."""
    if stop is None:
        start, stop = 0, start
    start, step = 0 if start is None else start, 1 if step is None else step
    kind = as_dtype(dtype) if dtype is not None else result_dtype(start, stop, step)
    count = _arange_count(start, stop, step)
    base = iota(count, kind if kind is not BOOL and not kind.is_complex else "i64")
    if not (_is_number(step, 1)):
        base = elementwise(np.multiply, base, convert(lift(step), kind))
    if not (_is_number(start, 0)):
        base = elementwise(np.add, base, convert(lift(start), kind))
    return convert(base, kind)


def _is_number(x: Any, value: int) -> bool:
    return type(x) in (int, float) and x == value


def _arange_count(start: Any, stop: Any, step: Any) -> Size:
    if all(isinstance(v, (int, TracedSize)) for v in (start, stop, step)) and isinstance(step, int):
        first, last = size_of(start), size_of(stop)
        if isinstance(first, Dim) or isinstance(last, Dim):
            assert first is not None and last is not None
            return (last - first + step - 1) // step if step > 0 else (first - last - step - 1) // -step
    if type(step) is int and step != 0 and all(map(_is_int, (start, stop))):
        return _run_time_count(start, stop, step)
    numbers = [static_value(v, "arange") if isinstance(v, Array) else int(v) if isinstance(v, TracedSize) else v
               for v in (start, stop, step)]
    if numbers[2] == 0:
        raise ZeroDivisionError("division by zero")
    return int(max(0, np.ceil((numbers[1] - numbers[0]) / numbers[2])))


def _is_int(x: Any) -> bool:
    return isinstance(x, (int, TracedSize)) or isinstance(x, Array) and x.ndim == 0 and x.type.dtype.is_integer


def _run_time_count(start: Any, stop: Any, step: int) -> Size:
    """The length of a range of traced ints."""
    distance = form_of(stop).plus(form_of(start), -1).known
    if isinstance(distance, int):
        return len(range(0, distance, step))
    return range_count(start, stop, step)


@implements(np.linspace)
def linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, retstep: bool = False, dtype: Any = None,
             axis: Any = 0, *, device: Any = None) -> Any:
    """np.linspace: start + i * step, and exactly stop at the end."""
    count = as_size(num, late=True)
    if isinstance(count, int) and count < 0:
        fail(ValueError, f"Number of samples, {count}, must be non-negative.")
    first, last = (elementwise(np.multiply, v, 1.0) for v in (start, stop))
    first, last = lift(first), lift(last)
    kind = result_dtype(first, last, 1.0)
    intervals = count - 1 if endpoint else count
    delta = lift(elementwise(np.subtract, last, first))
    rank = max(delta.ndim, 0)
    steps = convert(iota(count, "i64"), kind)
    shaped = emit("reshape", steps, shape=(count, *[1] * rank)) if rank else steps
    if intervals == 0:
        step: Any = float("nan")
        values = elementwise(np.multiply, shaped, delta)
    else:
        step = elementwise(np.true_divide, delta, _divisor(intervals))
        values = elementwise(np.multiply, shaped, step)
    values = elementwise(np.add, values, first)
    if endpoint and not (isinstance(count, int) and count <= 1):
        values = _with_last(values, last, count)
    if dtype is not None and as_dtype(dtype).is_integer:
        values = elementwise(np.floor, values)
    result = convert(values, requested(dtype, kind))
    if axis != 0:
        result = moveaxis(result, 0, axis)
    return (result, step) if retstep else result


def _divisor(intervals: Size) -> Any:
    """As a number to divide by: of one point, which only the run knows of, the step is not used."""
    if not isinstance(intervals, Dim):
        return intervals
    number = TracedSize(intervals)
    return number if has_hint(intervals) else NUMPY[np.maximum](number, 1)


def _with_last(values: Array, last: Array, count: Size) -> Array:
    """`values` with the last row replaced by exactly `last`."""
    shape = shape_of(values)
    at_end = compare("EQ", iota_along(shape, 0), _last_index(values, count))
    if isinstance(count, Dim) and not has_hint(count):
        at_end = emit("and", at_end, compare("GT", iota_along(shape, 0), 0))    # a single point is the first
    return select(at_end, broadcast_to(convert(last, values.type.dtype), shape), values)


def _last_index(values: Array, count: Size) -> Array:
    return size_like(count - 1, values)


@implements(np.logspace)
def logspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, base: Any = 10.0, dtype: Any = None,
             axis: Any = 0) -> Any:
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    result = elementwise(np.power, base, exponents)
    return result if dtype is None else convert(result, as_dtype(dtype))


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, dtype: Any = None, axis: Any = 0) -> Any:
    """Points at equal ratios; both ends exact."""
    first, last = lift(start), lift(stop)
    kind = result_dtype(first, last, 1.0)
    first, last = convert(first, kind), convert(last, kind)
    if kind.is_complex or first.ndim or last.ndim:
        unsupported("np.geomspace of arrays or complex numbers can't be compiled", fix="use np.exp(np.linspace(...))")
    sign = elementwise(np.sign, first)
    low, high = (elementwise(np.log10, elementwise(np.multiply, v, sign)) for v in (first, last))
    result = elementwise(np.multiply, logspace(low, high, num, endpoint), sign)
    count = as_size(num)
    if isinstance(count, int) and count > 0:
        at_start = compare("EQ", iota(count), 0)
        result = select(at_start, broadcast_to(first, (count,)), convert(result, kind))
        if endpoint and count > 1:
            result = _with_last(result, last, count)
    return result if dtype is None else convert(result, as_dtype(dtype))


# ---- matrices --------------------------------------------------------------------------------------------------


def diagonal_mask(rows: Size, columns: Size, offset: Any, direction: str) -> Array:
    """Where column - row compares so with offset."""
    shape = (rows, columns)
    row, column = iota_along(shape, 0), iota_along(shape, 1)
    if not (isinstance(offset, int) and offset == 0):
        shift = broadcast_to(convert(lift(offset), "i64"), shape)
        row = emit("add", row, shift)
    return emit("compare", column, row, direction=direction)


@implements(np.eye)
def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = None, order: str = "C", *, device: Any = None,
        like: Any = None) -> Any:
    rows = as_size(N, late=True)
    return convert(diagonal_mask(rows, rows if M is None else as_size(M, late=True), k, "EQ"), requested(dtype, F64))


@implements(np.identity)
def identity(n: Any, dtype: Any = None, *, like: Any = None) -> Any:
    return eye(n, dtype=dtype)


@implements(np.tri)
def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = None, *, like: Any = None) -> Any:
    rows = as_size(N)
    return convert(diagonal_mask(rows, rows if M is None else as_size(M), k, "LE"), requested(dtype, F64))


def _triangle(direction: str, shift: int) -> Function:
    def function(m: Any, k: Any = 0) -> Any:
        x = operand(m)
        x = x if x.ndim != 1 else broadcast_to(x, (shape_of(x)[0],) * 2)
        shape = shape_of(x)
        offset = k + shift if isinstance(k, int) else elementwise(np.add, k, shift)
        mask = diagonal_mask(shape[-2], shape[-1], offset, direction)
        zeros_ = filled(_scalar(0, x.type.dtype), x.type.dtype, shape)
        return select(placed(mask, shape, (x.ndim - 2, x.ndim - 1)), x, zeros_)
    return function


implements(np.tril)(_triangle("LE", 0))
implements(np.triu)(_triangle("GE", 0))


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    points = operand(x)
    if points.ndim != 1:
        fail(ValueError, "x must be a one-dimensional array or sequence.")
    rows = shape_of(points)[0]
    columns = rows if N is None else as_size(N)
    kind = result_dtype(points, 0)
    base = placed(convert(points, kind), (rows, columns), (0,))
    count = static_int(columns if isinstance(columns, int) else TracedSize(columns))
    powers = list(range(count)) if increasing else list(range(count))[::-1]
    exponent = constant(tuple(powers), "i64", (count,))
    return elementwise(np.power, base, placed(convert(exponent, kind), (rows, columns), (1,)))


# ---- grids -----------------------------------------------------------------------------------------------------


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if indexing not in ("xy", "ij"):
        fail(ValueError, "Valid values for `indexing` are 'xy' and 'ij'.")
    arrays = [operand(x) for x in xi]
    rank = len(arrays)
    places = list(range(rank))
    if indexing == "xy" and rank > 1:
        places[:2] = [1, 0]
    sizes: list[Size] = [1] * rank
    for place, x in zip(places, arrays):
        sizes[place] = x.type.size
    flat = [emit("reshape", x, shape=(x.type.size,)) if x.ndim != 1 else x for x in arrays]
    full_shapes = [sizes if not sparse else [n if i == p else 1 for i, n in enumerate(sizes)] for p in places]
    return tuple(placed(convert(x, x.type.dtype), s, (p,)) for x, s, p in zip(flat, full_shapes, places))


@implements(np.indices)
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    shape = as_shape(dimensions)
    kind = as_dtype(dtype)
    if sparse:
        return tuple(iota_along([n if i == d else 1 for i, n in enumerate(shape)], d, kind) for d in range(len(shape)))
    grids = [emit("reshape", iota_along(shape, d, kind), shape=(1, *shape)) for d in range(len(shape))]
    return emit("concatenate", *grids, axis=0) if len(grids) > 1 else grids[0]


@implements(np.fromfunction)
def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, like: Any = None,
                 **options: Any) -> Any:
    sizes = as_shape(shape, late=True)
    return function(*(iota_along(sizes, d, as_dtype(dtype)) for d in range(len(sizes))), **options)


@implements(np.ix_)
def ix_(*args: Any) -> Any:
    """Index arrays of an open mesh; masks give their positions."""
    made = []
    for place, sequence in enumerate(args):
        x = lift(sequence)
        if x.ndim != 1:
            fail(ValueError, "Cross index must be 1 dimensional")
        line = true_positions(x) if x.type.dtype is BOOL else x
        made.append(emit("reshape", line, shape=tuple(shape_of(line)[0] if i == place else 1
                                                      for i in range(len(args)))))
    return tuple(made)

