"""`Tensor`: an immutable array. Functions that get one give Tensors back.

Flows in:  anything `np.array` takes.
Flows out: Tensors; each operation outside of a compiled function is a compiled function of its own, made when it is
           first used, so that its native dispatch serves it.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NoReturn

import numpy as np

from tracejit.api.function import function
from tracejit.base.errors import MutationError, UnsupportedTypeError
from tracejit.base.options import config
from tracejit.tracing.arrays import ARRAY_LIKE, KINDS, Array
from tracejit.tracing.building import lift
from tracejit.tracing.context import active
from tracejit.tracing.implements import NUMPY, READ, UPDATE
from tracejit.tracing.spans import current_span

UNARY = "neg pos abs invert".split()
BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod".split()
COMPARISONS = "eq ne lt le gt ge".split()
PROPERTIES = "T mT real imag".split()
METHODS = """all any argmax argmin argsort astype clip conj conjugate cumprod cumsum diagonal dot flatten max mean min
    nonzero prod ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace transpose var""".split()


class Tensor:
    """An immutable n-dimensional array. `t.at[i].set(v)` gives a changed copy; `t.numpy()` the content as an ndarray.

    `_data` is the ndarray, which compiled code reads and makes; it is never handed out writable.
    """

    __slots__ = ("__weakref__", "_data")
    _data: Any

    def __init__(self, value: Any, dtype: Any = None):
        data = np.array(value._data if isinstance(value, Tensor) else value, dtype)
        require_numbers(data, "a Tensor")
        object.__setattr__(self, "_data", data)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Tensor is immutable; its attribute {name!r} can't be set")

    def numpy(self) -> np.ndarray[Any, Any]:
        """The content as a read-only ndarray, without a copy."""
        view: np.ndarray[Any, Any] = self._data.view()
        view.flags.writeable = False
        return view

    @property
    def dtype(self) -> Any:
        return self._data.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._data.shape)

    @property
    def ndim(self) -> int:
        return int(self._data.ndim)

    @property
    def size(self) -> int:
        return int(self._data.size)

    @property
    def nbytes(self) -> int:
        return int(self._data.nbytes)

    @property
    def itemsize(self) -> int:
        return int(self._data.itemsize)

    @property
    def at(self) -> TensorAt:
        """`t.at[index].set(v)`: a changed copy."""
        return TensorAt(self)

    def __getitem__(self, index: Any) -> Any:
        return call(READ, self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise MutationError("a Tensor can't be changed in place", span=current_span(2), why="Tensors are immutable",
                            fix="t = t.at[i].set(v), or use a NumPy array")

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __contains__(self, item: Any) -> bool:
        return bool((self._data == (item._data if isinstance(item, Tensor) else item)).any())

    def __bool__(self) -> bool:
        return bool(self._data)

    def __int__(self) -> int:
        return int(self._data)

    def __float__(self) -> float:
        return float(self._data)

    def __complex__(self) -> complex:
        return complex(self._data)

    def __index__(self) -> int:
        return int(self._data.__index__())

    def __round__(self, digits: int = 0) -> Any:
        return call_method("round", self, digits)

    __hash__ = None    # type: ignore[assignment]

    def item(self, *index: Any) -> Any:
        """A Python number."""
        return self._data.item(*index)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._data.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        data = self.numpy()
        if dtype is not None and data.dtype != dtype:
            return data.astype(dtype)
        return data.copy() if copy else data

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return call(ufunc if method == "__call__" else (ufunc, method), *inputs, **options)

    def __array_function__(self, fn: Any, types: Any, args: Any, options: Any) -> Any:
        return call(fn, *args, **options)

    def __reduce__(self) -> Any:
        return Tensor, (self._data,)

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, _: Any) -> Tensor:
        return self

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="Tensor(")
        return f"Tensor({text}, dtype={self._data.dtype})"

    def __format__(self, spec: str) -> str:
        return format(self._data.item(), spec) if spec and not self._data.ndim else repr(self)


def require_numbers(data: np.ndarray[Any, Any], what: str) -> None:
    """UnsupportedTypeError for arrays of anything else."""
    if data.dtype.kind not in "biufc":
        raise UnsupportedTypeError(f"{what} can't hold dtype {data.dtype}", span=current_span(3),
                                   why="elements are bools, ints, floats or complex numbers",
                                   fix="convert to numbers first")


class TensorAt:
    """`t.at[index]`."""

    __slots__ = ("index", "tensor")

    def __init__(self, tensor: Tensor, index: Any = None):
        self.tensor, self.index = tensor, index

    def __getitem__(self, index: Any) -> TensorAt:
        return TensorAt(self.tensor, index)

    def _update(self, value: Any, combine: str) -> Any:
        return call(UPDATE, self.tensor, self.index, value, combine)

    def get(self) -> Any: return self.tensor[self.index]
    def set(self, value: Any) -> Any: return self._update(value, "set")
    def add(self, value: Any) -> Any: return self._update(value, "add")
    def subtract(self, value: Any) -> Any: return self._update(call(np.negative, value), "add")
    def multiply(self, value: Any) -> Any: return self._update(value, "multiply")
    def divide(self, value: Any) -> Any: return self.set(self.get() / value)
    def power(self, value: Any) -> Any: return self.set(self.get() ** value)
    def min(self, value: Any) -> Any: return self._update(value, "minimum")
    def max(self, value: Any) -> Any: return self._update(value, "maximum")
    def apply(self, fn: Callable[[Any], Any]) -> Any: return self.set(fn(self.get()))


def constant(value: Any, dtype: Any = None) -> Tensor:
    """A Tensor of `value`; with strict dtypes Python floats become float32."""
    if isinstance(value, Tensor) and dtype is None:
        return value
    if dtype is None and config.strict_promotion and not hasattr(value, "dtype"):
        found = np.array(value).dtype
        dtype = {"f": np.float32, "c": np.complex64}.get(found.kind, found)
    return Tensor(value, dtype)


def call(key: Any, *args: Any, **options: Any) -> Any:
    """A NumPy function on Tensors: traced into the running trace, or compiled and run."""
    return (NUMPY[key] if active() is not None else numpy_function(key))(*args, **options)


def call_method(name: str, *args: Any, **options: Any) -> Any:
    """An operator, method or property of `Array` on Tensors."""
    return (method_of_arrays(name) if active() is not None else operation(name))(*args, **options)


@cache
def numpy_function(key: Any) -> Any:
    """The compiled function of one entry of the table."""
    name = getattr(key, "__name__", str(key))
    return function(lambda *args, **options: NUMPY[key](*args, **options), autograph=False, returns="tensor",
                    name=f"Tensor: {name}")


@cache
def operation(name: str) -> Any:
    """The compiled function of one operator, method or property of `Array`."""
    run = method_of_arrays(name)
    return function(lambda *args, **options: run(*args, **options), autograph=False, returns="tensor",
                    name=f"Tensor.{name}")


@cache
def method_of_arrays(name: str) -> Callable[..., Any]:
    """What an operator, method or property of Tensors does with traced arrays."""
    if name in PROPERTIES:
        return lambda x: getattr(lift(x), name)
    return lambda x, *args, **options: getattr(lift(x), name)(*args, **options)


def _method(name: str) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, **options: Any) -> Any:
        return call_method(name, self, *args, **options)
    method.__name__ = name
    return method


def _binary(name: str) -> Callable[..., Any]:
    eager = _method(name)

    def method(self: Tensor, other: Any) -> Any:
        if other is None or not isinstance(other, _OPERANDS):
            return NotImplemented
        return eager(self, other)
    method.__name__ = name
    return method


_OPERANDS = (Tensor, Array, np.ndarray, np.generic, int, float, complex, list, tuple)


def _install() -> None:
    for name in PROPERTIES:
        setattr(Tensor, name, property(_method(name)))
    for name in METHODS:
        setattr(Tensor, name, _method(name))
    for name in UNARY:
        setattr(Tensor, f"__{name}__", _method(f"__{name}__"))
    for name in BINARY:
        setattr(Tensor, f"__{name}__", _binary(f"__{name}__"))
        setattr(Tensor, f"__r{name}__", _binary(f"__r{name}__"))
    for name in COMPARISONS:
        setattr(Tensor, f"__{name}__", _binary(f"__{name}__"))
    ARRAY_LIKE[Tensor] = lambda tensor: tensor._data
    KINDS["tensor"] = Tensor


_install()
