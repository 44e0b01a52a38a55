"""NumPy's functions, compiled: on tracers they emit graph ops, outside of a trace they give Tensors.

Reading order:
    support          axes, errors with the user's line, `out=`, small emitters
    ufuncs           elementwise functions and the calling convention of ufuncs
    reductions       sum, max, argmax, mean, var
    shapes           reshape, transpose, broadcast_to, flip
    creation         zeros, arange, linspace, eye, meshgrid
    index_ranges     what the graph says about indices; the check at run time
    index_plans      what an index expression means for a shape
    indexing         x[...], x[...] = v, x.at[...]
    joining          concatenate, split, tile, repeat, pad
    selecting        where, take, choose, put
    sorting          sort, searchsorted, nonzero
    sets             unique, isin
    cumulative       cumsum, diff, methods of ufuncs
    diagonals        diagonal, diag, tril_indices
    products         matmul, tensordot, cross
    contractions     einsum along a greedy path
    matrices         operands, checks and results of np.linalg
    decompositions   cholesky, qr, eigh, eig, svd
    systems          solve, inv, matrix_power
    determinants     det, slogdet
    norms            np.linalg.norm
    least_squares    pinv, lstsq, matrix_rank, cond
    fitting          polyfit
    floats           round, angle, isclose, nan_to_num
    statistics       average, cov, corrcoef
    quantiles        quantile, percentile, median
    nanfunctions     nansum, nanmean, nanmedian
    signals          gradient, interp, convolve, polynomials, windows
    histograms       bincount, histogram
    functional       apply_along_axis, vectorize, packbits
    dtype_functions  result_type, can_cast, scalar types
    special          erf, expit, logsumexp, softmax
    unsupported      what can't be compiled, and what to use instead
    implementations  imports all of them
    namespace        the names of `tj.numpy`
"""
from tracejit.numpy.namespace import __dir__, __getattr__

__all__ = ["__dir__", "__getattr__"]
