"""Element types by their short names, and NumPy 2's promotion between them.

Flows in:  nothing but NumPy.
Flows out: `DType` constants (`F32`, `I64`, ...), `dtype_of(anything NumPy accepts)`, `promote`.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """One element type. Instances are unique: compare with `is` or `==`.

    name: as printed, `f32`.  kind: one of `b i u f c`.  bits: size of one element in memory.
    """

    name: str
    kind: str
    bits: int
    numpy_name: str

    @property
    def bytes(self) -> int:
        return self.bits // 8

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype; bfloat16, which NumPy lacks, is *computed* by the evaluator in float32."""
        return _NUMPY[self.name]

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_inexact(self) -> bool:
        return self.kind in "fc"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iu"

    @property
    def is_signed(self) -> bool:
        return self.kind in "ifc"

    @property
    def real(self) -> DType:
        """The type of the real part: f32 of c64, itself for real types."""
        return {"c64": F32, "c128": F64}.get(self.name, self)

    @property
    def compute(self) -> DType:
        """The type arithmetic runs in: f32 for the two 16-bit floats, which are storage types."""
        return F32 if self.kind == "f" and self.bits == 16 else self

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return DType.parse, (self.name,)

    @staticmethod
    def parse(name: str) -> DType:
        """The type called `name` (`f32`); raises KeyError for an unknown name."""
        return DTYPES[name]


BOOL = DType("bool", "b", 8, "bool")
I8, I16, I32, I64 = (DType(f"i{n}", "i", n, f"int{n}") for n in (8, 16, 32, 64))
U8, U16, U32, U64 = (DType(f"u{n}", "u", n, f"uint{n}") for n in (8, 16, 32, 64))
F16 = DType("f16", "f", 16, "float16")
BF16 = DType("bf16", "f", 16, "bfloat16")
F32, F64 = DType("f32", "f", 32, "float32"), DType("f64", "f", 64, "float64")
C64, C128 = DType("c64", "c", 64, "complex64"), DType("c128", "c", 128, "complex128")

DTYPES = {t.name: t for t in (BOOL, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64, C64, C128)}
INTEGERS = (I8, I16, I32, I64, U8, U16, U32, U64)
FLOATS = (F16, BF16, F32, F64)
COMPLEXES = (C64, C128)

_NUMPY = {t.name: np.dtype("float32" if t is BF16 else t.numpy_name) for t in DTYPES.values()}
_BY_NUMPY = {np.dtype(t.numpy_name): t for t in DTYPES.values() if t is not BF16}
_BY_LONG_NAME = {t.numpy_name: t for t in DTYPES.values()}


def dtype_of(spec: Any) -> DType:
    """The DType that `spec` names: a DType, its short name, or anything `np.dtype` accepts.

    Raises TypeError for types without an equal here (object, string, datetime, long double).
    """
    if isinstance(spec, DType):
        return spec
    if isinstance(spec, str) and (spec in DTYPES or spec in _BY_LONG_NAME):
        return DTYPES.get(spec) or _BY_LONG_NAME[spec]
    if getattr(spec, "__name__", None) == "bfloat16" or getattr(spec, "name", None) == "bfloat16":
        return BF16
    found = _BY_NUMPY.get(np.dtype(spec).newbyteorder("="))
    if found is None:
        raise TypeError(f"dtype {np.dtype(spec)} has no compiled equal; supported: {', '.join(DTYPES)}")
    return found


def promote(x: DType, y: DType) -> DType:
    """NumPy's result type of two strongly typed operands; bf16 behaves as f16 does, and f16+bf16 is f32."""
    if x is y:
        return x
    if BF16 in (x, y):
        other = y if x is BF16 else x
        if other is F16:
            return F32
        return BF16 if other is BOOL or (other.is_integer and other.bits == 8) else promote(F16, other)
    return dtype_of(np.promote_types(x.numpy, y.numpy))


def weak_result(kind: str, strong: DType) -> DType:
    """NEP 50: the type of a Python scalar of `kind` (`b i f c`) meeting an array of type `strong`."""
    order = "biufc"
    rank = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
    assert kind in order
    if rank[kind] <= rank[strong.kind]:
        return strong
    if kind == "i":
        return I64
    if kind == "f":
        return F64
    return {"f32": C64, "f16": C64, "bf16": C64}.get(strong.name, C128)
