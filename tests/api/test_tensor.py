"""`Tensor`: immutable, NumPy's functions and operators, compiled one by one.

Flows in: Tensors and arrays.
"""

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import tracejit as tj

DATA = np.array([[1.0, -2.0], [3.0, 0.5]])


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv,
                                operator.mod, operator.pow, operator.matmul, operator.lt, operator.ge, operator.eq])
def test_operators_equal_numpys(op: Any) -> None:
    t = tj.constant(np.abs(DATA))
    expected = op(np.abs(DATA), DATA.T)
    for made in (op(t, tj.constant(DATA.T)), op(t, DATA.T)):
        assert type(made) is tj.Tensor and made.dtype == expected.dtype
        np.testing.assert_allclose(made, expected)
    if op is not operator.matmul:
        np.testing.assert_allclose(op(t, 2), op(np.abs(DATA), 2))
        np.testing.assert_allclose(op(2.0, t), op(2.0, np.abs(DATA)))
    np.testing.assert_allclose(op(np.abs(DATA), tj.constant(DATA.T)), expected)


@pytest.mark.parametrize("use", [lambda t: -t, abs, lambda t: t.sum(axis=0), lambda t: t.T, lambda t: t[0, 1],
                                 lambda t: t[:, ::-1], lambda t: t[t > 0], lambda t: t.reshape(4), lambda t: t.max(),
                                 lambda t: t.astype(np.float32), np.exp, lambda t: np.concatenate([t, t]),
                                 lambda t: t.argmax(axis=1), lambda t: t.clip(0, 1), lambda t: np.add.reduce(t)])
def test_methods_and_functions_equal_numpys(use: Any) -> None:
    made, expected = use(tj.constant(DATA)), use(DATA)
    assert type(made) is tj.Tensor and made.dtype == expected.dtype and made.shape == expected.shape
    np.testing.assert_allclose(made, expected)


def test_at_gives_changed_copies() -> None:
    t = tj.constant([1.0, 2.0, 3.0])
    assert t.at[0].set(9.0).tolist() == [9, 2, 3] and t.at[[0, 0]].add(1.0).tolist() == [3, 2, 3]
    assert t.at[1:].multiply(2.0).tolist() == [1, 4, 6] and t.at[0].max(5.0).tolist() == [5, 2, 3]
    assert t.at[2].get() == 3.0 and t.tolist() == [1, 2, 3]
    f = tj.function(lambda t: t.at[0].set(0.0))
    assert f(t).tolist() == [0, 2, 3] and f(np.ones(2)).tolist() == [0, 1]


def test_conversions() -> None:
    t = tj.constant(2.5)
    assert float(t) == 2.5 and int(t) == 2 and bool(t) and t.item() == 2.5 and t.shape == ()
    array = tj.constant([1, 2]).numpy()
    assert array.dtype == np.int64 and not array.flags.writeable
    assert tj.constant([1.0], "f4").dtype == np.float32 and np.asarray(tj.constant([1.0])).tolist() == [1.0]
    assert tj.constant(t) is t and len(tj.constant([1, 2])) == 2 and [int(x) for x in tj.constant([1, 2])] == [1, 2]
    assert "Tensor(2.5, dtype=float64)" == repr(t)


def test_a_tensor_copies_what_it_is_made_of() -> None:
    array = np.ones(2)
    t = tj.Tensor(array)
    array[0] = 5
    assert t.tolist() == [1, 1]


def test_tensors_pickle_copy_and_are_not_hashable() -> None:
    t = tj.constant([1.0, 2.0])
    assert pickle.loads(pickle.dumps(t)).tolist() == t.tolist() and copy.deepcopy(t) is t
    with pytest.raises(TypeError):
        hash(t)
    with pytest.raises(AttributeError):
        t.name = "x"
    with pytest.raises(tj.errors.UnsupportedTypeError):
        tj.constant(["a"])


def test_strict_dtypes_refuse_promotion() -> None:
    with tj.options(strict_promotion=True):
        assert tj.constant([1.5]).dtype == np.float32
        with pytest.raises(tj.errors.DtypeError, match="f32 meets f64"):
            tj.function(lambda x, y: x + y)(np.ones(2, "f4"), np.ones(2))


def test_tensors_in_functions() -> None:
    t = tj.constant([1.0, 2.0])
    f = tj.function(lambda x: (x + t, isinstance(x, tj.Tensor), x.numpy()))
    made = f(t)
    assert made[0].tolist() == [2, 4] and made[1] is True
