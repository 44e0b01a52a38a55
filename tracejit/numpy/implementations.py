"""Imports every file that declares implementations; importing this module fills the table `NUMPY`.

Flows in:  nothing.
Flows out: `tracejit.tracing.implements.NUMPY`, complete.
"""
from tracejit.numpy import (
    contractions,
    creation,
    cumulative,
    decompositions,
    determinants,
    diagonals,
    dtype_functions,
    fitting,
    floats,
    functional,
    histograms,
    indexing,
    joining,
    least_squares,
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
    special,
    statistics,
    systems,
    ufuncs,
    unsupported,
)

__all__ = ["contractions", "creation", "cumulative", "decompositions", "determinants", "diagonals", "dtype_functions",
           "fitting", "floats", "functional", "histograms", "indexing", "joining", "least_squares", "nanfunctions",
           "norms", "products", "quantiles", "reductions", "selecting", "sets", "shapes", "signals", "sorting",
           "special", "statistics", "systems", "ufuncs", "unsupported"]
