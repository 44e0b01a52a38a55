"""A table of calls per family of functions, plain against traced."""
# ruff: noqa: E501
import pytest
from expressions import check_expression

REDUCTIONS = """
np.sum(x); np.sum(x, axis=0); np.sum(a, (0, -1)); np.sum(a, axis=(2, 0), keepdims=True); np.sum(i8); np.sum(u); np.sum(j); np.sum(b)
np.sum(f); np.sum(h); np.sum(c, 1); np.sum(x, dtype='f4'); np.sum(x, where=b); np.sum(x, initial=5); np.sum(e); np.sum(e, 0); np.sum(e, 1)
np.sum(x, axis=()); np.sum(t); np.sum([x, y]); np.sum([1, 2, s]); x.sum(0, keepdims=True); np.sum(x, axis=2); np.sum(x, axis=(0, 0))
np.sum(b, dtype=bool); np.sum(i, dtype='f8'); np.sum(x, 1, out=w), w; np.add.reduce(x, axis=1); np.sum(x, axis=-1, where=m)
np.prod(i8[0]); np.prod(x, 1); np.prod(u[:, :2], axis=1); np.prod(b); np.prod(h); np.prod(e, 0); np.prod(x, initial=2.0, where=b)
np.min(x); np.max(x, 0); np.max(zz, 1); np.min(zz); np.min(i); np.max(b); np.min(b, 1); np.max(u); np.max(c); np.min(c, 0); np.amax(x)
np.max(e); np.max(e, 1); np.max(e, 0); np.min(x, initial=0.0); np.max(x, initial=0.0, where=b); np.max(x, where=b); np.max(h, 1)
np.max(e, initial=1.0); x.max(axis=1, keepdims=True); np.max(a, axis=(0, 2)); np.max(N, 1); np.maximum.reduce(x); np.min(i8, -1)
np.any(b); np.all(b, 0); np.any(x, 1, keepdims=True); np.all(e); np.any(e); np.all(b, where=b); np.any(zz); np.all(x, axis=(0, 1))
np.argmax(x); np.argmin(x, 0); np.argmax(zz, 1); np.argmax(b); np.argmin(i, axis=1, keepdims=True); np.argmax(e); np.argmax(N, 1)
np.argmax(np.array([1, 3, 3])); np.argmin(zz); np.argmax(x, keepdims=True); np.argmax(t); np.argmin(u, -1); np.argmax(x, axis=5)
np.mean(x); np.mean(i); np.mean(i8, 0); np.mean(h); np.mean(h, 1); np.mean(f, 1); np.mean(c); np.mean(b); np.mean(e); np.mean(e, 0)
np.mean(x, where=b); np.mean(x, dtype='f4'); np.mean(x, axis=(0, 1), keepdims=True); np.mean(u, dtype='f4'); np.mean(i, dtype='i8')
np.var(x); np.var(x, 0, ddof=1); np.var(i, 1); np.var(c); np.var(f, axis=1); np.var(x, where=b); np.var(b); np.var(x, 1, keepdims=True)
np.std(x); np.std(i, ddof=1); np.std(c, 0); np.std(x, axis=1, ddof=5); np.std(x, correction=1); np.var(x, mean=x.mean()); x.std(); x.var(1)
np.ptp(x); np.ptp(x, 0); np.ptp(i, 1); np.count_nonzero(x); np.count_nonzero(b, 0); np.count_nonzero(i, axis=1, keepdims=True)
np.bitwise_or.reduce(i, axis=1); np.bitwise_and.reduce(u); np.bitwise_or.reduce(b); np.logical_and.reduce(b, axis=1)
np.var(h); np.std(f); np.cumsum(x); np.cumsum(x, 1); np.cumsum(i8); np.cumsum(b, 0); np.cumsum(f, 0); np.cumprod(x, 0); np.cumprod(i)
np.cumsum(x, axis=-1, dtype='f4'); np.cumsum(h, 1); np.cumsum(e, 0); np.cumulative_sum(v); np.cumulative_sum(x, axis=1, include_initial=True)
np.cumulative_prod(v); np.maximum.accumulate(x, axis=1); np.minimum.accumulate(i); np.add.accumulate(x); np.maximum.accumulate(b)
np.logaddexp.accumulate(v); np.cumsum(t); np.add.outer(v, w); np.subtract.outer(k, w); np.multiply.outer(x, v)
np.add.at(v, k, 2.0), v; np.multiply.at(v, [0, 0], 2.0), v; np.maximum.at(v, k, w[0]), v; np.subtract.at(v, k, 1.0), v
np.add.at(x, (slice(None), k), 1.0), x; np.negative.at(v, [0, 1]), v; np.add.reduceat(v, [0, 2, 1]); np.add.at(i, (0, k), 1), i
np.diff(v); np.diff(x, axis=0); np.diff(x, 2); np.diff(b); np.diff(i, n=5); np.diff(v, prepend=0.0); np.diff(x, append=x[:, :1]); np.ediff1d(x)
np.ediff1d(v, to_begin=1.0, to_end=[2.0, 3.0]); np.nancumsum(N); np.nansum(N, 0)
"""

