"""What functions of np.linalg share: their operands in double precision, checks, one failure for a whole stack.

Flows in:  arrays of any numbers; NumPy's rules: everything is computed in float64 or complex128, and single precision
           is what results are rounded to.
Flows out: stacks of matrices; NumPy's named tuples; its LinAlgError, now or when the compiled function runs.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.dtypes import C128, F64, DType
from tracejit.numpy.support import as_dtype, emit, fail, numpy_dtype, operand, shape_of, transposed
from tracejit.numpy.ufuncs import elementwise
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import assert_, convert
from tracejit.tracing.context import current
from tracejit.tracing.sizes import same_size, sized

_EYE = np.eye(1)
EigResult: Any = type(np.linalg.eig(_EYE))
EighResult: Any = type(np.linalg.eigh(_EYE))
QRResult: Any = type(np.linalg.qr(_EYE))
SVDResult: Any = type(np.linalg.svd(_EYE))
SlogdetResult: Any = type(np.linalg.slogdet(_EYE))


def results(op: str, *arrays: Array, **attributes: Any) -> tuple[Array, ...]:
    """All results of an op, of which there may be one."""
    made = emit(op, *arrays, **attributes)
    return made if isinstance(made, tuple) else (made,)


def result_type(*arrays: Array) -> DType:
    """The dtype of results: that of the operands where all are inexact."""
    for array in arrays:
        if numpy_dtype(array) == np.float16:
            fail(TypeError, f"array type {array.type.dtype.numpy_name} is unsupported in linalg",
                 fix="convert it to float32 first")
    single = all(a.type.dtype.is_inexact and a.type.dtype.real.bits == 32 for a in arrays)
    complex_ = any(a.type.dtype.is_complex for a in arrays)
    return as_dtype({(True, True): "c8", (True, False): "f4", (False, True): "c16", (False, False): "f8"}[
        single, complex_])


def doubled(array: Array, dtype: DType) -> Array:
    """In double precision, complex if `dtype` is."""
    return convert(array, C128 if dtype.is_complex else F64)


def stacked(x: Any) -> Array:
    """An operand of two axes at least."""
    array = operand(x)
    if array.ndim < 2:
        fail(np.linalg.LinAlgError, f"{array.ndim}-dimensional array given. Array must be at least two-dimensional")
    return array


def square(x: Any) -> Array:
    """An operand whose last two axes are equal."""
    array = stacked(x)
    m, n = shape_of(array)[-2:]
    if not same_size(m, n):
        fail(np.linalg.LinAlgError, "Last 2 dimensions of the array must be square")
    return array


def prepared(array: Array) -> tuple[Array, DType]:
    """The operand in double precision, and the dtype of results."""
    dtype = result_type(array)
    return doubled(array, dtype), dtype


def is_wide(array: Array) -> bool | None:
    """Whether rows are fewer than columns; the trace is specialised to the answer. None if only the run will tell."""
    m, n = shape_of(array)[-2:]
    return None if current().hint(m - n) is None else bool(sized(m) < sized(n))


def require_success(failed: Array, message: str) -> None:
    """LinAlgError at run time, at the user's line, if LAPACK failed on any matrix."""
    if failed.ndim:
        failed = emit("reduce_or", failed, axes=tuple(range(failed.ndim)))
    assert_(emit("not", failed), "LinAlgError", message)


def turned(x: Array) -> Array:
    """Rows become columns."""
    return transposed(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def adjoint(x: Array) -> Array:
    return elementwise(np.conjugate, turned(x))  # type: ignore[no-any-return]
