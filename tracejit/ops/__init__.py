"""What every op is, one statement each: type rule, meaning in NumPy, lowering facts.

Reading order:
    declare       the vocabulary: the kinds of op, and what `Op.lower` holds for each
    scalars       the builder that scalar code is written against
    references    meanings that NumPy has no function for
    arithmetic    add, divide, compare, select, convert, ...
    elementary    exponential, sine, power, erf, ...
    bitwise       and, or, shifts, gcd, ...
    complexes     complex formulas of elementary functions
    reductions    reduce_sum, reduce_argmax, ...
    cumulative    cumulative_sum, ...
    views         reshape, transpose, slice, pad, concatenate, ...
    indexing      gather, scatter, dynamic_slice, dynamic_update_slice
    contractions  dot_general
    convolutions  convolution: a contraction through windows
    windows       reduce_window and what derivatives of its largest element need
    library       sort, compact_indices, searchsorted
    linalg        cholesky, lu, qr, eigh, svd, eig, triangular_solve; linalg_references, linalg_rules: what they mean
                  and their derivatives
    control       while, for, case, fusion
    custom        stop_gradient, functions with derivatives of their own
    derivatives   what a derivative is stated with; control_derivatives: of loops and branches
    batching      what ops do on a new leading axis
    effects       bind_dim, assert, print, host_call
    stacks        stack_new, stack_push, stack_pop, ...: memory that grows
    sources       constant, iota, dimension
"""
from tracejit.ops import (
    arithmetic,
    bitwise,
    contractions,
    control,
    convolutions,
    cumulative,
    custom,
    effects,
    elementary,
    indexing,
    library,
    linalg,
    reductions,
    sources,
    stacks,
    views,
    windows,
)

__all__ = ["arithmetic", "bitwise", "contractions", "control", "convolutions", "cumulative", "custom", "effects",
           "elementary", "indexing", "library", "linalg", "reductions", "sources", "stacks", "views", "windows"]