SHAPES = """
x.reshape(4, 3); x.reshape(-1); x.reshape(2, -1); np.reshape(x, (2, 6), order='F'); x.reshape(5, 2); x.reshape((12,)); np.reshape(x, -1)
x.reshape(-1, -1); np.ravel(x); np.ravel(x, order='F'); x.ravel(); x.flatten(); x.flatten('F'); e.reshape(3, 0); x.T; a.T; v.T
a.transpose(2, 0, 1); np.transpose(a, (0, -1, 1)); a.transpose((1, 0, 2)); np.transpose(a, (0, 0, 1)); np.swapaxes(a, 0, -1); x.swapaxes(0, 1)
np.moveaxis(a, 0, -1); np.moveaxis(a, [0, 1], [-1, 0]); np.rollaxis(a, 2); np.rollaxis(a, 0, 3); np.expand_dims(x, 0); np.expand_dims(x, (0, -1))
np.squeeze(x[:1]); np.squeeze(x[None, :, None], 0); np.squeeze(x, 0); np.squeeze(x[:1, :1]); np.atleast_1d(s); np.atleast_2d(v); np.atleast_3d(x)
np.atleast_1d(v, s); np.broadcast_to(v, (3, 4)); np.broadcast_to(s, 3); np.broadcast_to(x, (4, 3)); np.broadcast_arrays(v, x[:, :1]); np.flip(x)
np.flip(a, (0, 2)); np.flip(x, 0); np.fliplr(x); np.flipud(v); np.rot90(x); np.rot90(x, 2); np.rot90(x, -1); np.rot90(a, 1, (1, 2)); np.rot90(x, 4)
np.shape(x); np.ndim(x); np.size(x); np.size(x, 1); x.shape; x.ndim; x.size; len(x); np.matrix_transpose(a); np.permute_dims(a, (2, 1, 0)); x.mT
y = x.reshape(4, 3); y[0] = 1.0; x; y = x.T; y += 1; x; y = x[::-1]; y[0] = 3; x; y = x.ravel(); y[2:5] = 0; x
y = np.flip(x, 1); y[:, 0] = 7.0; x; y = x[1]; y[:] = 2.0; x; y = x[:, ::2]; y *= 2.0; x, y; np.concatenate([x, y]); np.concatenate([x, i], 1)
np.concatenate((x, y), axis=None); np.concatenate([x, v]); np.concatenate([x, q]); np.concatenate([v, w, v]); np.concat([x, f]); np.stack([x, y])
np.stack([x, y], axis=-1); np.stack([v, [1, 2, 3, 4]]); np.stack([x, v]); np.vstack([v, x]); np.hstack([v, w]); np.hstack([x, x]); np.dstack([x, y])
np.dstack([v, v]); np.column_stack([w, x]); np.append(x, v); np.append(x, y, 0); np.block([[x, x], [y, y]]); np.block([v, w]); np.split(x, 2, 1)
np.split(v, [1, 3]); np.split(x, 2); np.array_split(v, 3); np.hsplit(x, 2); np.vsplit(x, 3); np.dsplit(a, 2); np.unstack(x); np.split(v, [1, 1, 6])
np.tile(v, 2); np.tile(x, (2, 1, 2)); np.tile(a, 2); np.tile(s, 3); np.repeat(x, 2); np.repeat(x, 3, axis=1); np.repeat(v, [1, 0, 2, 1])
np.repeat(v, k); np.repeat(x, np.array([1, 2, 0]), axis=0); np.repeat(s, 3); np.repeat(x, k, axis=1); np.roll(v, 1); np.roll(x, 2); np.roll(x, 1, axis=0)
np.roll(x, (1, -1), axis=(0, 1)); np.roll(x, 7, 1); np.roll(v, n); np.roll(x, 1, (0, 1)); np.resize(v, 7); np.resize(v, (2, 2)); np.resize(x, (2, 3))
np.delete(v, 1); np.delete(x, [0, 2], 1); np.delete(x, slice(0, 2), 0); np.insert(v, 1, 9.0); np.insert(x, 1, v, axis=0); np.insert(v, [0, 2], [1.0, 2.0])
np.insert(x, 0, 5.0, axis=1); np.insert(x, [1, 2], 5.0, axis=1); np.insert(x, 1, w, axis=1)
np.pad(x, 1); np.pad(v, (1, 2)); np.pad(x, ((1, 0), (0, 2))); np.pad(v, 2, constant_values=5.0); np.pad(v, (1, 1), constant_values=(1, 2))
np.pad(v, 2, 'edge'); np.pad(x, 1, mode='reflect'); np.pad(x, ((0, 1), (2, 2)), mode='symmetric'); np.pad(v, 5, mode='wrap'); np.pad(v, 9, 'reflect')
np.pad(i, 1, mode='constant', constant_values=-1); np.pad(x, 0); np.pad(v, -1); np.pad(x, {0: (1, 1)}); np.pad(b, 1)
"""

