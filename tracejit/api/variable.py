"""`Variable`: an array that functions read and change by reference, of fixed dtype and shape.

Flows in:  an initial value; assignments.
Flows out: what Variables hold. Inside a trace a Variable is an attribute that is read and written in program order: the
           compiled function writes into its memory.

Threads: a call of a compiled function is one step for the Variables that it uses. Who assigns to a Variable is alone
with it, those who only read it run side by side, calls with different Variables never wait for each other.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NoReturn

import numpy as np

from tracejit.api.creation import created, first_content
from tracejit.api.recording import note_read
from tracejit.api.tensor import BINARY, COMPARISONS, METHODS, PROPERTIES, UNARY, Tensor, call, require_numbers
from tracejit.base.dtypes import dtype_of
from tracejit.base.errors import ShapeError, UnsupportedTypeError
from tracejit.tracing.arrays import TRACED_LIKE, Array
from tracejit.tracing.building import lift, write
from tracejit.tracing.context import active
from tracejit.tracing.inputs import IN_TURNS
from tracejit.tracing.spans import current_span
from tracejit.xla_lite.runtime.turns import Turn, Turns, array_with_header

_IN_PLACE = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
             "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "and": np.bitwise_and,
             "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift}
_KINDS = "biufc"
_PYTHON = (bool, int, float, complex)


class Variable:
    """An array of fixed dtype and shape that can be assigned to.

    array: the memory; compiled functions that assign write into it, without a copy. trainable: whether
    `GradientTape` watches it by itself.  name: for messages.
    """

    array: np.ndarray[Any, Any]

    def __init__(self, value: Any, dtype: Any = None, *, trainable: bool = True, name: str = "Variable"):
        first = first_content(content(value), dtype)
        require_numbers(first, "a Variable")
        memory = array_with_header(first.shape, first.dtype)
        memory[...] = first
        self.array, self.trainable, self.name = memory, trainable, name
        address = memory.ctypes.data
        self._readers, self._writers = Turns([(address, False)]), Turns([(address, True)])
        created(self)

    def __init_subclass__(cls) -> None:
        TRACED_LIKE[cls] = traced
        IN_TURNS[cls] = "array"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "array" and "array" in self.__dict__:
            raise AttributeError(f"{self.name} keeps its memory; {self.name}.assign(value) changes what it holds")
        object.__setattr__(self, name, value)

    # Reading

    def reading(self) -> Turn:
        """A block in which no other thread changes the content."""
        return self._readers.turn()

    def writing(self) -> Turn:
        """A block in which no other thread reads or changes the content."""
        return self._writers.turn()

    @property
    def value(self) -> Any:
        """What it holds now: a Tensor; in a trace an array which later assignments don't change."""
        if active() is not None:
            return traced(self).snapshot()
        with self.reading():
            held = Tensor(self.array)
        note_read(self, held)
        return held

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy of what it holds."""
        with self.reading():
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

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

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

    def __complex__(self) -> complex:
        return complex(self.value)

    def __index__(self) -> int:
        return int(self.value.__index__())

    def __round__(self, digits: int = 0) -> Any:
        return self.value.round(digits)

    def item(self, *index: Any) -> Any:
        """A Python number."""
        return self.value.item(*index)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.value.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        with self.reading():
            return self.array.astype(self.array.dtype if dtype is None else dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return call(ufunc if method == "__call__" else (ufunc, method), *map(content, inputs), **options)

    def __array_function__(self, fn: Any, types: Any, args: Any, options: Any) -> Any:
        return call(fn, *[_content_of(a) for a in args], **options)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} {dtype_of(self.array.dtype)}{list(self.array.shape)} {self.numpy()}>"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else repr(self)

    # Writing

    def assign(self, value: Any) -> Variable:
        """Replaces the content. Raises ShapeError unless `value` broadcasts to the shape; converts to the dtype."""
        return self._write(Ellipsis, value)

    def assign_add(self, value: Any) -> Variable:
        """Adds to the content, as one step."""
        return self._update(np.add, value)

    def assign_sub(self, value: Any) -> Variable:
        """Subtracts from the content, as one step."""
        return self._update(np.subtract, value)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write(index, value)

    def _write(self, index: Any, value: Any) -> Variable:
        if active() is not None:
            array = lift(content(value))
            self._require_kind(array.type.dtype.numpy, array.weak is not None)
            self._require_shape(index, array.shape)
            write(traced(self), index, array)
            return self
        new = self._fitting(value)
        self._require_shape(index, new.shape)
        with self.writing():
            try:
                self.array[index] = new
            except ValueError as error:
                raise self._shape_error(new.shape, str(error)) from None
        return self

    def _update(self, function: np.ufunc, value: Any) -> Variable:
        """`function(content, value)` in place of the content, as one step."""
        if active() is not None:
            self._require_shape(Ellipsis, lift(content(value)).shape)
            return self._write(Ellipsis, call(function, self.value, content(value)))
        new = self._fitting(value)
        self._require_shape(Ellipsis, new.shape)
        with self.writing():
            try:
                function(self.array, value if type(value) in _PYTHON else new, out=self.array)
            except TypeError:
                self._require_kind(function(self.array, new).dtype, False)
                raise
        return self

    def _fitting(self, value: Any) -> np.ndarray[Any, Any]:
        """A value as an array that may be assigned. UnsupportedTypeError for numbers of a wider kind."""
        new = np.asarray(content(value))
        self._require_kind(new.dtype, type(value) in _PYTHON)
        return new

    def _require_kind(self, dtype: Any, is_python: bool) -> None:
        mine = self.array.dtype
        fits = _KINDS.find(dtype.kind) <= _KINDS.find(mine.kind) if is_python else np.can_cast(dtype, mine, "same_kind")
        if not fits or dtype.kind not in _KINDS:
            raise UnsupportedTypeError(f"{self.name} holds {mine}, it can't be assigned {dtype}",
                                       span=current_span(3), why="a Variable keeps its dtype",
                                       fix="convert the value, or make the Variable of another dtype")

    def _require_shape(self, index: Any, shape: tuple[Any, ...]) -> None:
        """ShapeError if what is assigned to the whole would need another shape."""
        mine = self.array.shape
        if index is Ellipsis and (len(shape) > len(mine) or any(
                type(n) is int and n not in (1, m) for n, m in zip(shape[::-1], mine[::-1], strict=False))):
            raise self._shape_error(shape, "shapes are aligned at the last axis; sizes must be equal or 1")

    def _shape_error(self, shape: tuple[Any, ...], why: str) -> ShapeError:
        return ShapeError(f"{self.name} has the shape {self.array.shape}, the value {tuple(shape)}",
                          span=current_span(4), why=why,
                          fix="a Variable keeps its shape: assign a value that broadcasts to it")

    def __reduce__(self) -> Any:
        return _remade, (self.numpy(), self.trainable, self.name)

    def __deepcopy__(self, _: Any) -> Variable:
        return _remade(self.numpy(), self.trainable, self.name)


def _remade(array: Any, trainable: bool, name: str) -> Variable:
    return Variable(array, trainable=trainable, name=name)


def traced(variable: Variable) -> Array:
    """The array that stands for the Variable's memory in this trace."""
    context = active()
    assert context is not None
    if id(variable) not in context.namespace.reader.objects:    # it came here by no name that tracing sees
        context.namespace.root_of(variable, variable.name)
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
        return getattr(self.value, name)(*map(content, args), **options)
    method.__name__ = name
    return method


def _in_place(function: np.ufunc) -> Callable[[Variable, Any], Variable]:
    return lambda self, value: self._update(function, value)


def _refuse(self: Variable, value: Any) -> NoReturn:
    raise UnsupportedTypeError(f"{self.name} @= value would change its shape or copy it", span=current_span(2),
                               why="a Variable is changed in place", fix=f"{self.name}.assign({self.name} @ value)")


def _install() -> None:
    for name in METHODS:
        setattr(Variable, name, _method(name))
    for name in UNARY:
        setattr(Variable, f"__{name}__", _method(f"__{name}__"))
    for name in BINARY:
        setattr(Variable, f"__{name}__", _method(f"__{name}__"))
        setattr(Variable, f"__r{name}__", _method(f"__r{name}__"))
    for name in COMPARISONS:
        setattr(Variable, f"__{name}__", _method(f"__{name}__"))
    for name in PROPERTIES:
        setattr(Variable, name, property(attrgetter(f"value.{name}")))
    for name, function in _IN_PLACE.items():
        setattr(Variable, f"__i{name}__", _in_place(function))
    TRACED_LIKE[Variable] = traced
    IN_TURNS[Variable] = "array"


_install()
