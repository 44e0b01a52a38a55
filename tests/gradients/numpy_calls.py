"""Calls of NumPy functions whose derivatives are compared, and functions through which none flows.

Flows in:  the tables of calls of tests/numpy.
Flows out: `calls()`: text of calls over `INPUTS`, by table; `NO_DERIVATIVE`: names, by the reason.
"""
# ruff: noqa: E501
from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "numpy"))

from expressions import INPUTS as AS_THEY_ARE  # noqa: E402
from test_tables import TABLES, _cases  # noqa: E402

# Calls which the tables of tests/numpy lack for floats.  p: between 0.1 and 0.9.
MORE = """
np.arccos(p); np.arccosh(1 + p); np.arcsinh(x); np.arctan(x); np.asin(p), np.acos(p), np.atan(p); np.asinh(x), np.acosh(1 + p), np.atanh(p); np.atan2(x, y)
np.cosh(p); np.tan(p); np.log2(p); np.log10(p); np.log1p(p); np.logaddexp2(x, y); np.square(x); np.fabs(x); np.hypot(x, y); np.pow(p, y)
np.degrees(x); np.deg2rad(x); np.rad2deg(x); np.radians(x); np.divide(x, y); np.float_power(p, y); np.floor_divide(x, y); np.divmod(x, y)
np.remainder(x, y); np.mod(x, y); np.fmod(x, y); np.positive(x); np.reciprocal(x); np.conjugate(c); np.ldexp(x, 3); np.frexp(x)[0]; np.modf(x)
np.amin(x, 0); np.amax(x); np.around(x, 1); np.round(x); np.cross(w, w[::-1] * 2); np.cross(x[:, :3], w); np.diag(v); np.diag(sq, 1); np.diagonal(a, 1, 1, 2)
np.diagflat(x, 1); np.fill_diagonal(sq, 2.0), sq; np.fill_diagonal(sq, v), sq; np.trace(sq, 1); np.trace(a); np.tri(4) * sq; np.tril(sq); np.triu(sq, 1)
np.dot(x, sq); np.dot(v, v); np.inner(x, x); np.outer(v, w); np.vdot(c, c); np.vdot(x, y); np.matmul(a, sq); sq @ v; np.matvec(sq, v); np.vecmat(v, sq); np.vecdot(x, y)
np.vecdot(c, c); np.tensordot(a, x, ([1, 2], [0, 1])); np.tensordot(x, x, 2); np.kron(x, w); np.kron(v, v); np.einsum('ij,kj->ik', x, y); np.einsum('ii', sq); np.einsum('ii->i', sq)
np.einsum('ij,ij,j->', x, y, v); np.einsum('...ij,jk', a, sq); np.einsum('ijk->kji', a); np.einsum('i,j', v, w); np.linalg.matrix_power(sq, 3); np.linalg.matrix_power(sq, 0) * sq
np.linalg.multi_dot([x, sq, v]); np.linalg.cross(w, w[::-1] * 2); np.linalg.outer(v, w); np.linalg.matmul(x, sq); np.linalg.tensordot(x, sq, 1); np.linalg.trace(sq)
np.linalg.vecdot(x, y); np.linalg.diagonal(sq); np.asanyarray(x) * 2; np.ascontiguousarray(x) ** 2; np.asfortranarray(x) * 3; np.asarray_chkfinite(x) * 1; np.require(x) * 2
np.row_stack([v, v]); np.bincount(d[:4], weights=v); np.histogram(p, 3, range=(0, 1), weights=x)[0]; np.histogramdd(x, 2, range=[(-9, 9)] * 4, weights=w)[0]; np.logspace(s, 2.5, 3); np.arange(3) * s
np.full_like(x, s); np.empty_like(x) * 0 + x; np.eye(4) * sq; np.identity(4) @ sq; np.ones(4) * v; np.fromfunction(lambda p, r: p * r, (2, 3)) * s; np.vander(v, 3); np.isclose(x, y) * x
v[np.argsort(v)[:3]] * w; x[:, np.lexsort((k, v))]; x[np.triu_indices(3)]; x[np.tril_indices(3, -1)]; sq[np.diag_indices(4)]; sq[np.diag_indices_from(sq)]; sq[np.tril_indices_from(sq)]
sq[np.triu_indices_from(sq, 1)]; x[np.unravel_index(5, (3, 4))]; x[b]; x[x > 0]; x[np.nonzero(b)]; x[b] = 2.0; x; x[x > y] = v[0]; x; x[k[:2]] = y[:2]; x; x[:, k] = y; x; x[1:, ::2] *= v[:2]; x
x[::-1] = y; x; x[0] += x[1]; x; x[k, k] = v; x; x += y; x *= x; x; x -= x.mean(0); x; x /= np.abs(x).sum(); x; x **= 2; x; x.flat[3] * x; x[..., None] * v; x[:, [0, 0, 1]]; x[[True, False, True]]
v[k] += w[0]; v; np.add.at(v, k, w[0]), v; np.maximum.at(v, k, p[0, 0]), v; np.multiply.at(v, k, w[1]), v; np.minimum.at(v, k, w[0]), v; np.copyto(x, y, where=b), x; np.putmask(x, b, y), x
np.percentile(x, 30, axis=1); np.percentile(v, [10, 55, 90]); np.quantile(x, .3, axis=0, method='lower'); np.quantile(x, .3, method='midpoint'); np.interp(p, o / 6, o * o); np.interp(w / 3, p[0].cumsum(), v)
np.linalg.norm(v, 2.5); np.linalg.norm(v, -1); np.linalg.norm(c, axis=1); np.linalg.norm(x, 1, axis=1); np.linalg.norm(a, axis=(0, 2)); np.abs(c)
np.sqrt(c); np.exp(c) * np.log(c); c ** 2; c ** 0.5; c ** (1 + 1j); np.sin(c) / np.cos(c); np.arcsin(c / 9); np.arctan(c / 9); np.angle(c); np.real(c * c); np.prod(c, 1); np.cumprod(c, 1); np.cumsum(c); c @ c.T
np.var(c, 1); np.std(c); np.mean(c, 0); np.sort(c, 1).real; np.where(b, c, x); np.sign(c); np.square(c); np.reciprocal(c); np.tanh(c); np.expm1(c); np.log1p(c); c[k[:3]]; c[:, k].conj(); np.maximum(c, 1j)
np.sort(x, axis=0)[::-1]; np.partition(v, 2); np.cumprod(v); np.cumulative_prod(x, axis=1); np.nanprod(N, 1); np.nanstd(N, 0); np.nanvar(N); np.nanmin(N, 1); np.nancumprod(N); np.average(x, weights=p); np.cov(x); np.corrcoef(x)
np.nanpercentile(N, 40, axis=0); np.gradient(sq, axis=1, edge_order=2); np.unwrap(x * 3); np.convolve(v, w, 'same'); np.correlate(c[0], c[1]); np.polyval(v, w); np.polymul(v, w); np.trapezoid(x, y)
np.select([b, x > y], [x * y, y], v); np.choose(k, [v, v * v, v ** 3]); np.piecewise(p, [p > .5], [lambda t: t * t, lambda t: t ** 3]); np.clip(x, v[0], None); np.clip(x, -2, y); np.nan_to_num(N); np.extract(b, x) * 2
np.delete(x, 1, 0) * 2; np.insert(x, 1, v, 0) * x[0]; np.resize(v, 7) * 2; np.pad(x, 1, mode='edge'); np.tile(x, (2, 2)); np.repeat(x, k, 1)
np.take(x, [5, -7], mode='wrap'); np.take_along_axis(x, k[None], 1); np.rollaxis(a, 2) * 2; np.apply_along_axis(lambda r: r * r.sum(), 1, x); np.vectorize(lambda r: r * r)(x); np.i0(x); np.sinc(x); np.heaviside(x, .5) * x
np.linalg.solve(sq, v); np.linalg.solve(sq, x.T); np.linalg.inv(sq); np.linalg.det(sq); np.linalg.slogdet(sq)[1]; np.linalg.cholesky(sq @ sq.T); np.linalg.qr(sq)[1]; np.linalg.qr(x.T)[0]; np.linalg.qr(x)
np.linalg.eigh(sq)[0]; np.linalg.eigvalsh(sq, 'U'); np.linalg.eigvals(sq); np.linalg.eig(sq)[0]; np.linalg.svd(x, full_matrices=False)[0]; np.linalg.svd(x)[1]; np.linalg.svdvals(x); np.linalg.pinv(x); np.linalg.cond(sq); np.linalg.cond(sq, 1)
np.linalg.lstsq(x.T, v)[0]; np.linalg.lstsq(x, w)[0]; np.linalg.tensorinv(a.reshape(4, 6)[:, :4], 1); np.linalg.tensorsolve(sq.reshape(2, 2, 4), sq[:2, :2]); np.linalg.matrix_power(sq, -2); np.linalg.norm(x, 'nuc'); np.linalg.norm(x, 2); np.polyfit(v, v * v[::-1], 2)
"""

