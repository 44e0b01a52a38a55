"""np.einsum: any number of operands, contracted pairwise along a greedy path.

Flows in:  the subscripts (text, or lists of ints) and the operands.
Flows out: diagonals, sums over lone letters, dot_general ops and a final transpose.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.dims import Size
from tracejit.numpy.diagonals import diagonal
from tracejit.numpy.products import dot_general
from tracejit.numpy.reductions import reduce
from tracejit.numpy.support import emit, fail, finish, operand, requested, reshaped, shape_of, transposed
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import convert, promote
from tracejit.tracing.context import current
from tracejit.tracing.implements import implements
from tracejit.tracing.sizes import same_size

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
Term = tuple[Array, str]


@implements(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None, order: str = "K",
           casting: str = "safe") -> Any:
    """np.einsum."""
    inputs, output, arrays = _parsed(operands)
    values = promote(*arrays)
    values = [convert(v, requested(dtype, v.type.dtype)) for v in values]
    sizes: dict[str, Size] = {}
    terms = [_checked(v, letters, sizes) for v, letters in zip(values, inputs)]
    terms = [_with_diagonals(v, letters) for v, letters in terms]
    for i, j in _path([letters for _, letters in terms], output, sizes):
        later = [t for k, t in enumerate(terms) if k not in (i, j)]
        needed = set(output).union(*(letters for _, letters in later))
        terms = [*later, _pair(terms[i], terms[j], needed)]
    value, letters = _summed(terms[0], set(output))
    return finish(transposed(value, [letters.index(c) for c in output]), out, casting=casting)


# ---- reading the subscripts ------------------------------------------------------------------------------------


def _parsed(operands: Sequence[Any]) -> tuple[list[str], str, list[Array]]:
    """Letters per operand, letters of the result, the operands; `...` is replaced by letters."""
    if not isinstance(operands[0], str):
        operands = _from_lists(operands)
    text, arrays = operands[0].replace(" ", ""), [operand(a) for a in operands[1:]]
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        fail(ValueError, "fewer operands provided to einstein sum function than specified in the subscripts string"
             if len(terms) > len(arrays) else
             "more operands provided to einstein sum function than specified in the subscripts string")
    for c in text.replace("...", ""):
        if c not in _LETTERS and c not in ",->":
            fail(ValueError, f"invalid subscript '{c}' in einstein sum subscripts string, subscripts must be letters")
    free = [c for c in _LETTERS if c not in text]
    ranks = [x.ndim - len(t.replace("...", "")) if "..." in t else 0 for t, x in zip(terms, arrays)]
    for t, x, r in zip(terms, arrays, ranks):
        if r < 0 or ("..." not in t and len(t) != x.ndim):
            fail(ValueError, f"einstein sum subscripts string {t!r} has not the number of dimensions of its operand, "
                 f"{x.ndim}")
    dots = "".join(free[:max(ranks, default=0)])
    inputs = [t.replace("...", dots[len(dots) - r:]) for t, r in zip(terms, ranks)]
    output = right.replace("...", dots) if arrow else dots + "".join(sorted(
        c for c in set(left) - {",", "."} if left.count(c) == 1))
    if len(set(output)) != len(output) or not set(output) <= set("".join(inputs)):
        fail(ValueError, f"einstein sum subscripts string includes output subscript {right!r} multiple times or one "
             "which never appeared in an input")
    return inputs, output, arrays


def _from_lists(operands: Sequence[Any]) -> list[Any]:
    """`einsum(x, [0, 1], y, [1, 2], [0, 2])` as text."""
    pairs, rest = operands[:len(operands) // 2 * 2], operands[len(operands) // 2 * 2:]

    def letters(items: Any) -> str:
        return "".join("..." if i is Ellipsis else _LETTERS[i] for i in items)
    text = ",".join(letters(s) for s in pairs[1::2]) + (f"->{letters(rest[0])}" if rest else "")
    return [text, *pairs[::2]]


def _checked(x: Array, letters: str, sizes: dict[str, Size]) -> Term:
    """Records the size of each letter; axes of size 1 broadcast, so they are dropped."""
    for c, n in zip(letters, shape_of(x)):
        known = sizes.setdefault(c, n)
        if known == 1:
            sizes[c] = n
        elif n != 1 and not same_size(known, n):
            fail(ValueError, f"operands could not be broadcast together with remapped shapes: subscript {c!r} has size "
                 f"{known} and {n}")
    return x, letters


def _with_diagonals(x: Array, letters: str) -> Term:
    """Letters that repeat within one operand take its diagonal."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            x = diagonal(x, 0, i, j)
            letters = letters[:i] + letters[i + 1:j] + letters[j + 1:] + c
    return x, letters


