"""`Variable`: an array that functions read and change by reference, of fixed dtype and shape.

Flows in:  an initial value; assignments.
Flows out: what Variables hold. Inside a trace a Variable is an attribute that is read and written in program order: the
           compiled function writes into its memory.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import numpy as np

from tracejit.api.recording import note_read
from tracejit.api.tensor import Tensor, call, operation
from tracejit.base.dtypes import dtype_of
from tracejit.base.errors import ShapeError, UnsupportedError, UnsupportedTypeError
from tracejit.tracing.arrays import TRACED_LIKE, Array
from tracejit.tracing.building import lift, write
from tracejit.tracing.context import active
from tracejit.tracing.spans import current_span

_UNARY = "neg pos abs invert".split()
_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod".split()
_COMPARISONS = "eq ne lt le gt ge".split()
_PROPERTIES = "T mT real imag".split()
_METHODS = """all any argmax argmin argsort astype clip conj cumprod cumsum dot flatten max mean min prod ravel repeat
    reshape round squeeze std sum swapaxes take trace transpose var""".split()


class Variable:
    """An array of fixed dtype and shape that can be assigned to.

    array: the memory; compiled functions that assign write into it, without a copy. trainable: whether
    `GradientTape` watches it by itself.  name: for messages.
    """

    array: np.ndarray[Any, Any]

    def __init__(self, value: Any, dtype: Any = None, *, trainable: bool = True, name: str = "Variable"):
        if active() is not None:
            raise UnsupportedError(
                f"{name} is created while a function is traced", span=current_span(2),
                why="every call would have to make a new one", fix="create Variables outside, and pass or capture them")
        data = np.array(getattr(value, "array", value), dtype, order="C")
        _require_numbers(data)
        self.array, self.trainable, self.name = data, trainable, name
        self._lock = threading.Lock()

    # Reading

    @property
    def value(self) -> Any:
        """What it holds now: a Tensor; in a trace an array which later assignments don't change."""
        if active() is not None:
            return traced(self).snapshot()
        held = Tensor(self.array)
        note_read(self, held)
        return held

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy of what it holds."""
        return self.array.copy()

    @property
    def shape(self) -> tuple[Any, ...]:
        return traced(self).shape if active() is not None else self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> Any:
        return traced(self).size if active() is not None else self.array.size

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.array.astype(dtype) if dtype is not None else self.array.copy()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return call(ufunc if method == "__call__" else (ufunc, method), *map(content, inputs), **options)

    def __array_function__(self, fn: Any, types: Any, args: Any, options: Any) -> Any:
        return call(fn, *[_content_of(a) for a in args], **options)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} {dtype_of(self.array.dtype)}{list(self.array.shape)} {self.array}>"

    # Writing

    def assign(self, value: Any) -> Variable:
        """Replaces the content. Raises ShapeError unless `value` broadcasts to the shape; converts to the dtype."""
        return self._write(Ellipsis, value)

    def assign_add(self, value: Any) -> Variable:
        """Adds to the content."""
        return self.assign(self.value + content(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtracts from the content."""
        return self.assign(self.value - content(value))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write(index, value)

    def _write(self, index: Any, value: Any) -> Variable:
        if active() is not None:
            write(traced(self), index, content(value))
            return self
        new = np.asarray(content(value))
        if not np.can_cast(new.dtype, self.array.dtype, "same_kind"):
            raise UnsupportedTypeError(f"{self.name} holds {self.array.dtype}, it can't be assigned {new.dtype}",
                                       span=current_span(2), why="a Variable keeps its dtype",
                                       fix="convert the value, or make the Variable of another dtype")
        with self._lock:
            try:
                self.array[index] = new
            except ValueError as error:
                raise ShapeError(f"{self.name} has the shape {self.array.shape}, the value {new.shape}",
                                 span=current_span(2), why=str(error),
                                 fix="a Variable keeps its shape: assign a value that broadcasts to it") from None
        return self

    __iadd__, __isub__ = assign_add, assign_sub

    def __reduce__(self) -> Any:
        return _remade, (self.array, self.trainable, self.name)

    def __deepcopy__(self, _: Any) -> Variable:
        return _remade(self.array, self.trainable, self.name)


def _remade(array: Any, trainable: bool, name: str) -> Variable:
    return Variable(array, trainable=trainable, name=name)


def _require_numbers(data: np.ndarray[Any, Any]) -> None:
    if data.dtype.kind not in "biufc":
        raise UnsupportedTypeError(f"a Variable can't hold dtype {data.dtype}", span=current_span(3),
                                   why="elements are bools, ints, floats or complex numbers",
                                   fix="convert to numbers first")


def traced(variable: Variable) -> Array:
    """The array that stands for the Variable's memory in this trace."""
    context = active()
    assert context is not None
    found: Array = lift(context.namespace.load_attribute(variable, "array"))
    return found


def content(value: Any) -> Any:
    """What a Variable holds; anything else as it is."""
    return value.value if isinstance(value, Variable) else value


def _content_of(argument: Any) -> Any:
    if isinstance(argument, (list, tuple)):
        return type(argument)([_content_of(a) for a in argument])
    return content(argument)


def _method(name: str) -> Callable[..., Any]:
    def method(self: Variable, *args: Any, **options: Any) -> Any:
        value = self.value
        if isinstance(value, Tensor) and name not in _PROPERTIES and not hasattr(Tensor, name):
            return operation(name)(value, *args, **options)
        return getattr(value, name)(*map(content, args), **options)
    method.__name__ = name
    return method


def _install() -> None:
    for name in _METHODS:
        setattr(Variable, name, _method(name))
    for name in _UNARY:
        setattr(Variable, f"__{name}__", _method(f"__{name}__"))
    for name in _BINARY:
        setattr(Variable, f"__{name}__", _method(f"__{name}__"))
        setattr(Variable, f"__r{name}__", _method(f"__r{name}__"))
    for name in _COMPARISONS:
        setattr(Variable, f"__{name}__", _method(f"__{name}__"))
    for name in _PROPERTIES:
        setattr(Variable, name, property(attrgetter(f"value.{name}")))
    TRACED_LIKE[Variable] = traced


_install()
