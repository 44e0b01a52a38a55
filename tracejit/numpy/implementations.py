"""Imports every file that declares implementations; importing this module fills the table `NUMPY`.

Flows in:  nothing.
Flows out: `tracejit.tracing.implements.NUMPY`, complete.
"""
from tracejit.numpy import (
    creation,
    diagonals,
    einsum,
    indexing,
    joining,
    products,
    reductions,
    shapes,
    ufuncs,
)

__all__ = ["creation", "diagonals", "einsum", "indexing", "joining", "products", "reductions", "shapes", "ufuncs"]