# ---- contracting -----------------------------------------------------------------------------------------------


def _path(inputs: list[str], output: str, sizes: dict[str, Size]) -> list[tuple[int, int]]:
    """Pairs to contract, positions in the shrinking list: those with the smallest result first."""
    known = {c: current().hint(n) or 2 for c, n in sizes.items()}
    terms, path = [set(t) for t in inputs], []

    def cost(i: int, j: int) -> tuple[int, int]:
        rest = set(output).union(*(t for k, t in enumerate(terms) if k not in (i, j)))
        result = (terms[i] | terms[j]) & rest
        size = _volume(result, known)
        return size - _volume(terms[i], known) - _volume(terms[j], known), _volume(terms[i] | terms[j], known)

    while len(terms) > 1:
        i, j = min(((i, j) for i in range(len(terms)) for j in range(i + 1, len(terms))), key=lambda p: cost(*p))
        path.append((i, j))
        rest = set(output).union(*(t for k, t in enumerate(terms) if k not in (i, j)))
        merged = (terms[i] | terms[j]) & rest
        terms = [*(t for k, t in enumerate(terms) if k not in (i, j)), merged]
    return path


def _volume(letters: set[str], sizes: dict[str, int]) -> int:
    size = 1
    for c in letters:
        size *= sizes[c]
    return size


def _summed(term: Term, keep: set[str]) -> Term:
    """Sums over letters that nobody else needs."""
    x, letters = term
    axes = [i for i, c in enumerate(letters) if c not in keep]
    if not axes:
        return term
    return reduce("reduce_or" if x.type.dtype.kind == "b" else "reduce_sum", x, axes), "".join(
        c for c in letters if c in keep)


def _without_units(term: Term, other: Term) -> Term:
    """Axes of size 1 that broadcast against the other operand are dropped."""
    x, letters = term
    sizes = dict(zip(other[1], shape_of(other[0])))
    kept = [i for i, c in enumerate(letters) if not (shape_of(x)[i] == 1 and sizes.get(c, 1) != 1)]
    return reshaped(x, [shape_of(x)[i] for i in kept]), "".join(letters[i] for i in kept)


def _pair(first: Term, second: Term, needed: set[str]) -> Term:
    """One contraction of two operands."""
    first, second = _without_units(first, second), _without_units(second, first)
    first = _summed(first, needed | set(second[1]))
    second = _summed(second, needed | set(first[1]))
    (x, a), (y, b) = first, second
    shared = [c for c in a if c in b]
    batch, contract = [c for c in shared if c in needed], [c for c in shared if c not in needed]
    rest = [c for c in a if c not in shared] + [c for c in b if c not in shared]
    if not contract:
        return _multiplied(x, a, y, b, batch + rest)
    value = dot_general(x, y, ([a.index(c) for c in contract], [b.index(c) for c in contract]),
                        ([a.index(c) for c in batch], [b.index(c) for c in batch]))
    return value, "".join(batch + rest)


def _multiplied(x: Array, a: str, y: Array, b: str, letters: list[str]) -> Term:
    """Nothing is summed: a product of broadcast operands."""
    sizes = {**dict(zip(b, shape_of(y))), **dict(zip(a, shape_of(x)))}
    shape = tuple(sizes[c] for c in letters)
    parts = []
    for value, own in ((x, a), (y, b)):
        order = sorted(range(len(own)), key=lambda i, own=own: letters.index(own[i]))  # type: ignore[misc]
        value = transposed(value, order)
        dims = tuple(letters.index(own[i]) for i in order)
        parts.append(value if shape_of(value) == shape else emit("broadcast_in_dim", value, shape=shape, dims=dims))
    return emit("and" if x.type.dtype.kind == "b" else "multiply", *parts), "".join(letters)


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """The path of the compiled contraction."""
    inputs, output, arrays = _parsed(operands)
    sizes: dict[str, Size] = {}
    for x, letters in zip(arrays, inputs):
        _checked(x, letters, sizes)
    return ["einsum_path", *_path(inputs, output, sizes)], ""
