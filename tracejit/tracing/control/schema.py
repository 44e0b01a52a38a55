"""The form of a value: its structure, and the types of what is traced in it.

Flows in:  values of variables on the paths that join: branches, or the rounds of a loop.
Flows out: `describe` (the form of one value), `join` (the form that holds two), `flatten` and `build` (value to arrays
           of that form and back).
"""
from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.dtypes import BOOL, C128, F64, I32, I64, DType, weak_result
from tracejit.base.trees import node_type
from tracejit.base.types import ArrayType
from tracejit.tracing.arrays import ARRAY_LIKE, Array
from tracejit.tracing.building import broadcast_to, constant, convert, lift
from tracejit.tracing.context import current
from tracejit.tracing.control.containers import Keys, attributes, is_instance, refill
from tracejit.tracing.control.errors import put_together, taken_apart
from tracejit.tracing.control.optional import UNDEFINED, Optional
from tracejit.tracing.control.sizing import Home, Sizes, is_hidden, merged
from tracejit.tracing.control.texts import TextForm, alternatives, index_among
from tracejit.tracing.control.texts import put_together as assembled
from tracejit.tracing.sizes import Size
from tracejit.tracing.text import TracedText

WEAK: dict[str, DType] = {"b": BOOL, "i": I64, "f": F64, "c": C128}
_NUMBERS = (bool, int, float, complex, np.generic, Size)


class JoinError(Exception):
    """Two forms have nothing in common."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One traced array or scalar. boxed: an ndarray of rank 0.  kept: as of `Array`."""

    type: ArrayType
    weak: str | None
    kind: str
    boxed: bool
    kept: bool = False

    def __str__(self) -> str:
        names = {"b": "bool", "i": "int", "f": "float", "c": "complex"}
        return f"a Python {names[self.weak]}" if self.weak else str(self.type)


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """A value that every path has, as it is."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is Static and same_static(self.value, other.value)

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Tree:
    """A container of known structure."""

    cls: type
    meta: Any
    children: tuple[Schema, ...]
    make: Callable[[Any, Sequence[Any]], Any] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.cls.__name__}({', '.join(map(str, self.children))})"


@dataclass(frozen=True, slots=True)
class Perhaps:
    """An `Optional`. inner: None if nothing is known but that the value may be missing."""

    missing: Any
    inner: Schema | None

    def __str__(self) -> str:
        return "no value" if self.missing is UNDEFINED else f"None or {self.inner}" if self.inner else "None"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One of several arrays that there are, by its index among them. take: the index (i32[]) of a value; make: the
    value of an index."""

    leaf: Leaf
    memories: tuple[Array, ...]
    take: Callable[[Any, Sequence[Array]], Array]
    make: Callable[[Array, Sequence[Array]], Any]

    def __eq__(self, other: object) -> bool:
        return type(other) is Reference and len(self.memories) == len(other.memories) and all(
            map(operator.is_, self.memories, other.memories))

    def __str__(self) -> str:
        return str(self.leaf)

    def joined(self, other: Reference) -> Reference:
        if self.leaf != other.leaf:
            raise JoinError("shape" if self.leaf.type.shape != other.leaf.type.shape else "dtype")
        found = {id(m): m for m in (*self.memories, *other.memories)}
        return Reference(self.leaf, tuple(found.values()), self.take, self.make)


