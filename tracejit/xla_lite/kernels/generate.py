"""Which generator makes the kernel of which kind of fusion.

Flows in:  a `Request`.
Flows out: a `Kernel`.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping

from tracejit.xla_lite.kernels.columns import columns_kernel, mixed_kernel
from tracejit.xla_lite.kernels.contraction import product_kernel
from tracejit.xla_lite.kernels.convolution import convolution_kernel
from tracejit.xla_lite.kernels.cumulative import cumulative_kernel
from tracejit.xla_lite.kernels.elementwise import elementwise_kernel
from tracejit.xla_lite.kernels.frame import Frame, Request
from tracejit.xla_lite.kernels.full import full_kernel
from tracejit.xla_lite.kernels.kernel_ir import Kernel
from tracejit.xla_lite.kernels.linalg.factorisations import cholesky_kernel, geqrf_kernel, lu_kernel, qr_kernel
from tracejit.xla_lite.kernels.linalg.small import is_small, small_kernel
from tracejit.xla_lite.kernels.linalg.spectra import eig_kernel, eigh_kernel, svd_kernel
from tracejit.xla_lite.kernels.linalg.triangular import lu_solve_kernel, triangular_solve_kernel
from tracejit.xla_lite.kernels.pieces import concatenate_kernel, pad_kernel
from tracejit.xla_lite.kernels.products import blocked_kernel
from tracejit.xla_lite.kernels.rows import rows_kernel
from tracejit.xla_lite.kernels.scatter import scatter_kernel
from tracejit.xla_lite.kernels.searching import compact_kernel, searchsorted_kernel
from tracejit.xla_lite.kernels.sorting import sort_kernel
from tracejit.xla_lite.kernels.stretch import stretch_kernel
from tracejit.xla_lite.kernels.sweep import sweep_kernel
from tracejit.xla_lite.kernels.windows import select_and_gather_kernel, select_and_scatter_kernel, window_kernel


def empty_kernel(request: Request) -> Kernel:
    """Does nothing: memory is all that is wanted."""
    return Frame(request, request.body).kernel()


GENERATORS: dict[str, Callable[[Request], Kernel]] = {     # fixed table: kind of fusion -> generator
    "elementwise": elementwise_kernel,
    "rows": rows_kernel,
    "full": full_kernel,
    "columns": columns_kernel,
    "mixed": mixed_kernel,
    "cumulative": cumulative_kernel,
    "scatter": scatter_kernel,
    "convolution": convolution_kernel,
    "reduce_window": window_kernel,
    "select_and_gather": select_and_gather_kernel,
    "select_and_scatter": select_and_scatter_kernel,
    "product": blocked_kernel,
    "stretch": stretch_kernel,
    "sweep": sweep_kernel,
    "concatenate": concatenate_kernel,
    "pad": pad_kernel,
    "compact_indices": compact_kernel,
    "searchsorted": searchsorted_kernel,
    "sort": sort_kernel,
    "empty": empty_kernel,
}

WITH_ROUTINES: dict[str, Callable[[Request, Mapping[str, int]], Kernel]] = {    # those that call BLAS or LAPACK
    "dot_general": product_kernel,
    "cholesky": cholesky_kernel,
    "lu": lu_kernel,
    "geqrf": geqrf_kernel,
    "qr": qr_kernel,
    "eigh": eigh_kernel,
    "svd": svd_kernel,
    "eig": eig_kernel,
    "triangular_solve": triangular_solve_kernel,
    "lu_solve": lu_solve_kernel,
}

SMALL = ("cholesky", "lu", "lu_solve", "triangular_solve")     # small matrices need no routine

NO_BLAS: Mapping[str, int] = {}


def generate(request: Request, blas: Mapping[str, int] = NO_BLAS) -> Kernel:
    """The kernel of one fusion, sort or product. blas: symbols that products may call, with integer bits."""
    if request.kind in SMALL and is_small(request):
        return small_kernel(request, blas)
    if request.kind in WITH_ROUTINES:
        return WITH_ROUTINES[request.kind](request, blas)
    return GENERATORS[request.kind](request)
