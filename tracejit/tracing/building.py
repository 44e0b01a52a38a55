"""What NumPy functions are written with: lifting, promotion, broadcasting, ops, views and writes.

Flows in:  tracers, Python numbers, NumPy arrays, lists of them.
Flows out: `Array`s in the running trace; each op carries the user's line.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from string import Formatter
from typing import Any

import numpy as np

from tracejit.base.dims import Dim
from tracejit.base.dims import Size as AnySize
from tracejit.base.dtypes import BOOL, C64, C128, F32, F64, I64, DType, dtype_of, weak_result
from tracejit.base.dtypes import promote as promote_dtypes
from tracejit.base.errors import DtypeError, ShapeError, UnsupportedTypeError, exception_class
from tracejit.base.options import config
from tracejit.base.spans import SourceSpan
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import ARRAY_LIKE, TRACED_LIKE, Array, View, static_value
from tracejit.tracing.context import current
from tracejit.tracing.sizes import Size, same_size, size_of
from tracejit.tracing.spans import current_span
from tracejit.tracing.text import text

__all__ = ["Array", "assert_", "broadcast", "broadcast_shapes", "broadcast_to", "constant", "convert", "dim_of", "emit",
           "is_static", "lift", "promote", "result_dtype", "scalar_paths", "shape_of", "static_int", "static_value",
           "view", "write"]

_SMALL = 64     # elements: up to here an array of numbers is a constant, above an implicit argument
_WEAK_KINDS = "bifc"
_WEAK = {bool: ("b", BOOL), int: ("i", I64), float: ("f", F64), complex: ("c", C128)}


def emit(op: str, *arrays: Array, **attributes: Any) -> Any:
    """Applies a graph op to arrays of exactly the types it wants. Several results come as a tuple."""
    context, kind, operands = current(), "numpy", []
    scope = context.scope
    for array in arrays:
        value = array.value
        operands.append(value if array.scope is scope else scope.bring(value, array.scope))
        if array.kind == "tensor":
            kind = "tensor"
    results = context.emit(op, operands, attributes)
    if len(results) == 1:
        return Array(results[0], scope, kind)
    return tuple([Array(r, scope, kind) for r in results])


def constant(value: Any, dtype: Any, shape: Sequence[AnySize] = ()) -> Array:
    """A splat of one Python number, or a small dense array given flat in row major order."""
    made: Array = emit("constant", value=value, type=ArrayType(dtype_of(dtype), tuple(shape)))
    return made


def lift(x: Any, dtype: Any = None) -> Array:
    """`x` as a tracer: Python numbers become weak scalars, NumPy arrays constants or implicit arguments,
    lists and tuples what `np.array` makes of them. dtype: converts the result."""
    array = x if type(x) is Array else _lift(x)
    return array if dtype is None else convert(array, dtype)


def _lift(x: Any) -> Array:
    if (weak := _WEAK.get(type(x))) is not None:
        return _weak_constant(x, *weak)
    if type(x) is Size:
        return _lift_size(x.dim)
    if isinstance(x, Dim):
        return _lift_size(x)
    if isinstance(x, np.generic):
        return constant(_plain(x.item()), _checked_dtype(x))
    if isinstance(x, np.ndarray):
        return _captured(x)
    if (known := current().objects.get(id(x))) is not None and known[1] is not None:
        return known[1]    # type: ignore[no-any-return]
    if (to_ndarray := ARRAY_LIKE.get(type(x))) is not None:
        array = _captured(to_ndarray(x))
        return Array(array.value, array.scope, "tensor")
    if (to_array := TRACED_LIKE.get(type(x))) is not None:
        return to_array(x)    # type: ignore[no-any-return]
    if isinstance(x, (list, tuple, range)):
        return _stacked(list(x))
    if isinstance(x, (bool, int, float, complex)):    # subclasses: IntEnum and the like
        base = next(t for t in _WEAK if isinstance(x, t))
        return _weak_constant(base(x), *_WEAK[base])
    raise UnsupportedTypeError(f"{type(x).__name__} can't become an array in a compiled function",
                               span=current_span(2), why="only numbers, bools and arrays of them have a compiled form",
                               fix="pass its numbers as arrays, or make it a static argument")


def _weak_constant(x: Any, weak: str, dtype: DType) -> Array:
    if weak == "i" and not -2**63 <= x < 2**63:
        if x < 2**64 and x > 0:
            return constant(x, "u64")
        raise OverflowError(f"Python integer {x} is out of bounds for int64")
    array = constant(x, dtype)
    array.weak, array.kind = weak, "python"
    return array


def _lift_size(dim: Dim) -> Array:
    array: Array = emit("dimension", size=dim)
    array.weak, array.kind = "i", "python"
    return array


def _plain(number: Any) -> Any:
    return number if isinstance(number, (bool, int, float, complex)) else complex(number)


def _checked_dtype(x: Any) -> DType:
    try:
        return dtype_of(x.dtype)
    except TypeError as error:
        raise UnsupportedTypeError(f"an array of dtype {x.dtype} can't be compiled", span=current_span(3),
                                   why=str(error), fix="convert it to numbers first: x.astype(float)") from None


def _captured(x: np.ndarray[Any, Any]) -> Array:
    """An array met by value: an implicit argument, read at every call."""
    context = current()
    if (known := context.objects.get(id(x))) is not None:
        return known[1]    # type: ignore[no-any-return]
    _checked_dtype(x)
    if context.capture is None:
        return _dense(x)
    made = context.capture(x)
    context.objects[id(x)] = x, made
    return made    # type: ignore[no-any-return]


def _dense(x: np.ndarray[Any, Any]) -> Array:
    flat = tuple(x.ravel().tolist())
    array = constant(flat if len(flat) > 1 or x.ndim else flat[0], _checked_dtype(x), x.shape)
    array.boxed = not x.shape
    return array


def _stacked(items: list[Any]) -> Array:
    """What `np.array(items)` gives; parts may be traced."""
    if not _has_tracer(items):
        array = np.array(items)
        return _dense(array) if array.size <= _SMALL and array.dtype.kind in "biufc" else _captured(array)
    parts = [lift(item) for item in items]
    dtype = result_dtype(*parts)
    shape = parts[0].type.shape
    for part in parts[1:]:
        if part.ndim != len(shape) or not all(map(same_size, part.type.shape, shape)):
            raise ValueError("setting an array element with a sequence. The requested array has an inhomogeneous shape "
                             f"after 1 dimensions. The detected shape was ({len(items)},) + inhomogeneous part.")
    rows = [emit("reshape", convert(p, dtype), shape=(1, *shape)) for p in parts]
    stacked: Array = rows[0] if len(rows) == 1 else emit("concatenate", *rows, axis=0)
    return stacked


def _has_tracer(items: Sequence[Any]) -> bool:
    objects = current().objects
    return any(_has_tracer(i) if isinstance(i, (list, tuple)) else type(i) in (Array, Size)
               or type(i) in ARRAY_LIKE or type(i) in TRACED_LIKE or id(i) in objects for i in items)


# Types

def result_dtype(*xs: Any) -> DType:
    """NumPy's result type (NEP 50): Python scalars adapt to arrays. In strict mode nothing is promoted."""
    strong: DType | None = None
    weak = -1
    for x in map(lift, xs):
        if x.weak is not None:
            weak = max(weak, _WEAK_KINDS.index(x.weak))
        else:
            strong = x.type.dtype if strong is None else _join(strong, x.type.dtype)
    if strong is None:
        return ((BOOL, I64, F32, C64) if config.strict_promotion else (BOOL, I64, F64, C128))[weak]
    if weak < 0:
        return strong
    joined = weak_result(_WEAK_KINDS[weak], strong)
    if joined is not strong and config.strict_promotion:
        raise _no_promotion(f"a Python {('bool', 'int', 'float', 'complex')[weak]}", str(strong))
    return joined