@dataclass(frozen=True, slots=True, eq=False)
class Sized:
    """An array with memory of its own and sizes of its own: `sizes` has None for those that go along with it.

    leaf: one element of it.  home: keeps it on its way.
    """

    leaf: Leaf
    sizes: Sizes
    home: Home

    def __eq__(self, other: object) -> bool:
        return type(other) is Sized and self.leaf == other.leaf and self.sizes == other.sizes

    def __str__(self) -> str:
        return f"{self.leaf.type.dtype}[{','.join('?' if n is None else str(n) for n in self.sizes)}]"


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is one of several: for each its form, and the leaves in it."""

    choices: tuple[tuple[TextForm, tuple[Leaf, ...]], ...]

    def __str__(self) -> str:
        return " or ".join(str(form) for form, _ in self.choices)

    def joined(self, other: Text) -> Text:
        made = Text(tuple(dict.fromkeys((*self.choices, *other.choices))))
        if len(made.choices) > _MOST_TEXTS:
            raise JoinError("value")
        return made


Schema = Leaf | Static | Tree | Perhaps | Reference | Sized | Text
_MOST_TEXTS = 12    # that a variable may be one of


def text_form(value: str | TracedText) -> Text:
    return Text(tuple([(form, tuple([_text_leaf(a) for a in arrays])) for form, arrays in alternatives(value)]))


def _text_leaf(array: Array) -> Leaf:
    leaf = describe(array)
    assert isinstance(leaf, Leaf)
    return leaf


def _text(x: Schema) -> Text | None:
    """The form as that of a text; None if it is something else."""
    return x if type(x) is Text else text_form(x.value) if type(x) is Static and isinstance(x.value, str) else None


def _flatten_text(value: str | TracedText, schema: Text) -> list[Array]:
    """The index, then what is in each of the texts."""
    mine = {choice: arrays for choice, (_, arrays) in zip(text_form(value).choices, alternatives(value), strict=True)}
    places = [schema.choices.index(choice) for choice in mine]
    held = [a for choice in schema.choices for a in mine.get(choice) or [
        constant(0, leaf.type.dtype, leaf.type.shape) for leaf in choice[1]]]
    return [index_among(value, places), *held]


def _build_text(schema: Text, arrays: Iterator[Array]) -> Any:
    index = next(arrays)
    held = [[build(leaf, arrays) for leaf in found] for _, found in schema.choices]
    return assembled(index, [form for form, _ in schema.choices], held)


def same_static(x: Any, y: Any) -> bool:
    """Whether two values that are not traced are the same for Python."""
    if x is y:
        return True
    if type(x) is not type(y) or isinstance(x, Array):
        return False
    if isinstance(x, (Keys, frozenset)):
        return bool(x == y)
    if not isinstance(x, (int, float, complex, str, bytes, np.generic, Size, range, slice, type(None))):
        return False
    if type(x) is Size:
        return bool(x.dim == y.dim)
    return bool(x == y) and str(x) == str(y)


def describe(value: Any, numbers: bool = False, known: Container[int] = ()) -> Schema:
    """The form of a value. numbers: Python and NumPy numbers count as traced.  known: ids of arrays which stay as they
    are, in containers too."""
    if type(value) is Array:
        if id(value) in known:
            return Static(value)
        leaf = Leaf(value.type, value.weak, value.kind, value.boxed or bool(value.type.shape), value.owner.kept)
        return sized(leaf, merged(value.type.shape, value.type.shape)) if is_hidden(value.type.shape) else leaf
    if type(value) is Optional:
        return Perhaps(value.missing, describe(value.value, True))
    if value is UNDEFINED:
        return Perhaps(UNDEFINED, None)
    if type(value) is TracedText:
        return text_form(value)
    if isinstance(value, (np.ndarray, *ARRAY_LIKE)) or numbers and isinstance(value, _NUMBERS):
        return describe(lift(value))
    if (node := None if value is None or isinstance(value, type) else node_type(value)) is not None:
        children, meta = node.flatten(value)
        return Tree(type(value), meta, tuple([describe(c, numbers, known) for c in children]), node.unflatten)
    if isinstance(value, BaseException) and id(value) not in current().objects:
        error, tracers = taken_apart(value)
        return Tree(type(value), error, tuple([describe(t) for t in tracers]), put_together)
    if is_instance(value) and id(value) not in current().objects:
        held = attributes(value)
        return Tree(type(value), tuple(held), tuple([describe(c, numbers) for c in held.values()]),
                    partial(instance, type(value)))
    return Static(value)


def instance(cls: type, names: Sequence[str], values: Sequence[Any]) -> Any:
    """An instance of a class of the user's with these attributes, made without running its `__init__`."""
    new: Any = cls.__new__
    made = new(cls)
    refill(made, dict(zip(names, values, strict=True)))
    return made


def parts(value: Any) -> Sequence[Any]:
    """The children of a value whose form is a `Tree`."""
    if isinstance(value, BaseException):
        return taken_apart(value)[1]
    node = node_type(value)
    return tuple(node.flatten(value)[0]) if node is not None else tuple(attributes(value).values())


