"""Indexing: random shapes and random keys, reading, writing and writing through views, against NumPy."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import Traced, check, node_count
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracejit.base.errors import MutationError, UnsupportedError

FAST = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
Key = tuple[Any, ...]


@st.composite
def parts(draw: Any, n: int) -> Any:
    """One part of a key for an axis of n elements."""
    bound = st.none() | st.integers(-n - 2, n + 2)
    choices: list[Any] = [st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, -1, -2, 3])),
                          st.just(slice(None)), st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)]
    if n:
        index = st.integers(-n, n - 1)
        choices += [index, index.map(np.int64), st.lists(index, min_size=2, max_size=2),
                    st.lists(index, min_size=2, max_size=2).map(np.array),
                    st.lists(index, min_size=3, max_size=3).map(lambda i: np.array(i)[:, None])]
    return draw(st.one_of(choices))


def _masks(key: Key) -> int:
    return sum(isinstance(k, np.ndarray) and k.dtype.kind == "b" for k in key)


@st.composite
def arrays_and_keys(draw: Any) -> tuple[Any, Key]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    count = draw(st.integers(0, len(shape)))
    key = [draw(parts(n)) for n in shape[:count]]
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), None)
    if draw(st.booleans()):
        key.append(Ellipsis)
    return np.arange(np.prod(shape), dtype="f8").reshape(shape) + 0.5, tuple(key)


def _traced_parts(key: Key) -> list[Any]:
    return [k for k in key if isinstance(k, (np.ndarray, np.generic))]


def _filled(key: Key, traced: list[Any]) -> Key:
    """The key with its arrays replaced by what they are in the trace."""
    rest = iter(traced)
    return tuple(next(rest) if isinstance(k, (np.ndarray, np.generic)) else k for k in key)


def _is_one_size(key: Key) -> bool:
    """The sizes of masks are compared at run time: only equal ones fit, while NumPy broadcasts a single True."""
    advanced = [k for k in key if isinstance(k, (np.ndarray, list))]
    sizes = {int(np.sum(k)) if isinstance(k, np.ndarray) and k.dtype.kind == "b" else np.shape(k) for k in advanced}
    return _masks(key) == 0 or len(advanced) == 1 or (_masks(key) == len(advanced) and len(sizes) == 1)


@FAST
@given(arrays_and_keys(), st.booleans())
def test_reading_is_numpys(case: Any, symbolic: bool) -> None:
    x, key = case
    if _is_one_size(key):
        check(lambda x, traced: x[_filled(key, traced)], x, _traced_parts(key), symbolic=symbolic)


@FAST
@given(arrays_and_keys(), st.booleans())
def test_writing_is_numpys(case: Any, symbolic: bool) -> None:
    x, key = case
    if not _is_one_size(key):
        return

    def write(x: Any, traced: Any, value: Any) -> Any:
        x[_filled(key, traced)] = value
        return x.sum()

    check(write, x, _traced_parts(key), 2.25, symbolic=symbolic)
    try:
        shape = np.shape(x[key])
    except IndexError:
        return
    if not _masks(key):
        check(write, x, _traced_parts(key), -np.arange(np.prod(shape, dtype=int), dtype="f8").reshape(shape))


@FAST
@given(arrays_and_keys())
def test_views_and_updates_in_place_are_numpys(case: Any) -> None:
    x, key = case
    if not _is_one_size(key) or _masks(key):
        return

    def change(x: Any, traced: Any) -> Any:
        part = x[_filled(key, traced)]
        if np.ndim(part):
            part += 1.0
        x[_filled(key, traced)] *= 2.0
        return part
    check(change, x, _traced_parts(key))


@FAST
@given(st.lists(st.sampled_from([1, 1, 2, 3]), max_size=3), st.lists(st.sampled_from([1, 1, 2, 3]), max_size=3),
       st.booleans())
def test_broadcasting_is_numpys(left: list[int], right: list[int], symbolic: bool) -> None:
    check(lambda x, y: x * y + x, np.ones(left) * 2, np.arange(np.prod(right, dtype=int), dtype="f4").reshape(right),
          symbolic=symbolic)


X, V, M = np.arange(12.0).reshape(3, 4), np.arange(5.0), np.array([True, False, True, True, False])

SCALARS = [
    (lambda x, i: x[i], X, 1), (lambda x, i: x[i], X, -3), (lambda x, i: x[i], X, 3), (lambda x, i: x[i, i], X, 2),
    (lambda x, i: x[:, i], X, -1), (lambda x, i: x[i, 1:], X, 0), (lambda x, i: x[i, ..., None], X, 1),
    (lambda x, i: x[np.array([0, 2]), i], X, 1), (lambda v, i: v[i:i + 2], V, 1), (lambda v, i: v[:i], V, 3),
    (lambda v, i: v[i:], V, -2), (lambda v, i: v[2 * i - 1:2 * i + 1], V, 1), (lambda v, i: v[i:i + 3][::-1], V, 2),
    (lambda v, i: v[i // 2:], V, 3), (lambda x, i: x[i:i + 2, i], X, 1), (lambda v, i: v[::i], V, 2)]


@pytest.mark.parametrize(("fn", "x", "i"), SCALARS)
def test_a_traced_int_indexes_as_an_int(fn: Any, x: Any, i: int) -> None:
    check(fn, x, i)


@pytest.mark.parametrize(("fn", "x", "i"), SCALARS[:15])
def test_a_traced_int_indexes_symbolic_sizes(fn: Any, x: Any, i: int) -> None:
    check(fn, x, i, symbolic=True)


def _assign(x: Any, i: Any, value: Any) -> Any:
    x[i] = value
    return x


def _through_row(x: Any, i: Any) -> Any:
    row = x[i]
    row[1:] = 7.0
    x[0] += row
    return row


@pytest.mark.parametrize("case", [
    (_assign, V, 2, 9.0), (_assign, V, -1, 9.0), (_assign, V, 7, 9.0), (_assign, X, 1, np.arange(4.0)),
    (_assign, V, M, 0.0), (_assign, V, M, np.array([7.0, 8.0, 9.0])), (_assign, V, M, np.array([7.0, 8.0])),
    (_assign, X, np.array([True, False, True]), np.arange(4.0)), (_assign, X, X > 5, X[X > 5] * 2),
    (_assign, X, np.array([True, False, True]), np.arange(8.0).reshape(2, 4)), (_assign, X, np.array([0, 0, 2]), 5.0),
    (_assign, V, np.array([1, 1]), np.array([3.0, 4.0])), (_assign, V, slice(None, None, -2), np.arange(3.0)),
    (_assign, np.arange(5), 1, 2.9), (_assign, np.arange(5, dtype="i1"), slice(0, 2), np.array([1.5, 300.0])[:1]),
    (_assign, V, slice(1, 3), np.arange(4.0)), (_assign, np.zeros(3, complex), 1, 2j), (_assign, V, 1, X[0, :1]),
    (_through_row, X, 1), (lambda v, m: v[m].sum() + v[~m].prod(), V, M), (lambda v, m: v[m] * 2 + 1, V, M),
    (lambda v, m: (v[m] + v[m], v[m].size), V, M), (lambda x, m: x[x > 3], X, 0), (lambda x, m: x[:, x[0] > 1], X, 0),
    (lambda v, m: np.sort(v[m])[::-1], V, M), (lambda v, m: v[m][0], V, M), (lambda v, m: v[m].mean(), V, M),
    (lambda v, m: v[np.flatnonzero(m)], V, M), (lambda x, m: x[np.nonzero(x > 4)], X, 0), (lambda x, m: x[m], X, M)])
def test_masks_scalars_and_views(case: Any) -> None:
    check(*case)


@pytest.mark.parametrize(("method", "expected"), [
    ("set", [0, 9, 2, 9, 4]), ("add", [0, 19, 2, 12, 4]), ("multiply", [0, 81, 2, 27, 4]), ("max", [0, 9, 2, 9, 4]),
    ("min", [0, 1, 2, 3, 4]), ("subtract", [0, -17, 2, -6, 4])])
def test_at_updates_a_copy_and_duplicates_accumulate(method: str, expected: list[float]) -> None:
    trace = Traced(lambda v: (getattr(v.at[np.array([1, 3, 1])], method)(9.0), v), (V,))
    (changed, kept), written = trace.run()
    assert changed.tolist() == expected and kept.tolist() == V.tolist() and not written


def test_at_get_reads() -> None:
    (found, _) = Traced(lambda x: x.at[1, ::2].get(), (X,)).run()
    assert found.tolist() == [4.0, 6.0]


@pytest.mark.parametrize(("fn", "args"), [
    (lambda x: x[5], (X,)), (lambda x: x[0, 0, 0], (X,)), (lambda x: x[..., ...], (X,)), (lambda x: x[1.0], (X,)),
    (lambda x: x["a"], (X,)), (lambda x: x[[0, 7]], (X,)), (lambda x, m: x[m], (X, M)), (lambda v: v[::0], (V,)),
    (lambda x, i: x[i], (X, np.array([0, 9]))), (lambda x, i: x[i], (X, np.array([0.5]))),
    (lambda x: x[[0, 1], [0, 1, 2]], (X,)), (lambda x, i: x[0, i], (X, np.array([-5])))])
def test_bad_indices_raise_what_numpy_raises(fn: Any, args: Any) -> None:
    check(fn, *args)


def test_an_index_that_is_known_to_be_in_range_is_not_checked() -> None:
    def names(fn: Any, *args: Any) -> list[str]:
        return [n.op.name for n in Traced(fn, args).graph.nodes]
    assert "assert" not in names(lambda x: x[np.argmax(x[:, 0])], X)
    assert "assert" not in names(lambda v: v[np.argsort(v)], V)
    assert "assert" not in names(lambda x: x[np.arange(3), np.argmax(x, axis=1)], X)
    assert "assert" in names(lambda x, i: x[i], X, np.array([1]))


def test_plain_reads_are_few_ops() -> None:
    assert node_count(lambda x: x[1], X) == 2
    assert node_count(lambda x: x[:, 1:3], X) == 1
    assert node_count(lambda x: x[...], X) == 0
    assert node_count(lambda x: x + 1.0, X) == 2
    assert node_count(lambda x: x.sum(axis=0), X) == 1


def test_scalars_and_numbers_are_immutable() -> None:
    with pytest.raises(TypeError):
        Traced(lambda s: _assign(s, 0, 1.0), (1.5,))


def test_a_bool_as_an_index_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedError, match="None"):
        Traced(lambda x: x[True], (X,))
    assert issubclass(MutationError, TypeError)