CREATION = """
np.zeros(n); np.zeros((2, n)); np.zeros(x.shape); np.zeros((2, 3), dtype='i4'); np.ones(3, int); np.ones((2, 2), dtype=bool); np.full(3, s)
np.full((2, 2), 7); np.full((2, 2), 7, dtype='f4'); np.full(3, x[0, 0]); np.full((2, 4), v); np.zeros_like(x); np.ones_like(i); np.full_like(x, 3)
np.full_like(i, 2.7); np.zeros_like(x, dtype=int); np.zeros_like(x, shape=(2,)); np.zeros(()); np.ones(-1); np.array([1, 2, n]); np.array([x[0], y[0]])
np.array([[1, 2.5], [s, 3]]); np.array(x); np.array(x, dtype='f4'); np.array(v, ndmin=3); np.asarray(x); np.asarray(i, float); np.array([s, s]); np.copy(x)
np.array([[x[0, 0], 1], [2, 3]]); x.astype(int); x.astype('f4'); i.astype(bool); c.astype(complex); x.copy(); np.astype(i, np.float32); b.astype(int)
np.array(5); np.array(s); np.arange(5); np.arange(n); np.arange(1, n); np.arange(0, 1, 0.25); np.arange(5, 0, -2); np.arange(3.0); np.arange(n, dtype='f4')
np.arange(x.shape[1]); np.arange(1, x.shape[1] + 1); np.arange(0, s, 0.5); np.arange(2, 9, 3, dtype=np.int32); np.arange(5, 2); np.arange(1, 2, 0)
np.linspace(0, 1, 5); np.linspace(0, s, n); np.linspace(x[0], x[1], 4); np.linspace(0, 1, 5, endpoint=False); np.linspace(0, 10, 4, dtype=int)
np.linspace(0, 1, 1); np.linspace(2, 2, 3); np.linspace(0, 1, 3, retstep=True); np.linspace(0, 1, 0); np.linspace(v, w[0], 3, axis=1); np.logspace(0, 2, 3)
np.geomspace(1, 1000, 4); np.geomspace(1, s + 2, 3); np.eye(3); np.eye(2, 4, 1); np.eye(n, k=-1, dtype=int); np.identity(2); np.tri(3, 4, 1); np.tril(x)
np.triu(x, 1); np.tril(a, -1); np.triu(v); np.tril(i); np.vander(w); np.vander(w, 4, increasing=True); np.vander(k, 2); np.meshgrid(v, w)
np.meshgrid(v, w, indexing='ij'); np.meshgrid(v, w, sparse=True); np.meshgrid(v); np.meshgrid(v, w, k[:2]); np.indices((2, 3)); np.indices((2, 3), sparse=True)
np.fromfunction(lambda p, r: p * 2 + r, (2, 3)); np.ix_(w.astype(int), k); x[np.ix_([0, 2], [1, 3])]; x[np.ix_([0, 2], m)]; np.empty((2, 0))
np.zeros(s); np.zeros((2, x.shape[0])); np.ones_like(c); np.full(2, True); np.zeros(3, 'c8'); np.copyto(x, y), x; np.copyto(x, 1, where=b), x
"""