def join(x: Schema, y: Schema, loop: bool = False, sizes: bool = False) -> Schema:
    """The form that holds both. Raises JoinError.

    loop: a scalar before the first round may become an array.  sizes: in a loop too, sizes of arrays may differ.
    """
    if x == y:
        return x
    if _is_undefined(x) or _is_undefined(y):
        return _join_missing(x, y, UNDEFINED, loop, sizes)
    if _is_none(x) or _is_none(y):
        return _join_missing(x, y, None, loop, sizes)
    if isinstance(x, Tree) and isinstance(y, Tree):
        if x.cls is y.cls and x.meta != y.meta and hasattr(x.meta, "unite"):
            x.meta.unite(y.meta)
        if x.cls is not y.cls or x.meta != y.meta or len(x.children) != len(y.children):
            raise JoinError("structure")
        pairs = zip(x.children, y.children, strict=True)
        return Tree(x.cls, x.meta, tuple([join(a, b, loop, sizes) for a, b in pairs]), x.make)
    if isinstance(x, Reference) and isinstance(y, Reference):
        return x.joined(y)
    if (one := _text(x)) is not None and (other := _text(y)) is not None:
        return one.joined(other)
    left, right = _leaf(x), _leaf(y)
    if left is None or right is None:
        raise JoinError("value")
    if isinstance(left, Sized) or isinstance(right, Sized) or (sizes or not loop) and (
            () not in (left.type.shape, right.type.shape) and left.type.shape != right.type.shape):
        return join_sizes(left, right)
    return join_leaves(left, right, loop)


def sized(leaf: Leaf, sizes: Sizes) -> Sized:
    """The form of arrays like `leaf` with these sizes."""
    return Sized(replace(leaf, type=ArrayType(leaf.type.dtype)), sizes, Home(leaf.type.dtype))


def join_sizes(x: Leaf | Sized, y: Leaf | Sized) -> Sized:
    """The form of arrays which differ in their sizes alone."""
    first, second = (p.sizes if isinstance(p, Sized) else p.type.shape for p in (x, y))
    if len(first) != len(second) or not first:
        raise JoinError("shape")
    elements = [p.leaf if isinstance(p, Sized) else replace(p, type=ArrayType(p.type.dtype)) for p in (x, y)]
    leaf, sizes = join_leaves(elements[0], elements[1], False), merged(first, second)
    known = next((p for p in (x, y) if isinstance(p, Sized)), None)
    return Sized(leaf, sizes, known.home) if known is not None and known.leaf == leaf else sized(leaf, sizes)


def has_sizes(x: Schema | None) -> bool:
    """Whether there is a `Sized` in it."""
    if isinstance(x, Tree):
        return any(map(has_sizes, x.children))
    return isinstance(x, Sized) or isinstance(x, Perhaps) and has_sizes(x.inner)


def _is_undefined(x: Schema) -> bool:
    return type(x) is Perhaps and x.missing is UNDEFINED


def _is_none(x: Schema) -> bool:
    return type(x) is Perhaps and x.missing is None or type(x) is Static and x.value is None


def _join_missing(x: Schema, y: Schema, missing: Any, loop: bool, sizes: bool) -> Schema:
    inner = [p.inner if type(p) is Perhaps and p.missing is missing else p for p in (x, y)]
    here = [p for p in inner if p is not None and not (missing is None and type(p) is Static and p.value is None)]
    if not here:
        return Perhaps(missing, None)
    return Perhaps(missing, _traced(here[0] if len(here) == 1 else join(here[0], here[1], loop, sizes)))


def _traced(x: Schema) -> Schema:
    """The form with all numbers traced."""
    if type(x) is Static and isinstance(x.value, _NUMBERS):
        return describe(x.value, True)
    if isinstance(x, Tree):
        return Tree(x.cls, x.meta, tuple(map(_traced, x.children)), x.make)
    return x


def _leaf(x: Schema) -> Leaf | Sized | None:
    if isinstance(x, (Leaf, Sized)):
        return x
    if type(x) is Static and isinstance(x.value, (*_NUMBERS, Array)):
        made = describe(x.value, True)
        return made if isinstance(made, (Leaf, Sized)) else None
    return None


def join_leaves(x: Leaf, y: Leaf, loop: bool) -> Leaf:
    """Weak scalars take the other's type; in a loop, a scalar also takes the shape that the body gives."""
    shape = x.type.shape
    if x.type.shape != y.type.shape:
        if not (loop and () in (x.type.shape, y.type.shape)):
            raise JoinError("shape")
        shape = x.type.shape or y.type.shape
    kind = "tensor" if "tensor" in (x.kind, y.kind) else x.kind if x.kind == y.kind else "numpy"
    if x.weak and y.weak:
        weak = max(x.weak, y.weak, key="bifc".index)
        return Leaf(ArrayType(WEAK[weak], shape), weak, kind, False)
    dtype = x.type.dtype
    if x.weak or y.weak:
        strong = y if x.weak else x
        dtype = weak_result(x.weak or y.weak or "b", strong.type.dtype)
    elif dtype is not y.type.dtype:
        raise JoinError("dtype")
    return Leaf(ArrayType(dtype, shape), None, kind, x.boxed or y.boxed, x.kept or y.kept)


