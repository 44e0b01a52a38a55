"""`Array`: the tracer. It stands for an ndarray, a NumPy scalar, a Tensor or a Python number while tracing.

Flows in:  graph values; operators, methods, indexing and NumPy calls of user and library code.
Flows out: calls of the implementations in `NUMPY`. Nothing here knows how a NumPy function is written in ops.

Mutation: an array that owns its memory holds today's graph value and a version, which counts its changes. A view holds
its parent and two pure functions, `get` (parent -> view) and `put` (parent, new view -> new parent); reading it after
its owner changed computes it again, writing it writes the parent.
"""
from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from tracejit.base.dims import Dim
from tracejit.base.dtypes import BF16, DType
from tracejit.base.errors import ConcretizationError, MutationError, TracedBoolError, UnsupportedError
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Value
from tracejit.tracing.context import Restart, Scope, TraceContext, current
from tracejit.tracing.implements import CHOSEN_READ, CHOSEN_WRITE, NUMPY, READ, UPDATE
from tracejit.tracing.sizes import Size, sized
from tracejit.tracing.spans import current_span
from tracejit.tracing.special_methods import asking_method

ARRAY_LIKE: dict[type, Callable[[Any], Any]] = {}    # written at import by layers above: class -> its ndarray

TRACED_LIKE: dict[type, Callable[[Any], Any]] = {}    # written at import: class of the trace -> its `Array`

KINDS: dict[str, type] = {}    # written at import by layers above: the class behind kind "tensor"


class View:
    """How a view hangs on its parent. seen: the version of the owner that the view's value belongs to."""

    __slots__ = ("get", "parent", "put", "seen")

    def __init__(self, parent: Array, get: Callable[[Array], Array], put: Callable[[Array, Array], Array], seen: int):
        self.parent, self.get, self.put, self.seen = parent, get, put, seen


class OneOf:
    """Whose memory an array is, where only the run will tell: that of `memories[index]`; None among them is its own.

    index: i32[].  None: nobody asked for it yet; `ask` starts the trace again with it, or refuses.
    seen: the state of the memories that the array's value belongs to.
    own: the content of memory of its own, and its scope.  apart: the same object for arrays that are never the same
    memory.
    """

    __slots__ = ("apart", "ask", "index", "memories", "own", "seen")

    def __init__(self, index: Array | None, memories: tuple[Array | None, ...], ask: Callable[[], NoReturn]):
        self.index, self.memories, self.ask, self.seen = index, memories, ask, -1
        self.apart: Any = None
        self.own: Any = None


