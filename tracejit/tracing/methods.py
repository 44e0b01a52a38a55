"""The methods of `ndarray` on tracers: NumPy functions of the same name, and the few that have none.

Flows in:  method calls of user code.
Flows out: calls of implementations in `NUMPY`; methods that change the array write it.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.tracing.arrays import Array, static_value
from tracejit.tracing.building import convert, lift, shape_of, view, write
from tracejit.tracing.implements import NUMPY

_SAME_NAME = ("all any argmax argmin argsort choose clip compress copy cumprod cumsum diagonal dot max mean "
              "min nonzero prod put ravel repeat round searchsorted squeeze std sum swapaxes take trace var "
              "argpartition").split()
# Methods without a NumPy function; the front end implements them under these keys: f(array, *args, **options).
_OWN_KEY = "astype flatten view byteswap".split()


def _by_function(function: Any) -> Callable[..., Any]:
    def method(self: Array, *args: Any, **options: Any) -> Any:
        return NUMPY[function](self, *args, **options)
    method.__name__ = function if isinstance(function, str) else function.__name__
    return method


def reshape(self: Array, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))`."""
    target = shape[0] if len(shape) == 1 else shape
    made = NUMPY[np.reshape](self, target, order=order)
    return NUMPY[np.copy](made) if copy else made


def transpose(self: Array, *axes: Any) -> Any:
    """`x.transpose()`, `x.transpose(1, 0)` and `x.transpose((1, 0))`."""
    return NUMPY[np.transpose](self, axes[0] if len(axes) == 1 else axes or None)


def fill(self: Array, value: Any) -> None:
    """Every element becomes `value`."""
    write(self, ..., value)


def sort(self: Array, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    """Sorts in place."""
    write(self, ..., NUMPY[np.sort](self.snapshot(), axis=axis))


def partition(self: Array, kth: Any, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    """In place; a sorted array is partitioned everywhere."""
    write(self, ..., NUMPY[np.partition](self.snapshot(), kth, axis=axis))


def item(self: Array, *index: Any) -> Any:
    """A Python scalar, which stays traced."""
    element = self[index[0] if len(index) == 1 and isinstance(index[0], tuple) else index] if index else self
    flat = element if not element.type.shape else NUMPY[np.reshape](element.snapshot(), ())
    return as_python(flat)


def as_python(array: Array) -> Array:
    """A rank-0 array as a Python number: bool, int, float or complex, weak from here on."""
    dtype = array.type.dtype
    weak, wide = {"b": ("b", "bool"), "i": ("i", "i64"), "u": ("i", "i64"), "f": ("f", "f64"), "c": ("c", "c128")}[
        dtype.kind]
    made = convert(array, wide)
    return Array(made.value, made.scope, "python", weak)


def tolist(self: Array) -> Any:
    """Nested lists of traced Python numbers; sizes become static."""
    if not self.type.shape:
        return as_python(self)
    return [tolist(self[i]) for i in range(int(self.shape[0]))]


def is_integer(self: Array) -> Any:
    """float.is_integer; a Python bool."""
    made = NUMPY[np.equal](NUMPY[np.floor](self), self)
    return Array(made.value, made.scope, "python", "b")


def conjugate_number(self: Array) -> Any:
    made = NUMPY[np.conjugate](self)
    return made if self.weak is None else Array(made.value, made.scope, "python", self.weak)


def flat(self: Array) -> Any:
    """All elements in C order, as a view."""
    shape = self.type.shape

    def get(parent: Array) -> Array:
        return NUMPY[np.reshape](parent, -1)    # type: ignore[no-any-return]

    def put(_: Array, new: Array) -> Array:
        return NUMPY[np.reshape](new, shape)    # type: ignore[no-any-return]
    return view(self, get, put)


def set_flat(self: Array, value: Any) -> None:
    """`x.flat = v` repeats v as often as needed."""
    write(self, ..., NUMPY[np.resize](lift(value), shape_of(self.shape)))


def numpy(self: Array) -> Array:
    """`Tensor.numpy`: the same content as an ndarray."""
    if self.kind != "tensor":
        raise AttributeError("'numpy.ndarray' object has no attribute 'numpy'")
    return Array(self.value, self.scope, "numpy", boxed=True)


def _install() -> None:
    for name in _SAME_NAME:
        setattr(Array, name, _by_function(getattr(np, name)))
    for name in _OWN_KEY:
        setattr(Array, name, _by_function(f"ndarray.{name}"))
    for method in (reshape, transpose, fill, sort, partition, item, tolist, is_integer, numpy):
        setattr(Array, method.__name__, method)
    for name, value in (("conj", conjugate_number), ("conjugate", conjugate_number), ("flat", property(flat, set_flat)),
                        ("__round__", lambda self, digits=None: NUMPY[("python", round)](self, digits))):
        setattr(Array, name, value)


_install()

__all__ = ["Array", "as_python", "static_value"]