def leaves(schema: Schema) -> Iterator[Leaf]:
    """The traced parts, in the order of `flatten`."""
    if isinstance(schema, Leaf):
        yield schema
    elif isinstance(schema, Reference):
        yield INDEX
    elif isinstance(schema, Sized):
        yield from [SIZE] * schema.sizes.count(None)
    elif isinstance(schema, Tree):
        for child in schema.children:
            yield from leaves(child)
    elif isinstance(schema, Perhaps):
        yield _FLAG
        if schema.inner is not None:
            yield from leaves(schema.inner)
    elif isinstance(schema, Text):
        yield _TEXT_INDEX
        for _, held in schema.choices:
            yield from held


_TEXT_INDEX = Leaf(ArrayType(I64), None, "numpy", False)
_FLAG = Leaf(ArrayType(BOOL), "b", "python", False)
SIZE = Leaf(ArrayType(I64), "i", "python", False)
INDEX = Leaf(ArrayType(I32), None, "numpy", False)


def flatten(value: Any, schema: Schema) -> list[Array]:
    """The traced parts of a value, in exactly the types of `schema`, made in the running scope."""
    if value is UNDEFINED and not _is_undefined(schema):
        return zeros(schema)    # a variable of the converter's own, which is read only where it was set
    if isinstance(schema, Leaf):
        return [fitted(value, schema)]
    if isinstance(schema, Tree):
        return [a for child, form in zip(parts(value), schema.children, strict=True) for a in flatten(child, form)]
    if isinstance(schema, Perhaps):
        return _flatten_optional(value, schema)
    if isinstance(schema, Text):
        return _flatten_text(value, schema)
    if isinstance(schema, Sized):
        return schema.home.put(convert(lift(value), schema.leaf.type.dtype), schema.sizes)
    return [schema.take(value, schema.memories)] if isinstance(schema, Reference) else []


def _flatten_optional(value: Any, schema: Perhaps) -> list[Array]:
    if value is schema.missing:
        return [constant(True, BOOL), *(zeros(schema.inner) if schema.inner else ())]
    flag = constant(False, BOOL)
    if type(value) is Optional and value.missing is schema.missing:
        flag, value = convert(value.flag, BOOL), value.value
    return [flag, *(flatten(value, schema.inner) if schema.inner else ())]


def zeros(schema: Schema) -> list[Array]:
    """Parts of a value that nobody reads."""
    if isinstance(schema, Tree):
        nothing = getattr(schema.meta, "nothing", None)
        return nothing() if nothing is not None else [z for child in schema.children for z in zeros(child)]
    if isinstance(schema, Perhaps) and schema.inner is not None:
        return [constant(0, BOOL), *zeros(schema.inner)]
    return [constant(0, leaf.type.dtype, leaf.type.shape) for leaf in leaves(schema)]


def fitted(value: Any, leaf: Leaf) -> Array:
    """One array or number in a leaf's type, in the running scope."""
    array = convert(lift(value), leaf.type.dtype)
    return broadcast_to(array, leaf.type.shape) if array.type.shape != leaf.type.shape else array


def build(schema: Schema, arrays: Iterator[Array]) -> Any:
    """The value of this form."""
    if isinstance(schema, Leaf):
        return _made(next(arrays), schema)
    if isinstance(schema, Sized):
        return _made(schema.home.take(arrays, schema.sizes), schema.leaf)
    if isinstance(schema, Tree):
        return _rebuild(schema, [build(child, arrays) for child in schema.children])
    if isinstance(schema, Perhaps):
        flag = next(arrays)
        inner = build(schema.inner, arrays) if schema.inner is not None else None
        return schema.missing if schema.inner is None else Optional(schema.missing, flag, inner)
    if isinstance(schema, Text):
        return _build_text(schema, arrays)
    return schema.make(next(arrays), schema.memories) if isinstance(schema, Reference) else schema.value


def _made(found: Array, leaf: Leaf) -> Array:
    made = Array(found.value, found.scope, leaf.kind, leaf.weak, leaf.boxed)
    made.kept = leaf.kept
    return made


def _rebuild(schema: Tree, children: Sequence[Any]) -> Any:
    if schema.cls is list:
        return list(children)
    if schema.cls is tuple:
        return tuple(children)
    if schema.cls is dict:
        return dict(zip(schema.meta, children, strict=True))
    return schema.make(schema.meta, children)


__all__ = ["Leaf", "Perhaps", "Schema", "Static", "Tree", "build", "describe", "flatten", "join", "leaves"]