def _join(x: DType, y: DType) -> DType:
    if x is not y and config.strict_promotion:
        raise _no_promotion(str(x), str(y))
    return promote_dtypes(x, y)


def _no_promotion(x: str, y: str) -> DtypeError:
    return DtypeError(f"{x} meets {y}", span=current_span(3), why="strict dtypes: nothing is promoted implicitly",
                      fix="convert one operand: x.astype(y.dtype)")


def promote(*xs: Any) -> list[Array]:
    """The operands in their common type. A Python int that does not fit raises OverflowError, as in NumPy."""
    arrays = [lift(x) for x in xs]
    dtype = result_dtype(*arrays)
    return [convert(a, dtype) for a in arrays]


def convert(x: Any, dtype: Any) -> Array:
    """`x` with another element type; the result is not weak. Constants are converted at once."""
    array, target = lift(x), dtype_of(dtype)
    value = array.value
    if array.weak is not None and value.node is not None and value.node.op.name == "constant":
        return constant(_fitting(value.node.attributes["value"], target), target)
    if value.type.dtype is not target:
        converted: Array = emit("convert", array, dtype=target)
        return converted
    if array.weak is None:
        return array
    return Array(value, array.scope)


def _fitting(number: Any, target: DType) -> Any:
    """A Python number as the element of a constant of type `target`."""
    if target.kind == "b":
        return bool(number)
    if target.is_integer:
        number = int(number)
        low, high = (-(1 << (target.bits - 1)), (1 << (target.bits - 1)) - 1) if target.is_signed else (
            0, (1 << target.bits) - 1)
        if not low <= number <= high:
            raise OverflowError(f"Python integer {number} out of bounds for {target.numpy_name}")
        return number
    return complex(number) if target.is_complex else float(number)


