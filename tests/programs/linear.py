"""Linear algebra and learning: products, projections, small networks.

Flows in: NumPy arrays and nested containers.  Flows out: rows of the program table.
"""

import numpy as np

from tests.programs.program import function


def power_iteration(a, steps=8):
    v = np.ones(a.shape[0]) / np.sqrt(a.shape[0])
    for _ in range(steps):
        v = a @ v
        v = v / np.linalg.norm(v)
    return v, v @ a @ v


def least_squares_step(w, x, y, rate=0.1):
    residual = x @ w - y
    gradient = 2 * x.T @ residual / len(y)
    return w - rate * gradient, np.mean(residual**2)


def gram_schmidt(a):
    """Orthonormal columns; the number of columns is static."""
    columns = []
    for j in range(a.shape[1]):
        v = a[:, j]
        for q in columns:
            v = v - np.dot(q, v) * q
        columns.append(v / np.sqrt(np.dot(v, v)))
    return np.stack(columns, axis=1)


def bilinear_form(x, w, y):
    return np.einsum("ni,kij,nj->nk", x, w, y)


def rbf_kernel(x, y, gamma=0.5):
    xx = np.einsum("ij,ij->i", x, x)
    yy = np.einsum("ij,ij->i", y, y)
    return np.exp(-gamma * (xx[:, None] + yy[None, :] - 2 * np.dot(x, y.T)))


def attention(q, k, v):
    """f32[heads, tokens, d]."""
    score = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]).astype(q.dtype)
    score = score - score.max(axis=-1, keepdims=True)
    weight = np.exp(score)
    weight /= weight.sum(axis=-1, keepdims=True)
    return weight @ v


def layer_norm(x, scale, shift, eps=1e-5):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * scale + shift


def network(params, x):
    """A list of (weight, bias) pairs, tanh between the layers."""
    for i, (w, b) in enumerate(params):
        x = x @ w + b
        if i < len(params) - 1:
            x = np.tanh(x)
    return x


def whiten(x, mean, components, variance):
    return (x - mean) @ components.T / np.sqrt(variance)


def softmax_regression(x, weights, bias):
    logits = x @ weights + bias
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p.argmax(axis=1)


def traces_and_norms(a):
    return np.trace(a), np.linalg.norm(a), np.abs(a).sum(axis=0).max(), np.triu(a), np.tril(a, -1), a - a.T


def integer_products(a, b):
    """int64 matrix products are exact."""
    return a @ b, np.tensordot(a, b, axes=([1], [0])), np.inner(a[0], b[:, 0]), np.kron(a[0], b[0])


def project_out(x, basis, keep_mean=True):
    """A flag chooses the branch while tracing."""
    mean = x.mean(axis=0) if keep_mean else np.zeros(x.shape[1])
    d = x - mean
    coefficient = d @ basis.T
    return d - coefficient @ basis + (mean if keep_mean else 0.0)


def layers(r, *sizes):
    return [(r.normal(size=(a, b)), r.normal(size=b)) for a, b in zip(sizes, sizes[1:])]


def f4(r, *shape):
    return r.normal(size=shape).astype(np.float32)


PROGRAMS = [
    function(power_iteration, lambda r: [(a + a.T,) for a in (r.random((6, 6)), r.random((9, 9)))], rtol=1e-10),
    function(
        least_squares_step, lambda r: [(r.normal(size=4), r.normal(size=(n, 4)), r.normal(size=n)) for n in (30, 17)]
    ),
    function(gram_schmidt, lambda r: [(r.normal(size=(n, 4)),) for n in (8, 15)], rtol=1e-10),
    function(
        bilinear_form,
        lambda r: [(r.normal(size=(n, 3)), r.normal(size=(5, 3, 4)), r.normal(size=(n, 4))) for n in (6, 10)],
    ),
    function(rbf_kernel, lambda r: [(r.normal(size=(n, 3)), r.normal(size=(m, 3))) for n, m in [(8, 5), (4, 13)]]),
    function(attention, lambda r: [(f4(r, 2, t, 8), f4(r, 2, t, 8), f4(r, 2, t, 8)) for t in (6, 11)]),
    function(layer_norm, lambda r: [(f4(r, n, 32), f4(r, 32), f4(r, 32)) for n in (5, 9)]),
    function(network, lambda r: [(layers(r, 4, 8, 3), r.normal(size=(n, 4))) for n in (5, 12)]),
    function(
        whiten,
        lambda r: [
            (r.normal(size=(n, 6)), r.normal(size=6), r.normal(size=(3, 6)), r.random(3) + 0.1) for n in (10, 21)
        ],
    ),
    function(softmax_regression, lambda r: [(f4(r, n, 6), f4(r, 6, 4), f4(r, 4)) for n in (10, 21)]),
    function(traces_and_norms, lambda r: [(r.normal(size=(n, n)),) for n in (4, 7)]),
    function(integer_products, lambda r: [(r.integers(-9, 9, (n, 4)), r.integers(-9, 9, (4, 3))) for n in (5, 8)]),
    function(
        project_out, lambda r: [(r.normal(size=(n, 5)), np.eye(5)[:2], keep) for n, keep in [(9, True), (12, False)]]
    ),
]