SORTING = """
np.sort(x); np.sort(x, 0); np.sort(x, None); np.sort(zz); np.sort(i); np.sort(b); np.sort(c, 1); np.sort(u); np.sort(h); np.argsort(v); np.argsort(x, axis=0)
np.argsort(zz, 1, kind='stable'); np.argsort(x, None); x.argsort(); x.sort(), x; x.sort(0), x; np.sort_complex(c); np.sort_complex(v)
np.lexsort((k, v)); np.lexsort((v, k)); np.lexsort(x); np.partition(v, 2)[2]; np.partition(v, 9); np.searchsorted(o, v); np.searchsorted(o, 2.0, side='right')
np.searchsorted(o, x); np.searchsorted(o, k); np.searchsorted(d, k, sorter=np.argsort(d)); o.searchsorted(x, 'right'); np.searchsorted(o, 2, 'middle')
np.digitize(v, o); np.digitize(x, o, right=True); np.digitize(v, o[::-1]); np.digitize(k, [0, 1, 2]); np.nonzero(x); np.nonzero(b); b.nonzero(); np.nonzero(v)
np.flatnonzero(i); np.argwhere(b); np.argwhere(m); np.where(b); np.nonzero(e); np.unravel_index(k, (2, 3)); np.unravel_index(5, (2, 3)); np.ravel_multi_index((k, k), (3, 4))
np.ravel_multi_index(([1, 5], [2, 3]), (3, 4), mode='wrap'); np.ravel_multi_index((k, k), (3, 4), mode='clip', order='F'); np.unravel_index(k, (2, 3), order='F')
np.unique(d); np.unique(x); np.unique(i, return_counts=True); np.unique(d, return_index=True, return_inverse=True, return_counts=True); np.unique(zz)
np.unique(b); np.unique(N); np.unique(N, equal_nan=False); np.unique(ev); np.unique(c); np.unique(i, return_inverse=True); np.unique_counts(d); np.unique_inverse(d)
np.unique_all(d); np.isin(d, [1, 2]); np.isin(i, k); np.isin(i, np.arange(20)); np.isin(x, y, invert=True); np.intersect1d(d, k)
np.union1d(d, k); np.setdiff1d(d, k); np.setxor1d(d, k); np.isin(v, ev); np.unique(i) * 2; np.unique(d).sum()
np.where(b, x, y); np.where(b, x, 0); np.where(x > 0, 1, i8); np.where(b, 1.0, 2); np.where(m, x, v); np.where(x > 0, f, 0.5); np.where(True, x, y); np.where(b, x)
np.clip(x, -1, 1); np.clip(i, 0, 3); np.clip(x, None, 1); np.clip(x, 0, None); np.clip(i8, w[:1], 3); x.clip(0, 2); np.clip(x, v, 2); np.clip(zz, 0, 1); np.clip(u, 1, 300)
np.clip(f, 0.1, 0.9); np.clip(x, min=0); np.clip(x, 0, 1, out=x), x; np.clip(s, 0, 1); np.select([x > 1, x < -1], [x, -x]); np.select([b, x > 0], [1, i], 7)
np.choose(k, [v, v + 1, v * 2]); np.choose(k, [[1, 2, 3, 4]] * 3); np.choose(k + 5, [v, v]); np.choose(k, [v, v], mode='clip'); np.piecewise(x, [x < 0, x > 1], [-1, 1])
np.piecewise(v, [v < 0], [lambda t: -t, lambda t: t * 2]); np.take(x, k); np.take(x, [0, 2], axis=0); np.take(x, k, 1); np.take(v, 9); np.take(v, [5, -7], mode='wrap')
np.take(v, [5, -7], mode='clip'); x.take(k, axis=1); np.take(x, [[0, 1], [2, 0]], axis=0); np.take(v, w); np.take_along_axis(x, np.argsort(x, 1), 1)
np.take_along_axis(x, k[None], 1); np.take_along_axis(x, np.argmax(x, 1, keepdims=True), axis=1); np.take_along_axis(v, k, None)
np.put_along_axis(x, np.argmax(x, 1, keepdims=True), 99.0, axis=1), x; np.put(v, [0, 2], [7.0, 8.0]), v; np.put(x, k, 5), x; np.compress(m, x, axis=1); np.compress(m, v)
np.compress([True, False], x, axis=0); np.extract(b, x); np.place(x, b, [1.0, 2.0]), x; np.putmask(x, b, y), x; np.putmask(x, x > 1, 0.0), x; np.put(v, [9], 1), v
"""

