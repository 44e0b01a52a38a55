"""What calls give back and leave: None or a value, memory of the compiled code, lists, stores of failing calls.

Flows in: functions run plain and decorated, with native and with Python dispatch.
"""

from __future__ import annotations

import gc
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.options import options
from tracejit.xla_lite.runtime.buffers import buffers

X = np.array([3.0, 1.0, 2.0])


@pytest.fixture(params=["native", "python"], autouse=True)
def dispatch(request: pytest.FixtureRequest) -> Iterator[None]:
    with options(native_dispatch=request.param == "native"):
        yield


def live_bytes() -> int:
    gc.collect()
    return buffers().statistics.live


def equal(x: Any, y: Any) -> bool:
    if isinstance(y, np.ndarray):
        return type(x) is np.ndarray and x.dtype == y.dtype and np.array_equal(x, y)
    if isinstance(y, (list, tuple)):
        return type(x) is type(y) and len(x) == len(y) and all(map(equal, x, y))
    if isinstance(y, dict):
        return list(x) == list(y) and all(equal(x[k], y[k]) for k in y)
    return type(x) is type(y) and (x == y or x is y)


# ---- None or a value -------------------------------------------------------------------------------------------------


@dataclass
class Found:
    index: Any
    values: Any


Pair = namedtuple("Pair", "first second")


@pytest.mark.parametrize("make", [
    lambda x: x.sum(), lambda x: int(x[0]), lambda x: x * 2, lambda x: (x, 1, "text"), lambda x: [x + 1, {"a": x[0]}],
    lambda x: {"a": None, "b": (x[1], x)}, lambda x: Pair(x[0], x - 1), lambda x: x[x > 1.5], lambda x: True],
    ids=["scalar", "int", "array", "tuple", "list", "dict", "namedtuple", "late", "constant"])
def test_a_result_is_none_or_a_value_of_any_structure(make: Callable[[Any], Any]) -> None:
    def plain(x: Any, t: float) -> Any:
        if t > 0:
            return make(x)

    f = tj.function(plain)
    for t in (1.0, -1.0, 2.0):
        assert equal(f(X, t), plain(X, t))
    assert len(f.traces) == 1


def test_a_result_is_none_or_a_dataclass() -> None:
    @tj.function
    def f(x: Any, t: float) -> Any:
        return Found(int(t), x * t) if t > 0 else None

    assert f(X, -1.0) is None and f(X, 2.0).index == 2 and f(X, 2.0).values.tolist() == [6, 2, 4]


def test_optional_results_of_tensors_are_tensors() -> None:
    @tj.function
    def f(x: Any, t: float) -> Any:
        return (x * 2, None) if t > 0 else None

    made = f(tj.Tensor(X), 1.0)
    assert type(made[0]) is tj.Tensor and made[1] is None and f(tj.Tensor(X), -1.0) is None


# ---- memory that the compiled code allocates -------------------------------------------------------------------------


def late(counts: Any) -> Any:
    n = counts.sum()
    return np.repeat(np.arange(3), counts), np.zeros((n, 2)) + np.arange(2), np.arange(n) * 1j


@pytest.mark.parametrize("counts", [(0, 0, 0), (1, 0, 2), (5000, 1, 300), (0, 70_000, 2)])
def test_late_results_own_ordinary_memory(counts: tuple[int, ...]) -> None:
    given, before = np.array(counts), live_bytes()
    made = tj.function(late)(given)
    assert equal(made, late(given))
    for array in made:
        assert array.flags.owndata and array.flags.writeable and array.flags.c_contiguous and array.flags.aligned
        array += 1
        array.resize((0,), refcheck=False)
    del made, array
    assert live_bytes() == before


def test_many_calls_with_late_results_leak_nothing() -> None:
    f, counts = tj.function(late), [np.array([k, 100 * k, 1]) for k in range(20)]
    f(counts[0])
    before = live_bytes()
    for _ in range(10):
        for given in counts:
            f(given)
    assert live_bytes() == before


def test_late_results_of_calls_that_fail_are_freed() -> None:
    @tj.function
    def f(counts: Any) -> Any:
        made = np.repeat(np.arange(3), counts)
        assert counts[0] < 9, f"{counts[0]} is too many"
        return made, np.bincount(made)

    assert f(np.array([1, 2, 3]))[1].tolist() == [1, 2, 3]
    before = live_bytes()
    for _ in range(20):
        with pytest.raises(AssertionError, match="10 is too many"):
            f(np.array([10, 2, 3]))
    assert live_bytes() == before