# Integers, truth values, text and types: nothing to differentiate.  Names by the reason.
NO_DERIVATIVE = {
    "gives truth values": """all any allclose array_equal array_equiv equal greater greater_equal isclose iscomplex iscomplexobj
        isdtype isfinite isfortran isin isinf isnan isneginf isposinf isreal isrealobj isscalar issubdtype iterable less less_equal
        logical_and logical_not logical_or logical_xor not_equal signbit can_cast may_share_memory shares_memory""",
    "gives integers": """argmax argmin argpartition argsort argwhere bitwise_and bitwise_count bitwise_or bitwise_xor bitwise_not
        bitwise_invert count_nonzero digitize flatnonzero gcd invert lcm left_shift bitwise_left_shift bitwise_right_shift lexsort
        mask_indices nanargmax nanargmin ndim nonzero packbits ravel_multi_index right_shift searchsorted size unpackbits unravel_index
        shape indices ix_ broadcast_shapes einsum_path matrix_rank""",
    "makes arrays of constants": """empty ones zeros bartlett blackman hamming hanning kaiser tri""",
    "is a type, or says something of types": """bool complex64 complex128 common_type finfo float16 float32 float64 iinfo int8
        int16 int32 int64 min_scalar_type promote_types result_type uint8 uint16 uint32 uint64""",
    "is tested as a set of its elements": "intersect1d setdiff1d setxor1d union1d unique_all unique_counts unique_inverse unique_values",
}


def _inputs() -> dict[str, Any]:
    """Those of the tables, moved away from ties and from points where functions have no derivative."""
    rng = np.random.default_rng(5)

    def moved(name: str, x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype not in (np.float64, np.complex128) or name in ("N", "ev", "e"):
            return x
        shift = rng.uniform(0.001, 0.004, x.shape)
        return x + shift * (1 + 1j if x.dtype.kind == "c" else 1)

    made = {name: moved(name, x) for name, x in AS_THEY_ARE.items()}
    z = np.array([0.1, -0.3, 2.3, 1.56, -2.52, 0.53, 2.51, 1.3, -3.7, 7.01, 0.01, -0.7])
    return {**made, "z": z, "zz": z.reshape(3, 4), "p": rng.uniform(0.1, 0.9, (3, 4)), "o": np.array([1.03, 2.01, 2.02, 3.1, 5.05])}


INPUTS = _inputs()


def calls() -> dict[str, list[str]]:
    """The calls of each table."""
    return {name: _cases(rows) for name, rows in {**TABLES, "more": MORE}.items()}


def names_in(text: str) -> set[str]:
    """The functions and methods that a call names."""
    return {n.attr for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)}