UFUNCS = """
x + y; x - 1; 2 * i8; i / 2; i // 2; i % 3; x // 0.7; x % 0.7; i ** 2; x ** 2; x ** 0.5; x ** -1; i ** -1; i ** k; 2 ** i8; -x; +i; abs(i8); ~i; ~b; i & 3; i | k; i ^ 1
i << 2; i >> 1; u << 9; b & (x > 0); b | ~b; b ^ b; -b; b - b; b + b; b * b; x + i; f + 1; f + 1.5; f + st; f + s; f + n; i8 + 1; i8 + 300; u + 1; u + s; h * 2; i + 1j; f * 1j
x < y; x <= 0; i == 3; i8 == 300; u < -1; u > n; i != k; c == c; c < c; x == v; u.astype('u8') < i; u.astype('u8') == i; i > 0.5; f < 1e300; np.less(i, u.astype('u8'))
divmod(i, 3); divmod(x, 0.7); np.divmod(i, k); i // k; i % k; x / 0; i // 0; x // 0; x % 0; z % 2; z // 2; np.fmod(z, 2); np.fmod(i, 3); np.floor(z); np.ceil(z); np.rint(z)
np.trunc(z); np.round(z); np.round(x, 1); np.round(i, -1); np.round(c, 1); x.round(1); np.fix(z); np.around(f, 2); round(s, 1); np.round(i, 2); np.round(h, 1)
np.sign(z); np.sign(c); np.sign(u); np.signbit(z); np.copysign(z, -1); np.isnan(z); np.isinf(z); np.isfinite(z); np.isfinite(i); np.isnan(c); np.isposinf(z); np.isneginf(z)
np.maximum(x, y); np.maximum(z, 0); np.minimum(z, np.nan); np.fmax(z, np.nan); np.fmin(zz, x); np.maximum(b, b); np.maximum(c, c.T.T); np.maximum(i, 2.5)
np.sqrt(z); np.sqrt(i); np.sqrt(c); np.cbrt(z); np.exp(x); np.exp(i8); np.exp2(x); np.expm1(x); np.log(z); np.log2(u); np.log10(f); np.log1p(v); np.logaddexp(x, y)
np.sin(x); np.cos(c); np.tan(f); np.arcsin(v / 10); np.arctan2(x, y); np.arctan2(i, k); np.hypot(i, 3); np.sinh(v); np.tanh(c); np.arctanh(v / 20); np.degrees(f); np.radians(x)
np.deg2rad(i); np.unwrap(line); np.unwrap(x, axis=0); np.sinc(z); np.i0(v); np.heaviside(z, 0.5); np.spacing(x); np.nextafter(x, 0); np.modf(z); np.frexp(z); np.ldexp(x, k)
np.frexp(f); np.gcd(i, 6); np.lcm(i, 4); np.reciprocal(x); np.square(i); np.power(x, 3); np.power(f, 2); np.float_power(i, 2); np.conj(c); np.real(c); np.imag(x); c.real; c.imag
np.angle(c); np.angle(x, deg=True); np.absolute(c); np.logical_and(x, i); np.logical_not(x); np.logical_xor(b, x); np.bitwise_count(i); np.invert(u); np.left_shift(i, 70)
np.right_shift(i, 70); np.bitwise_and(b, i); x @ v + 1; np.add(x, y, out=x), x; np.add(x, 1, where=b, out=y), y; np.add(i8, i8, dtype='f4'); np.add(x, y, out=i); np.add(x, i, casting='no')
np.add(x, q); np.bitwise_and(x, 1); x & 1; np.left_shift(x, 1); np.sin(x, out=f), f; np.multiply(x, 2, x), x; x += 1; x; x //= 2; x; i *= 2; i; i += 0.5; i; i /= 2; i; np.negative(x, out=x), x
np.isclose(x, y); np.isclose(zz, zz, equal_nan=True); np.allclose(x, x + 1e-12); np.array_equal(x, y); np.array_equal(x, v); np.array_equal(N, N, equal_nan=True); np.array_equiv(x, x[None])
np.isclose(i, i); np.isreal(c); np.iscomplex(c); np.isrealobj(x); np.iscomplexobj(c); np.real_if_close(x); np.nan_to_num(zz); np.nan_to_num(z, nan=1.0, posinf=2.0); np.nan_to_num(i)
np.isscalar(s); np.positive(x) is x; np.result_type(x, f); np.result_type(f, 1.0); np.can_cast(i.dtype, 'f4'); np.promote_types('i4', 'f4'); np.finfo(x.dtype).eps; np.iinfo(i.dtype).max
np.issubdtype(x.dtype, float); np.isdtype(i.dtype, 'integral'); np.min_scalar_type(3); np.common_type(x, f); x.dtype; np.iterable(x); np.float32(x); np.int64(s); np.float64(x).sum()
"""

