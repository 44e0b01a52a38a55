"""Imports every file that declares implementations; importing this module fills the table `NUMPY`.

Flows in:  nothing.
Flows out: `tracejit.tracing.implements.NUMPY`, complete.
"""
from tracejit.numpy import (
    creation,
    cumulative,
    diagonals,
    dtype_functions,
    einsum,
    floats,
    functional,
    histograms,
    indexing,
    joining,
    nanfunctions,
    norms,
    products,
    quantiles,
    reductions,
    selecting,
    sets,
    shapes,
    signals,
    sorting,
    statistics,
    ufuncs,
)

__all__ = ["creation", "cumulative", "diagonals", "dtype_functions", "einsum", "floats", "functional", "histograms", "indexing", "joining", "nanfunctions", "norms", "products", "quantiles", "reductions", "selecting", "sets", "shapes", "signals", "sorting", "statistics", "ufuncs"]
