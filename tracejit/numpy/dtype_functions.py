"""Questions about dtypes: result_type, can_cast, isdtype, finfo and their like; scalar types as conversions.

Flows in:  tracers, dtypes and Python scalars.
Flows out: NumPy's own answers for the dtypes of the tracers; nothing is emitted but conversions.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.dtypes import DTYPES
from tracejit.numpy.shapes import boxed
from tracejit.numpy.support import as_dtype, emit, numpy_dtype, operand, unsupported
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.building import convert, lift
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import Size


def _asked(x: Any) -> Any:
    """What NumPy is asked with: the dtype of a tracer, a Python number for a weak one."""
    if isinstance(x, Size):
        return 0
    if isinstance(x, Array):
        return numpy_dtype(x) if x.weak is None else {"b": False, "i": 0, "f": 0.0, "c": 0j}[x.weak]
    return numpy_dtype(lift(x)) if type(x) in ARRAY_LIKE else x


def _delegate(function: Callable[..., Any]) -> None:
    implements(function)(lambda *args, **options: function(*map(_asked, args), **options))


for _function in (np.result_type, np.can_cast, np.promote_types, np.min_scalar_type, np.issubdtype, np.isdtype,
                  np.finfo, np.iinfo):
    _delegate(_function)


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    return np.common_type(*(np.empty(0, numpy_dtype(operand(a))) for a in arrays))


@implements(np.isscalar)
def isscalar(element: Any) -> bool:
    return element.is_scalar if isinstance(element, Array) else bool(np.isscalar(element)) or isinstance(element, Size)


@implements(np.iterable)
def iterable(y: Any) -> bool:
    return y.ndim > 0 if isinstance(y, Array) else bool(np.iterable(y))


@implements(np.isfortran)
def isfortran(a: Any) -> bool:
    return False


@implements(np.may_share_memory, np.shares_memory)
def may_share_memory(a: Any, b: Any, /, max_work: Any = None) -> bool:
    """Whether both are views of one array."""
    return isinstance(a, Array) and isinstance(b, Array) and a.owner is b.owner


@implements("ndarray.view")
def view_as(a: Any, dtype: Any = None, type: Any = None) -> Any:
    """The bits of each element as another dtype of the same width (a copy)."""
    x = lift(a)
    if dtype is None:
        return x
    target = as_dtype(dtype)
    if target is x.type.dtype:
        return x
    if target.bits != x.type.dtype.bits:
        unsupported(f"a view of {x.type.dtype} as {target} can't be compiled", why="the widths differ",
                    fix="use astype to convert values")
    if x.type.dtype.is_complex or "bool" in (x.type.dtype.name, target.name):
        return convert(operand(x), target)
    return emit("bitcast_convert", operand(x), dtype=target)


def _scalar_type(name: str) -> None:
    kind = DTYPES[name]

    def call(value: Any = 0) -> Any:
        x = operand(value)
        if x.type.dtype.is_complex and not kind.is_complex:
            x = emit("real", x)
        return boxed(convert(x, kind)) if x.ndim else convert(x, kind)
    implements(kind.numpy.type)(call)


for _name in DTYPES:
    if _name != "bf16":
        _scalar_type(_name)