# Shapes

def dim_of(size: Any) -> AnySize:
    """A size for an attribute: int or `Dim`. Traced ints become static."""
    found = size_of(size)
    return static_int(size) if found is None else found


def shape_of(shape: Any) -> tuple[AnySize, ...]:
    """What users give as a shape, an int or a sequence, as sizes for an attribute."""
    if isinstance(shape, (int, Size, np.integer)) or type(shape) is Array and not shape.type.shape:
        return (dim_of(shape),)
    return tuple([dim_of(n) for n in shape])


def broadcast_shapes(*shapes: Sequence[AnySize]) -> tuple[AnySize, ...]:
    """NumPy's broadcasting of shapes; ShapeError names the two sizes that differ."""
    rank = max(map(len, shapes), default=0)
    result: list[AnySize] = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            if result[axis] == 1:
                result[axis] = size
            elif size != 1 and size is not result[axis] and not same_size(size, result[axis]):
                raise _cannot_broadcast(shapes)
    return tuple(result)


def _cannot_broadcast(shapes: Sequence[Sequence[AnySize]]) -> ShapeError:
    texts = " ".join(f"({','.join(map(str, s))}{',' if len(s) == 1 else ''})" for s in shapes)
    return ShapeError(f"operands could not be broadcast together with shapes {texts}", span=current_span(3),
                      why="shapes are aligned at the last axis; sizes must be equal or 1",
                      fix="reshape one operand, for example x[:, None]")


def broadcast_to(x: Any, shape: Sequence[Any]) -> Array:
    """`x` in a larger shape (sizes may be `Size`s)."""
    array, target = lift(x), tuple([dim_of(n) for n in shape])
    own = array.type.shape
    if own == target:
        return array
    if len(own) > len(target) or broadcast_shapes(own, target) != target:
        raise _cannot_broadcast((own, target))
    value = array.value
    if value.node is not None and value.node.op.name == "constant" and not own:
        return constant(value.node.attributes["value"], value.type.dtype, target)
    wide: Array = emit("broadcast_in_dim", array, shape=target,
                       dims=tuple(range(len(target) - len(own), len(target))))
    return wide


def broadcast(*xs: Any) -> list[Array]:
    """The operands in their common shape."""
    arrays = [lift(x) for x in xs]
    first = arrays[0].type.shape if arrays else ()
    if all(a.type.shape == first for a in arrays):
        return arrays
    shape = broadcast_shapes(*[a.type.shape for a in arrays])
    return [broadcast_to(a, shape) for a in arrays]


