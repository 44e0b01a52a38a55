"""Changes of arrays reach the caller's memory, also through views; local arrays behave as NumPy's.

Flows in: functions that write, run plain and decorated.
"""

import copy
from typing import Any

import numpy as np
import pytest

import tracejit as tj


def set_items(x: Any, v: Any) -> Any:
    x[0] = v
    x[2:4] = [7, 8]
    x[-1] += v
    return x


def through_slice(x: Any, v: Any) -> Any:
    y = x[1:5]
    y[0] = v
    z = y[1:]
    z *= 2
    return x.sum(), y, z


def through_transpose(x: Any, v: Any) -> Any:
    m = x.reshape(2, 3)
    t = m.T
    t[0, 1] = v
    t[1] += 10
    return m, t


def view_sees_later_changes(x: Any, v: Any) -> Any:
    y = x[::2]
    before = y.sum()
    x[...] = v
    return before, y.sum(), x[::-1]


def copy_does_not(x: Any, v: Any) -> Any:
    y, z = x.copy(), x[[0, 1]]
    x += v
    return y, z, x + 0


def local_arrays(x: Any, v: Any) -> Any:
    out = np.zeros(6)
    out[:] = x
    out[1:3] += v
    row = out[3:]
    row[...] = 5
    return out


def methods(x: Any, v: Any) -> Any:
    y = x * -1
    y.sort()
    z = np.empty(3)
    z.fill(v)
    x[::-1].sort()
    return y, z


def outs(x: Any, v: Any) -> Any:
    y = np.multiply(x, v, out=x)
    np.add(x[:3], 1, out=x[3:])
    return y


def swap(x: Any, v: Any) -> Any:
    x[0], x[1] = x[1], x[0]
    x[[2, 3]] = x[[3, 2]]
    x[x > 4] = v


def masked(x: Any, v: Any) -> Any:
    x[x < 2] -= v
    np.add.at(x, [0, 0, 1], 1.0)
    return (x == v).sum()


def in_place_scalars(x: Any, v: Any) -> Any:
    s = x.sum()
    t = s
    s += 1
    v += 1
    return s, t, v


def augmented_item_of_list(x: Any, v: Any) -> Any:
    parts = [x[:3], x[3:]]
    for part in parts:
        part += v
    parts[0] = parts[0] * 2
    return parts


@pytest.mark.parametrize("fn", [set_items, through_slice, through_transpose, view_sees_later_changes, copy_does_not,
                                local_arrays, methods, outs, swap, masked, in_place_scalars, augmented_item_of_list])
def test_changes_are_those_of_numpy(fn: Any) -> None:
    f = tj.function(fn)
    for layout in (lambda a: a, lambda a: np.repeat(a, 2)[::2], lambda a: a[::-1]):
        for v in (3.0, -1.0):
            ours, theirs = layout(np.arange(6.0)), layout(np.arange(6.0))
            expected, actual = fn(theirs, v), f(ours, v)
            np.testing.assert_array_equal(ours, theirs)
            flat_e, flat_a = tj.tree.leaves(expected), tj.tree.leaves(actual)
            for e, a in zip(flat_e, flat_a, strict=True):
                np.testing.assert_array_equal(a, e)
                assert type(a) is type(e)


def test_integer_arrays_keep_their_dtype_and_refuse_floats() -> None:
    @tj.function
    def f(x: Any, v: Any) -> None:
        x[0] = v

    x = np.arange(3)
    f(x, 2.9)
    assert x[0] == 2 and x.dtype == np.int64

    @tj.function
    def g(x: Any) -> None:
        x += 0.5

    with pytest.raises(TypeError, match="same_kind"):
        g(x)


def test_a_mutated_argument_that_is_returned_is_the_same_object() -> None:
    @tj.function
    def f(x: Any) -> Any:
        x += 1
        return x, x.sum()

    x = np.zeros(3)
    result, total = f(x)
    assert result is x and total == 3.0 and x.tolist() == [1, 1, 1]


def test_arrays_in_containers_are_changed_in_place() -> None:
    @tj.function
    def f(p: Any) -> None:
        for name in p:
            p[name] -= 1
        p["a"] *= 2

    p = {"a": np.ones(2), "b": np.ones(3)}
    before = dict(p)
    f(p)
    assert p["a"] is before["a"] and p["a"].tolist() == [0, 0] and p["b"].tolist() == [0, 0, 0]


def test_tensors_are_immutable_everywhere() -> None:
    t = tj.constant([1.0, 2.0])
    with pytest.raises(tj.errors.MutationError, match=r"at\[i\]\.set"):
        t[0] = 3.0

    @tj.function
    def f(t: Any) -> None:
        t[0] = 3.0

    with pytest.raises(tj.errors.MutationError, match=r"t\[0\] = 3.0"):
        f(t)


def test_donated_arguments_give_right_results() -> None:
    f = tj.function(lambda x, y: (x + y, x - y), donate=("x",))
    for _ in range(3):
        a, b = f(np.arange(5.0), np.ones(5))
        np.testing.assert_array_equal(a, np.arange(5.0) + 1)
        np.testing.assert_array_equal(b, np.arange(5.0) - 1)


def test_numpy_random_programs_of_writes_agree() -> None:
    rng = np.random.default_rng(3)
    for _ in range(6):
        steps = [(int(rng.integers(0, 5)), int(rng.integers(0, 6)), int(rng.integers(0, 6))) for _ in range(6)]

        def program(x: Any, steps: Any = tuple(steps)) -> Any:
            views = [x, x[1:], x[::-1]]
            for kind, i, j in steps:
                a, b = views[i % len(views)], views[j % len(views)]
                if kind == 0:
                    a[i % 2] = b[j % 2]
                elif kind == 1:
                    a *= 2
                elif kind == 2:
                    a[:3] += b[:3]
                elif kind == 3:
                    views.append(a[i % 3:])
                else:
                    views[0] = a + b[:1]
            return [v + 0 for v in views]

        ours, theirs = np.arange(8.0), np.arange(8.0)
        expected, actual = copy.deepcopy(program)(theirs), tj.function(program)(ours)
        np.testing.assert_array_equal(ours, theirs)
        for e, a in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(a, e)
