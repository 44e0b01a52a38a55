"""Imports every file that declares implementations; importing this module fills the table `NUMPY`.

Flows in:  nothing.
Flows out: `tracejit.tracing.implements.NUMPY`, complete.
"""
from tracejit.numpy import (
    creation,
    cumulative,
    diagonals,
    einsum,
    indexing,
    joining,
    products,
    reductions,
    selecting,
    sets,
    shapes,
    sorting,
    ufuncs,
)

__all__ = ["creation", "cumulative", "diagonals", "einsum", "indexing", "joining", "products", "reductions",
           "selecting", "sets", "shapes", "sorting", "ufuncs"]