# Python values

def is_static(x: Any) -> bool:
    """Whether `x` contains nothing traced."""
    if isinstance(x, (list, tuple)):
        return all(map(is_static, x))
    return type(x) is not Array and type(x) is not Size and type(x) not in ARRAY_LIKE


def scalar_paths(x: Array) -> list[str]:
    """The scalar arguments that `x` is computed from, with sizes and constants; none if anything else goes into it."""
    context, found = current(), dict[str, None]()
    pending, seen = [x.value], set[Any]()
    while pending:
        value = context.scope.origin(pending.pop())
        if value in seen:
            continue
        seen.add(value)
        node = value.node
        if value in context.scalars:
            found[context.scalars[value]] = None
            continue
        if node is None or node.op.has_effect or (
                node.op.name == "dimension" and context.hint(node.attributes["size"]) is None):
            return []
        pending += node.operands
    return list(found)


def static_int(x: Any) -> int:
    """A Python int: concretises traced scalars and sizes (a guard, and another trace for another value)."""
    if type(x) is int:
        return x
    if type(x) is Size or type(x) is Array:
        return x.__index__()
    try:
        return int(x.__index__())
    except AttributeError:
        raise TypeError(f"'{type(x).__name__}' object cannot be interpreted as an integer") from None


# Effects and mutation

def assert_(predicate: Any, exception: str, message: str, *values: Any) -> None:
    """Raises `exception` at run time, at the user's line, unless `predicate` (bool[]) holds.

    message: may name scalars `values` as {0}, {1}. A predicate known now raises now.
    """
    array = lift(predicate)
    if array.value.node is not None and array.value.node.op.name == "constant" and array.value.node.attributes["value"]:
        return
    arrays = [lift(v) for v in values]
    cls: Any = exception_class(exception) or Exception
    if (target := current().target(cls)) is not None:
        target.catch(array, cls(*formatted(message, arrays)), current_span(2))
    else:
        emit_assert(array, arrays, exception, message, current_span(2))


def emit_assert(holds: Array, values: Sequence[Array], exception: str, message: str, span: SourceSpan | None) -> None:
    """An `assert` whose failure leaves the function, and leaves behind what was changed so far."""
    context = current()
    scope, (changed, kept) = context.scope, context.changed()
    attributes: dict[str, Any] = {"exception": exception, "message": message, **({"kept": kept} if kept else {})}
    scope.graph.emit("assert", [scope.bring(a.value, a.scope) for a in (holds, *values, *changed)], attributes, span)


def formatted(message: str, values: Sequence[Array]) -> tuple[Any, ...]:
    """The arguments of an exception with this message, values in place of {0}, {1}."""
    parts: list[Any] = []
    for literal, field, spec, _ in Formatter().parse(message):
        parts += [literal] if literal else []
        parts += [(values[int(field)], "", spec or "")] if field is not None else []
    return (text(*parts),) if parts else ()


def view(x: Array, get: Callable[[Array], Array], put: Callable[[Array, Array], Array]) -> Array:
    """A view of `x`: `get(x)` now, and again whenever `x` was changed; writing to it writes `put(x, new)` to `x`.

    get and put are pure. Of an immutable `x` (scalar, Tensor) this is just `get(x)`.
    """
    snapshot = x.snapshot()
    made = get(snapshot)
    if x.kind != "numpy" or x.is_scalar:
        return made
    result = Array(made.value, made.scope, "numpy", None, True)
    result.view_of = View(x, get, put, x.owner.state)
    result.writeable = x.writeable
    return result


def write(x: Array, index: Any, new: Any) -> None:
    """`x[index] = new`: converts and broadcasts `new`, then changes the content of `x`, also through views.

    index: `Ellipsis` for the whole of `x`.
    """
    if x.kind != "numpy" or x.is_scalar:
        x.refuse_write()
    if index is Ellipsis:
        x.write(broadcast_to(convert(new, x.type.dtype), x.type.shape))
    else:
        x[index] = new
