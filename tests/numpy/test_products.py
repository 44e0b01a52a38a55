"""Products and contractions against NumPy."""
# ruff: noqa: E501
import pytest
from expressions import check_expression

CASES = """
x @ q; x @ v; w @ x; v @ v; a @ q; w @ a; a @ v; np.matmul(a, a.transpose(0, 2, 1)); i @ i.T; b @ b.T; f @ f.T
h @ h.T; c @ c.T; np.matmul(x, s); np.matmul(x, x); np.matmul(a[:, None], a.transpose(0, 2, 1)[None]); x @ x.T.astype('f4')
np.dot(x, q); np.dot(x, s); np.dot(v, v); np.dot(a, q); np.dot(a, a.transpose(0, 2, 1)); np.dot(x, y); x.dot(v)
np.inner(x, y); np.inner(a, x); np.inner(x, s); np.vdot(c, c); np.vdot(x, y); np.outer(v, w); np.outer(x, cv)
np.tensordot(x, q, 1); np.tensordot(a, x, ((1, 2), (0, 1))); np.tensordot(a, a, 0); np.tensordot(a, x, (2, 1))
np.tensordot(a, x.T, axes=([2, 1], [0, 1])); np.kron(x, k); np.kron(x, a); np.kron(v, 2); np.cross(x[:, :3], y[:, :3])
np.cross(a[0, :, :3], w); np.cross(x[:, :2], y[:, :2]); np.cross(x[:, :3], y[:, :2]); np.cross(x, y)
np.cross(x[:3], y[:3], axis=0); np.trace(sq); np.trace(x, 1); np.trace(a, 0, 1, 2); np.trace(i, -1); np.trace(i8)
np.linalg.matrix_power(sq, 3); np.linalg.matrix_power(sq, 0); np.linalg.multi_dot([x, q, q.T, sq]); np.vecdot(c, c)
np.linalg.multi_dot([w, x, v]); np.linalg.matrix_power(x, 2); np.vecdot(x, v); np.matvec(x, v); np.vecmat(w, x)
np.linalg.outer(v, w); np.linalg.trace(sq); np.linalg.cross(x[:, :3], y[:, :3]); np.linalg.diagonal(sq)
np.einsum('ij,jk->ik', x, q); np.einsum('ij,jk', x, q); np.einsum('ij->', x); np.einsum('ij->ji', x); np.einsum('ii', sq)
np.einsum('ii->i', sq); np.einsum('ij,ij->i', x, y); np.einsum('i,j->ij', v, w); np.einsum('...j,jk', a, q)
np.einsum('bij,ij->b', a, x); np.einsum('...i,...i->...', a, x); np.einsum('ij,jk,kl->il', x, q, q.T)
np.einsum('i,i,i->', v, v, v); np.einsum('ij,kj,k->i', x, y, w); np.einsum(x, [0, 1], q, [1, 2], [0, 2])
np.einsum('ij,jk->ik', i, i.T); np.einsum('ij,j->i', c, v); np.einsum('ij,jk->ik', b, b.T); np.einsum('ij,i->ij', i, k[:1])
np.einsum('iij->j', a[:, :2]); np.einsum('ij,jk', x, x); np.einsum('i', x); np.einsum('ij,ij->ij', x, y, optimize=True)
np.einsum('ij,jk->k', x, q); np.einsum('a,b,c->cab', v, w, o); np.einsum('ijk,jil->kl', a, a.transpose(1, 0, 2))
np.diagonal(x); np.diagonal(x, 1); np.diagonal(a, -1, 1, 2); np.diagonal(v); np.diag(x); np.diag(v); np.diag(v, 2)
np.diag(v, -1); np.diag(x, -1); np.diagflat(x[:2, :2]); np.diag(x, 7); np.fill_diagonal(x, 9.0), x; np.fill_diagonal(sq, v), sq
np.diag_indices(3); np.tril_indices(3, 1); np.triu_indices(4, -1, 3); np.triu_indices_from(x); np.tril_indices_from(x, 1)
x[np.diag_indices(3)]; np.mask_indices(3, np.triu)
"""


def _cases(text):
    return [c.strip() for line in text.strip().splitlines() for c in line.split("; ")]


@pytest.mark.parametrize("text", _cases(CASES))
def test_product_is_numpys(text):
    check_expression(text)


@pytest.mark.parametrize("text", ["x @ q", "a @ q", "np.einsum('ij,jk,kl->il', x, q, q.T)", "np.trace(sq)", "np.kron(x, k)",
                                  "np.dot(x, v)", "np.outer(v, w)", "np.einsum('ij,ij->i', x, y)", "np.diag(v)"])
def test_product_of_symbolic_sizes_is_numpys(text):
    check_expression(text, symbolic=True)