@pytest.mark.parametrize("shape", [(2**59,), (2**30, 2**31), (2**61,)])
def test_late_results_without_memory_are_memory_errors(shape: tuple[int, ...]) -> None:
    @tj.function
    def f(n: Any) -> Any:
        return np.zeros(tuple([n[i] for i in range(len(shape))]))

    assert f(np.array([2] * len(shape))).shape == (2,) * len(shape)
    before = live_bytes()
    with pytest.raises(MemoryError):
        f(np.array(shape))
    assert live_bytes() == before


def test_late_results_are_checked_in_check_mode() -> None:
    with options(check=True):
        f = tj.function(late)
        for counts in ((1, 0, 2), (5000, 1, 300)):
            assert equal(f(np.array(counts)), late(np.array(counts)))


def test_the_same_late_array_is_returned_once() -> None:
    @tj.function
    def f(x: Any) -> Any:
        y = x[x > 1.5]
        return y, [y], y * 1

    one, (other,), new = f(X)
    assert one is other and new is not one and not np.shares_memory(one, new)


# ---- lists -----------------------------------------------------------------------------------------------------------


def rows(x: Any, t: float) -> Any:
    numbers, scalars, pairs, arrays, nothing, boxes = [], [], [], [], [], []
    for i in range(len(x)):
        if x[i] > t:
            numbers.append(i)
            scalars.append(x[i])
            pairs.append((float(x[i]), x[i] > 2, {"i": i}["i"]))
            arrays.append(x * i)
            nothing.append(None)
        boxes.append(None if x[i] > t else i)
    return {"numbers": numbers, "rest": (scalars, pairs, arrays), "nothing": nothing, "boxes": boxes}


def test_items_of_lists_are_of_the_types_of_plain_python() -> None:
    f, x = tj.function(rows), np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    for t in (2.5, 9.0, -1.0, 1.0):
        assert equal(f(x, t), rows(x, t))
    assert len(f.traces) == 1


def test_lists_of_the_caller_grow() -> None:
    @tj.function
    def f(x: Any, found: Any, t: float) -> Any:
        for v in x:
            if v > t:
                found.append(float(v))
        return found

    x, found = np.array([3.0, 1.0, 2.0, 5.0, 4.0]), [0.5]
    assert f(x, found, 2.5) is found == [0.5, 3.0, 5.0, 4.0]


# ---- stores of calls that fail ---------------------------------------------------------------------------------------


class Model:
    def __init__(self) -> None:
        self.state: Any = None
        self.count = 0
        self.gone = 1

    @tj.function
    def step(self, x: Any, t: float) -> Any:
        self.count += 1
        self.state = x[x > t]
        if t < 0:
            del self.gone
            raise ValueError(f"{t}")
        self.state = (x, t)
        assert t < 5, "large"
        self.state = None
        return self.count


def test_a_failing_call_stores_what_stood_when_it_failed() -> None:
    model = Model()
    assert model.step(X, 1.0) == 1 and model.state is None
    with pytest.raises(AssertionError, match="large"):
        model.step(X, 7.0)
    assert model.count == 2 and model.state[0] is X and model.state[1] == 7.0 and model.gone == 1
    with pytest.raises(ValueError, match=r"-2\.0"):
        model.step(X, -2.0)
    assert model.count == 3 and model.state.tolist() == [3, 1, 2] and not hasattr(model, "gone")


def test_variables_of_closures_and_dicts_keep_what_failing_calls_stored() -> None:
    total, table = 0.0, {"calls": 0}

    @tj.function
    def f(x: Any, t: float, seen: Any) -> Any:
        nonlocal total
        table["calls"] += 1
        for i in range(len(x)):
            total += float(x[i])
            seen[i] = total
            if total > t:
                raise OverflowError(f"{total} after {i}")
        return total

    seen = np.zeros(3)
    assert f(X, 100.0, seen) == 6.0 and table == {"calls": 1}
    with pytest.raises(OverflowError, match=r"10\.0 after 1"):
        f(X, 9.5, seen)
    assert total == 10.0 and table == {"calls": 2} and seen.tolist() == [9.0, 10.0, 6.0]


def test_an_error_of_a_store_takes_the_place_of_the_error() -> None:
    class Strict:
        count = 0

        def __setattr__(self, name: str, value: Any) -> None:
            if value > 1:
                raise PermissionError(name)
            super().__setattr__(name, value)

    model = Strict()

    @tj.function
    def f(t: float) -> Any:
        model.count = model.count + 1
        assert t > 0, "negative"
        return t

    assert f(1.0) == 1.0
    with pytest.raises(PermissionError):
        f(-1.0)
    assert model.count == 1
