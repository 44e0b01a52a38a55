"""What generated code may call by name, with addresses in this process.

Flows in:  the runtime's functions, NumPy's BLAS and LAPACK.
Flows out: widths of integers of their routines (part of every key), addresses for the linker.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.xla_lite.runtime.blas import LETTERS, find_blas
from tracejit.xla_lite.runtime.host import symbols


def blas_bits() -> dict[str, int]:
    """The routines of linear algebra that generated code may call, and the width of their integers."""
    return {_symbol(*key): f.integer_bits for key, f in find_blas().items()}


def addresses(names: Sequence[str]) -> dict[str, int]:
    """Addresses of the C symbols that code imports."""
    known: dict[str, int] = dict(symbols())
    known.update({_symbol(*key): f.address for key, f in find_blas().items()})
    return {n: known[n] for n in names if n in known}


def _symbol(routine: str, dtype: str) -> str:
    """What generated code calls a routine for a dtype: `tj_dgemm`."""
    return f"tj_{LETTERS[dtype]}{routine}"