class Array:
    """One traced array or scalar.

    weak: `b i f c` for Python scalars, which adapt to arrays they meet (NEP 50); None for everything else.
    kind: "numpy", "tensor" (immutable, results are Tensors) or "python".
    boxed: a rank-0 array which is an ndarray, not a NumPy scalar.  writeable: False for read-only arrays.
    origin: which input this is, if it is one.  kept: an item of a list that grows in a native loop, which has a copy.
    one_of: set if it may be the memory of one of several arrays.
    """

    __slots__ = ("_value", "boxed", "kept", "kind", "one_of", "origin", "scope", "version", "view_of", "weak",
                 "writeable")

    def __init__(self, value: Value, scope: Scope, kind: str = "numpy", weak: str | None = None, boxed: bool = False):
        self._value, self.scope, self.kind, self.weak, self.boxed = value, scope, kind, weak, boxed
        self.version, self.writeable, self.kept = 0, True, False
        self.view_of: View | None = None
        self.one_of: OneOf | None = None
        self.origin: Any = None

    @property
    def value(self) -> Value:
        """Today's graph value."""
        if self.view_of is not None and (self.view_of.seen != self.owner.state
                                         or not current().scope.sees(self.scope)):
            fresh = self.view_of.get(self.view_of.parent.snapshot())
            self._value, self.scope, self.view_of.seen = fresh._value, fresh.scope, self.owner.state
        elif self.one_of is not None and (self.one_of.seen != self.state or not current().scope.sees(self.scope)):
            NUMPY[CHOSEN_READ](self)
        return self._value

    @property
    def state(self) -> int:
        """Grows whenever the content of this owner changes, be it through another name of its memory."""
        if self.one_of is None:
            return self.version
        return self.version + sum([m.owner.state for m in self.one_of.memories if m is not None])

    @property
    def owner(self) -> Array:
        """The array whose memory this is."""
        array = self
        while array.view_of is not None:
            array = array.view_of.parent
        return array

    @property
    def is_scalar(self) -> bool:
        """A Python number or a NumPy scalar: immutable."""
        return not self._value.type.shape and not self.boxed

    def snapshot(self) -> Array:
        """The same content, independent of later changes."""
        value = self.value
        return Array(value, self.scope, self.kind, self.weak, self.boxed)

    def write(self, new: Array) -> None:
        """Replaces the whole content by `new`, an array of exactly this type."""
        if self.owner.one_of is not None:
            NUMPY[CHOSEN_WRITE](self, lambda memory: memory.write(new))
            return
        if self.view_of is not None:
            parent = self.view_of.parent
            parent.write(self.view_of.put(parent.snapshot(), new))
            return
        if self.kind != "numpy" or self.is_scalar:
            self.refuse_write()
        if not self.writeable:
            raise ValueError("assignment destination is read-only")
        if self.kept:
            raise MutationError(
                "an array that is in a list which grows in a loop can't be changed in place", span=current_span(2),
                why="the list has a copy of it", fix="append a copy, l.append(x.copy()), or store an array, l[i] = x")
        assert new.type == self._value.type, f"write of {new.type} to {self._value.type}"
        self._value, self.scope, self.version = new.value, new.scope, self.version + 1

    def refuse_write(self) -> NoReturn:
        """The error for an assignment to something immutable."""
        if self.kind == "tensor":
            raise MutationError("a Tensor can't be changed in place", span=current_span(2), why="Tensors are immutable",
                                fix="t = t.at[i].set(v), or pass a NumPy array")
        raise TypeError(f"'{self.python_type.__name__}' object does not support item assignment")

    # What users read

    @property
    def type(self) -> ArrayType:
        return self._value.type

    @property
    def dtype(self) -> Any:
        dtype: DType = self._value.type.dtype
        return dtype if dtype is BF16 else dtype.numpy

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple([Size(n) if type(n) is Dim else n for n in self._value.type.shape])

    @property
    def ndim(self) -> int:
        return len(self._value.type.shape)

    @property
    def size(self) -> Any:
        return sized(self._value.type.size)

    @property
    def itemsize(self) -> int:
        return self._value.type.dtype.bytes

    @property
    def nbytes(self) -> Any:
        return self.size * self.itemsize

    @property
    def python_type(self) -> builtins.type[Any]:
        """The class that Python would see here."""
        if self.kind == "tensor":
            return KINDS["tensor"]
        if self.weak is not None:
            return {"b": bool, "i": int, "f": float, "c": complex}[self.weak]
        return np.ndarray if not self.is_scalar else self._value.type.dtype.numpy.type

    @property
    def T(self) -> Array:
        return NUMPY[np.transpose](self)    # type: ignore[no-any-return]

    @property
    def mT(self) -> Array:
        return NUMPY[np.matrix_transpose](self)    # type: ignore[no-any-return]

    @property
    def real(self) -> Array:
        return self._part(np.real)

    @real.setter
    def real(self, value: Any) -> None:
        self[...] = value + 1j * NUMPY[np.imag](self)

    @property
    def imag(self) -> Array:
        return self._part(np.imag)

    @imag.setter
    def imag(self, value: Any) -> None:
        self[...] = NUMPY[np.real](self) + 1j * value

    def _part(self, function: Any) -> Array:
        """The real or imaginary part; of a Python number again a Python number."""
        part: Array = NUMPY[function](self)
        if self.weak is None:
            return part
        return Array(part.value, part.scope, "python", "f" if self.weak == "c" else self.weak)

    @property
    def at(self) -> At:
        """`x.at[i].set(v)`: a changed copy."""
        return At(self)

    # Indexing

    def __getitem__(self, index: Any) -> Any:
        return NUMPY[READ](self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.kind != "numpy" or self.is_scalar:
            self.refuse_write()
        if self.owner.one_of is not None:
            NUMPY[CHOSEN_WRITE](self, lambda memory: memory.__setitem__(index, value))
            return
        self.write(NUMPY[UPDATE](self, index, value))

    def __len__(self) -> int:
        if not self.type.shape:
            raise TypeError(f"object of type '{self.python_type.__name__}' has no len()" if self.is_scalar
                            else "len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.type.shape:
            raise TypeError(f"'{self.python_type.__name__}' object is not iterable" if self.is_scalar
                            else "iteration over a 0-d array")
        return iter([self[i] for i in range(int(self.shape[0]))])

    def __contains__(self, item: Any) -> bool:
        return bool(NUMPY[np.any](NUMPY[np.equal](self, item)))

    # Python asks for a value

    def __bool__(self) -> bool:
        return bool(static_value(self, "bool"))

    def __int__(self) -> int:
        return int(static_value(self, "int"))

    def __float__(self) -> float:
        return float(static_value(self, "float"))

    def __complex__(self) -> complex:
        return complex(static_value(self, "complex"))

    def __index__(self) -> int:
        if self._value.type.dtype.kind not in "iub" or self._value.type.shape:
            raise TypeError("only integer scalar arrays can be converted to a scalar index"
                            if self.weak is None else f"'{self.python_type.__name__}' object cannot be "
                            "interpreted as an integer")
        return operator.index(static_value(self, "index"))

    def __hash__(self) -> int:
        if not self.is_scalar:
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return hash(static_value(self, "hash"))

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise ConcretizationError(
            f"a traced array {self.type} is needed as a NumPy array", span=current_span(2),
            why="code that tracing can't enter asked for its content",
            fix="call the NumPy function from your own code, or this code outside, and pass its result as an argument")

    def __repr__(self) -> str:
        return f"Array({self.type}{', weak' if self.weak else ''})"

    def __format__(self, spec: str) -> str:
        """For code that is not converted, text needs the value; arrays show their type."""
        return f"<{self.type}>" if self.type.shape else format(static_value(self, "format"), spec)

    def __str__(self) -> str:
        return self.__format__("")

    def __copy__(self) -> Array:
        return NUMPY[np.copy](self) if self.kind == "numpy" and not self.is_scalar else self

    def __deepcopy__(self, _: Any) -> Array:
        return self.__copy__()

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return NUMPY[ufunc if method == "__call__" else (ufunc, method)](*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return NUMPY[function](*args, **options)

    def __getattr__(self, name: str) -> Any:
        owner = self.python_type
        if self.weak is not None and hasattr(owner, name):
            return getattr(static_value(self, name), name)
        if not name.startswith("__") and hasattr(owner, name):
            raise UnsupportedError(
                f"{owner.__name__}.{name} is not supported in a compiled function", span=current_span(2),
                why="it has no compiled meaning", fix="use an equal NumPy function, or do it outside of the function")
        raise AttributeError(f"'{owner.__name__}' object has no attribute '{name}'")


class At:
    """`x.at[index]`, with the functional updates that JAX users know."""

    __slots__ = ("array", "index")

    def __init__(self, array: Array, index: Any = None):
        self.array, self.index = array, index

    def __getitem__(self, index: Any) -> At:
        return At(self.array, index)

    def _update(self, value: Any, combine: str) -> Any:
        return NUMPY[UPDATE](self.array, self.index, value, combine)

    def get(self) -> Any: return NUMPY[READ](self.array.snapshot(), self.index)
    def set(self, value: Any) -> Any: return self._update(value, "set")
    def add(self, value: Any) -> Any: return self._update(value, "add")
    def subtract(self, value: Any) -> Any: return self._update(NUMPY[np.negative](value), "add")
    def multiply(self, value: Any) -> Any: return self._update(value, "multiply")
    def divide(self, value: Any) -> Any: return self.set(self.get() / value)
    def power(self, value: Any) -> Any: return self.set(self.get() ** value)
    def min(self, value: Any) -> Any: return self._update(value, "minimum")
    def max(self, value: Any) -> Any: return self._update(value, "maximum")
    def apply(self, function: Callable[[Any], Any]) -> Any: return self.set(function(self.get()))


def static_value(array: Any, asked_by: str = "int") -> Any:
    """The value of a traced scalar as a Python number, which makes the scalar inputs it depends on static.

    Raises TracedBoolError or ConcretizationError if it depends on the content of an array.
    """
    if not isinstance(array, Array):
        return array
    value, context = array.value, current()
    node = value.node
    if node is not None and node.op.name == "constant" and not value.type.shape:
        return _python_number(array, node.attributes["value"])
    if (method := asking_method()) is not None and method not in context.decisions.methods:
        context.decisions.methods[method] = None
        raise Restart
    sources = None if array.size != 1 else _sources(context, value, array.scope)
    if sources is None:
        raise _needs_value(array, asked_by)
    for loop in sources.loops:
        if loop.rounds is None:
            raise _needs_value(array, asked_by)
        context.decisions.unroll(loop.span, f"Python needs a value of the loop ({asked_by}) at {current_span(2)}")
    if sources.loops:
        raise Restart
    context.concretize(sources.paths)
    raise AssertionError("a restart was expected")


def _python_number(array: Array, number: Any) -> Any:
    number = number[0] if isinstance(number, tuple) else number
    return number if array.weak is not None else array.type.dtype.numpy.type(number)


class _Sources:
    """What a scalar is computed from: paths of scalar inputs, and loops that change it."""

    __slots__ = ("loops", "paths")

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.loops: list[Any] = []


def _sources(context: TraceContext, value: Value, scope: Scope) -> _Sources | None:
    """None if anything goes into `value` that tracing can't know."""
    found, pending, seen = _Sources(), [(value, scope)], {value}
    while pending:
        value, scope = pending.pop()
        if value in context.scalars:
            found.paths.append(context.scalars[value])
        elif value in context.loop_values:
            found.loops.append(context.loop_values[value])
        elif value.node is None:
            if (outer := scope.source(value)) is None:
                return None
            pending.append(outer)
        elif value.node.op.has_effect:
            return None
        elif value.node.op.name == "dimension":
            context.concrete_size(value.node.attributes["size"])
        else:
            pending += [(v, scope) for v in value.node.operands if v not in seen]
            seen.update(value.node.operands)
    return found if found.paths or found.loops else None


def concretize_tests(context: TraceContext) -> None:
    """Makes the scalar inputs static that the branches around depend on, if they depend on nothing else."""
    found = [_sources(context, test.value, test.scope) for test in context.tests]
    paths = [path for sources in found if sources is not None and not sources.loops for path in sources.paths]
    if paths:
        context.concretize(paths)


def _needs_value(array: Array, asked_by: str) -> Exception:
    span = current_span(3)
    if asked_by == "bool" and array.size != 1 and array.ndim:
        return ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    if asked_by == "bool":
        return TracedBoolError(
            "this condition depends on the content of a traced array", span=span,
            why="its value is known only when the compiled function runs",
            fix="choose with np.where(condition, x, y), or move the branch out of the function")
    return ConcretizationError(
        f"Python needs the value of a traced {array.type} ({asked_by})", span=span,
        why="it is computed from array content, which is known only when the compiled function runs",
        fix="keep it an array, or pass it as a Python number, which is then guarded")


def is_operand(array: Array, other: Any) -> bool:
    """Whether an operator of `array` takes `other`, as ndarray's or the Python number's would."""
    if isinstance(other, (Array, int, float, complex, np.generic, np.ndarray, Size)) or type(other) in ARRAY_LIKE:
        return True
    return array.weak is None and isinstance(other, (list, tuple))


def _is_python(other: Any) -> bool:
    return other.weak is not None if type(other) is Array else type(other) in (int, float, complex, bool, Size)


def _binary(ufunc: Any, operation: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The operator and its reflection. Two Python numbers follow Python's rules, everything else NumPy's."""
    python_key = ("python", operation)

    def forward(self: Array, other: Any) -> Any:
        if self.weak is not None and _is_python(other):
            return NUMPY[python_key](self, other)
        return NUMPY[ufunc](self, other) if is_operand(self, other) else NotImplemented

    def reflected(self: Array, other: Any) -> Any:
        if self.weak is not None and _is_python(other):
            return NUMPY[python_key](other, self)
        return NUMPY[ufunc](other, self) if is_operand(self, other) else NotImplemented

    return forward, reflected


def _in_place(ufunc: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
    """`x += y`: changes an ndarray where it is, binds a new value for scalars and Tensors."""
    def method(self: Array, other: Any) -> Any:
        if self.kind != "numpy" or self.is_scalar:
            return forward(self, other)
        return NUMPY[ufunc](self, other, out=self) if is_operand(self, other) else NotImplemented
    return method


_UNARY: dict[str, tuple[Any, Any]] = {"__neg__": (np.negative, operator.neg), "__pos__": (np.positive, operator.pos),
          "__abs__": (np.absolute, operator.abs), "__invert__": (np.invert, operator.invert)}
_BINARY = {"add": (np.add, operator.add), "sub": (np.subtract, operator.sub), "mul": (np.multiply, operator.mul),
           "truediv": (np.true_divide, operator.truediv), "floordiv": (np.floor_divide, operator.floordiv),
           "mod": (np.remainder, operator.mod), "pow": (np.power, operator.pow), "matmul": (np.matmul, operator.matmul),
           "and": (np.bitwise_and, operator.and_), "or": (np.bitwise_or, operator.or_),
           "xor": (np.bitwise_xor, operator.xor), "lshift": (np.left_shift, operator.lshift),
           "rshift": (np.right_shift, operator.rshift), "divmod": (np.divmod, divmod)}
_COMPARISONS = {"eq": (np.equal, operator.eq), "ne": (np.not_equal, operator.ne), "lt": (np.less, operator.lt),
                "le": (np.less_equal, operator.le), "gt": (np.greater, operator.gt),
                "ge": (np.greater_equal, operator.ge)}


def _unary(ufunc: Any, operation: Callable[..., Any]) -> Callable[..., Any]:
    python_key = ("python", operation)

    def method(self: Array) -> Any:
        return NUMPY[ufunc if self.weak is None else python_key](self)
    return method


def _compare_with_none(array: Array, operation: Any) -> Any:
    """`x == None`: elementwise False for arrays, False for scalars."""
    unequal = operation is operator.ne
    return unequal if array.is_scalar else NUMPY[np.full](array.shape, unequal)


def _comparison(ufunc: Any, operation: Callable[..., Any]) -> Callable[..., Any]:
    forward, _ = _binary(ufunc, operation)

    def method(self: Array, other: Any) -> Any:
        if other is None and operation in (operator.eq, operator.ne):
            return _compare_with_none(self, operation)
        return forward(self, other)
    return method


def _install_operators() -> None:
    for name, unary in _UNARY.items():
        setattr(Array, name, _unary(*unary))
    for name, binary in _BINARY.items():
        forward, reflected = _binary(*binary)
        setattr(Array, f"__{name}__", forward)
        setattr(Array, f"__r{name}__", reflected)
        if name != "divmod":
            setattr(Array, f"__i{name}__", _in_place(binary[0], forward))
    for name, comparison in _COMPARISONS.items():
        setattr(Array, f"__{name}__", _comparison(*comparison))


_install_operators()
