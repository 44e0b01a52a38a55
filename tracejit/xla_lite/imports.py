"""What generated code may call by name, with addresses in this process.

Flows in:  the runtime's functions and NumPy's BLAS.
Flows out: widths of integers of the products (part of every key), addresses for the linker.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.xla_lite.runtime.blas import LETTERS, find_blas
from tracejit.xla_lite.runtime.host import symbols


def blas_bits() -> dict[str, int]:
    """The products that generated code may call, and the width of their integers."""
    return {_symbol(d): f.integer_bits for (routine, d), f in find_blas().items() if routine == "gemm"}


def addresses(names: Sequence[str]) -> dict[str, int]:
    """Addresses of the C symbols that code imports."""
    known: dict[str, int] = dict(symbols())
    known.update({_symbol(d): f.address for (r, d), f in find_blas().items() if r == "gemm"})
    return {n: known[n] for n in names if n in known}


def _symbol(dtype: str) -> str:
    """What generated code calls the product of a dtype."""
    return f"tj_{LETTERS[dtype]}gemm"
