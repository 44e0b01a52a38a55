"""NumPy's own BLAS and LAPACK by function pointer.

Flows in:  the libraries that NumPy has loaded.
Flows out: `find_blas()`: the addresses of routines, with the width of their integers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tracejit.xla_lite.runtime.abi import umath_path

LETTERS = {"f32": "s", "f64": "d", "c64": "c", "c128": "z"}
# Prefix, suffix, bits of an integer: the builds of OpenBLAS in NumPy's wheels, Accelerate, then plain libraries.
SPELLINGS = (("scipy_", "64_", 64), ("", "64_", 64), ("", "$NEWLAPACK$ILP64", 64), ("scipy_", "", 32), ("", "", 32))
CBLAS = ("gemm", "gemv", "trsm", "trsv")
LAPACK = ("potrf", "getrf", "geqrf", "orgqr", "syevd", "gesdd", "geev")
COMPLEX = {"orgqr": "ungqr", "syevd": "heevd"}  # what is orthogonal and symmetric is unitary and Hermitian there


@dataclass(frozen=True, slots=True)
class BlasFunction:
    """A function of CBLAS, or of LAPACK as Fortran passes arguments. integer_bits: of sizes and strides.

    CBLAS takes complex factors by address. LAPACK takes everything by address, and behind all arguments the lengths of
    texts.
    """

    name: str
    address: int
    integer_bits: int


@cache
def find_blas() -> dict[tuple[str, str], BlasFunction]:
    """(routine, dtype) -> function, of f32, f64, c64, c128, named as for real numbers; what is missing has no key."""
    library = ctypes.CDLL(umath_path())  # already loaded: this looks in it and in what it is linked with
    found: dict[tuple[str, str], BlasFunction] = {}
    for spelling in SPELLINGS:
        for key, name in _names():
            if key not in found and (function := _find(library, name, *spelling)) is not None:
                found[key] = function
        if found:  # one library, spelled one way: sizes of integers must not be mixed
            break
    return found


def _names() -> Iterator[tuple[tuple[str, str], str]]:
    """Routines and dtypes, with the name of the C or Fortran function."""
    for dtype, letter in LETTERS.items():
        others = COMPLEX if letter in "cz" else {}
        yield from (((routine, dtype), f"cblas_{letter}{routine}") for routine in CBLAS)
        yield from (((routine, dtype), f"{letter}{others.get(routine, routine)}_") for routine in LAPACK)


def _find(library: ctypes.CDLL, name: str, prefix: str, suffix: str, bits: int) -> BlasFunction | None:
    """Fortran's underscore is no part of Accelerate's names."""
    spelled = prefix + (name.rstrip("_") if "$" in suffix else name) + suffix
    if not hasattr(library, spelled):
        return None
    address = ctypes.cast(getattr(library, spelled), ctypes.c_void_p).value
    assert address
    return BlasFunction(spelled, address, bits)
