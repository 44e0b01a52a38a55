"""`ArrayType`: element type and shape, printed the way it is parsed: `f32[n,784]`.

Flows in:  dtypes and sizes.
Flows out: the type of every value of the graph IR and of every leaf of a signature.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tracejit.base.dims import Dim, Size, evaluate_size, product, substitute_size, symbols_of
from tracejit.base.dtypes import DType
from tracejit.base.trees import register_leaf

_TEXT = re.compile(r"\s*(\w+)\s*(?:\[(.*)\])?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True, init=False)
class ArrayType:
    """Element type and shape; sizes are ints or `Dim`s. Text alone is read as `parse` reads it."""

    dtype: DType
    shape: tuple[Size, ...]

    def __init__(self, dtype: DType | str, shape: tuple[Size, ...] = ()):
        if isinstance(dtype, str):
            parsed = ArrayType.parse(dtype)
            dtype, shape = parsed.dtype, parsed.shape
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return product(self.shape)

    @property
    def is_static(self) -> bool:
        return all(isinstance(n, int) for n in self.shape)

    def symbols(self) -> frozenset[str]:
        return symbols_of(self.shape)

    def with_shape(self, shape: tuple[Size, ...]) -> ArrayType:
        return ArrayType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> ArrayType:
        return ArrayType(dtype, self.shape)

    def substitute(self, sizes: Mapping[str, Size]) -> ArrayType:
        return ArrayType(self.dtype, tuple(substitute_size(n, sizes) for n in self.shape))

    def concrete_shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(evaluate_size(n, sizes) for n in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @staticmethod
    def parse(text: str) -> ArrayType:
        """Reads `f32[n,784]`; a bare `f32` is a scalar. Raises ValueError with the text for anything else."""
        match = _TEXT.fullmatch(text)
        try:
            assert match
            dims = _split(match[2]) if match[2] else []
            return ArrayType(DType.parse(match[1]), tuple(Dim.parse(d.strip()) for d in dims))
        except (AssertionError, KeyError, ValueError, SyntaxError):
            raise ValueError(f"not an array type: {text!r}; write for example f32[n,784]") from None


for _cls in (ArrayType, Dim, DType):
    register_leaf(_cls)


def _split(text: str) -> list[str]:
    """Splits at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]
