"""NumPy's own BLAS by function pointer.

Flows in:  the libraries that NumPy has loaded.
Flows out: `find_blas()`: the addresses of matrix products, with the width of their integers.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

from tracejit.xla_lite.runtime.abi import umath_path

LETTERS = {"f32": "s", "f64": "d", "c64": "c", "c128": "z"}
# Prefix, suffix, bits of an integer: the builds of OpenBLAS in NumPy's wheels, Accelerate, then plain CBLAS.
SPELLINGS = (("scipy_", "64_", 64), ("", "64_", 64), ("", "$NEWLAPACK$ILP64", 64), ("scipy_", "", 32), ("", "", 32))


@dataclass(frozen=True, slots=True)
class BlasFunction:
    """A CBLAS function. integer_bits: of sizes and strides; complex factors are passed by address."""

    name: str
    address: int
    integer_bits: int


@cache
def find_blas() -> dict[tuple[str, str], BlasFunction]:
    """(routine, dtype) -> function, for `gemm` and `gemv` of f32, f64, c64, c128; what is missing has no key."""
    library = ctypes.CDLL(umath_path())  # already loaded: this looks in it and in what it is linked with
    found = {}
    for routine in ("gemm", "gemv"):
        for dtype, letter in LETTERS.items():
            if (function := _find(library, f"cblas_{letter}{routine}")) is not None:
                found[routine, dtype] = function
    return found


def _find(library: ctypes.CDLL, name: str) -> BlasFunction | None:
    for prefix, suffix, bits in SPELLINGS:
        spelled = prefix + name + suffix
        if hasattr(library, spelled):
            address = ctypes.cast(getattr(library, spelled), ctypes.c_void_p).value
            assert address
            return BlasFunction(spelled, address, bits)
    return None