STATISTICS = """
np.median(x); np.median(x, 0); np.median(v); np.median(i, axis=1, keepdims=True); np.median(N, 1); np.median(a, axis=(0, 2)); np.median(f); np.median(ev)
np.percentile(x, 30); np.percentile(x, [25, 50], axis=1); np.quantile(v, 0.3); np.quantile(x, [0.1, 0.9], axis=0, keepdims=True); np.quantile(v, w / 100 + 0.5); np.quantile(v, 2)
np.quantile(line, 0.3, method='lower'); np.quantile(line, 0.3, method='higher'); np.quantile(line, 0.3, method='midpoint'); np.quantile(line, 0.3, method='nearest')
np.quantile(line, 0.3, method='inverted_cdf'); np.quantile(line, 0.3, method='averaged_inverted_cdf'); np.quantile(line, 0.3, method='closest_observation')
np.quantile(line, 0.3, method='interpolated_inverted_cdf'); np.quantile(line, 0.3, method='hazen'); np.quantile(line, 0.3, method='weibull'); np.quantile(line, 0.33, method='median_unbiased')
np.quantile(line, 0.3, method='normal_unbiased'); np.quantile(line, [0.0, 1.0]); np.percentile(N, 50); np.average(x); np.average(x, weights=y + 20); np.average(x, 1, weights=v + 20)
np.average(x, axis=0, weights=w, returned=True); np.average(i); np.cov(x); np.cov(x, rowvar=False); np.cov(v, v * 2); np.cov(x, ddof=0); np.corrcoef(x); np.corrcoef(v, k); np.cov(c)
np.cov(x, bias=True, fweights=k + 1); np.nansum(N); np.nanmean(N, 0); np.nanvar(N, 1); np.nanstd(N, ddof=1); np.nanmax(N, 1); np.nanmin(N); np.nanargmax(N, 1); np.nanprod(N)
np.nanmedian(N, 1); np.nanmedian(N); np.nanpercentile(N, 30, axis=1); np.nanquantile(N, 0.5); np.nancumprod(N, 1); np.nanmean(i); np.nanargmin(N); np.nansum(i8); np.nanmax(i)
np.gradient(v); np.gradient(x); np.gradient(x, axis=0); np.gradient(v, 2.0); np.gradient(v, o[:4]); np.gradient(v, edge_order=2); np.gradient(x, 2.0, 3.0); np.gradient(v, k * 1.5)
np.trapezoid(v); np.trapezoid(x, dx=0.5); np.trapezoid(v, o[1:]); np.trapezoid(x, axis=0); np.interp(v, o, o * 2); np.interp(1.7, o[[0, 1, 3]], [1.0, 5.0, 2.0]); np.interp(x, [0, 1, 2], [1, 4, 2], left=-1, right=9)
np.convolve(line, kern); np.convolve(line, kern, 'same'); np.convolve(line, kern, 'valid'); np.convolve(kern, line); np.correlate(line, kern); np.correlate(line, kern, 'full'); np.convolve(k, k)
np.correlate(kern, line, 'same'); np.convolve(line, line); np.polyval([1, 2, 3], x); np.polyval(w, v); np.polyadd(v, w); np.polysub(w, v); np.polymul(v, w); np.polyder(v); np.polyint(v)
np.polyder([1.0, s, 2.0], 2); np.histogram(line, 4); np.histogram(line, 4, range=(-2, 2)); np.histogram(line, [-3.0, 0.0, 1.0, 4.0]); np.histogram(line, 3, density=True); np.histogram(d, 3)
np.histogram(line, 4, weights=np.abs(line)); np.histogram_bin_edges(line, 3); np.histogram2d(line, line[::-1], 3); np.bincount(d); np.bincount(d, minlength=6); np.bincount(d, weights=d * 0.5)
np.histogram(x, 5); np.hanning(5); np.hamming(n); np.blackman(6); np.bartlett(5); np.kaiser(5, 3.0); np.hanning(1); np.apply_over_axes(np.sum, a, (0, 2)); np.packbits(b); np.unpackbits(u)
np.apply_along_axis(lambda r: r.sum(), 1, x); np.apply_along_axis(lambda r: r[::-1], 0, x); np.linalg.norm(x); np.linalg.norm(v); np.linalg.norm(v, 1); np.linalg.norm(x, axis=1); np.linalg.norm(v, np.inf)
np.linalg.norm(x, 'fro'); np.linalg.norm(x, 1); np.linalg.norm(x, np.inf); np.linalg.norm(v, 3); np.linalg.norm(v, 0); np.linalg.norm(x, axis=0, keepdims=True); np.linalg.norm(c); np.linalg.norm(i)
np.linalg.norm(v, -np.inf); np.linalg.norm(x, -1); np.linalg.norm(f); np.linalg.vector_norm(x); np.linalg.vector_norm(x, axis=1, ord=1); np.linalg.matrix_norm(x); np.linalg.matrix_transpose(a)
np.linalg.norm(x, ord=2, axis=0); np.linalg.norm(a, axis=(1, 2)); np.cov(v); np.vectorize(lambda p: p * 2 + 1)(x); np.percentile(i, 50); np.median(np.array([True, False, True]))
"""

TABLES = {"reductions": REDUCTIONS, "shapes": SHAPES, "creation": CREATION, "sorting": SORTING, "ufuncs": UFUNCS,
          "statistics": STATISTICS}


def _cases(text: str) -> list[str]:
    """Calls are separated by `; `; a call that starts with an assignment takes everything up to its last expression."""
    cases, pending = [], ""
    for line in text.strip().splitlines():
        for part in line.split("; "):
            pending += part.strip()
            if _is_statement(part):
                pending += "; "
            else:
                cases.append(pending)
                pending = ""
    return cases


def _is_statement(part: str) -> bool:
    import ast
    return not isinstance(ast.parse(part.strip()).body[-1], ast.Expr)


@pytest.mark.parametrize(("table", "text"), [(t, c) for t, rows in TABLES.items() for c in _cases(rows)])
def test_call_is_numpys(table, text):
    check_expression(text)
