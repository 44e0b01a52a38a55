"""Variables: what they hold, who changes them, and what calls from several threads, failures and copies leave."""
from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import ShapeError, UnsupportedError, UnsupportedTypeError
from tracejit.base.options import options
from tracejit.xla_lite.runtime.buffers import buffers

LONG = 60_000       # elements whose update takes long enough that other threads run meanwhile
counter = tj.Variable(0, name="counter")


def at_once(*works: Callable[[], object]) -> None:
    """Runs the functions in threads of their own; raises the first exception of any."""
    failed: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(w,), daemon=True) for w in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread waits for ever"
    if failed:
        raise failed[0]


# ---- values ------------------------------------------------------------------------------------------------------


ARITHMETIC: dict[str, Callable[[Any], Any]] = {
    "add": lambda v: v + 1, "reflected": lambda v: 2.0 - v, "matmul": lambda v: v @ v.T, "compare": lambda v: v > 1,
    "method": lambda v: v.sum(axis=0), "numpy": lambda v: np.exp(v), "concatenate": lambda v: np.concatenate([v, v]),
    "item": lambda v: v[1], "slice": lambda v: v[:, 1:], "property": lambda v: v.T, "negative": lambda v: -v,
    "divmod": lambda v: divmod(v, 2.0)[1], "where": lambda v: np.where(v > 1, v, 0), "round": lambda v: round(v, 1),
    "diagonal": lambda v: v.diagonal(), "conjugate": lambda v: v.conjugate(),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_a_variable_is_used_as_an_array(name: str) -> None:
    fn, data = ARITHMETIC[name], np.array([[1.0, 2.25], [3.5, -4.0]])
    v = tj.Variable(data)
    np.testing.assert_allclose(fn(v), fn(data) if name != "round" else np.round(data, 1), rtol=1e-15)
    np.testing.assert_allclose(tj.function(lambda: fn(v))(), np.asarray(fn(v)), rtol=1e-12)


def test_python_numbers_of_a_variable() -> None:
    v = tj.Variable(3)
    assert int(v) == 3 and float(v) == 3.0 and complex(v) == 3 and bool(v) and list(range(v)) == [0, 1, 2]
    assert v.item() == 3 and tj.Variable([1, 2]).tolist() == [1, 2] and f"{tj.Variable(2.5):.2f}" == "2.50"


@pytest.mark.parametrize("compiled", [False, True])
def test_every_way_to_assign(compiled: bool) -> None:
    v = tj.Variable(np.zeros((2, 3), np.float32), name="v")

    def change() -> None:
        v.assign(2)
        v.assign_add(np.arange(3.0))
        v.assign_sub(0.5)
        v[0, 1:] = [7.0, 8.0]
        v[1] += 1.0
        v.assign(v * 2)
        other = v
        other *= 2
        other /= 4
        other **= 2
    memory, address = v.array, v.array.ctypes.data
    (tj.function(change) if compiled else change)()
    np.testing.assert_array_equal(v.numpy(), np.float32([[1.5**2, 49, 64], [2.5**2, 3.5**2, 4.5**2]]))
    assert v.array is memory and v.array.ctypes.data == address and v.dtype == np.float32


def test_integers_keep_their_dtype() -> None:
    v = tj.Variable(np.uint8(250))
    v.assign_add(10)
    assert int(v) == 4 and v.dtype == np.uint8
    v += 1
    assert isinstance(v, tj.Variable) and int(v) == 5


WRONG: dict[str, tuple[type[Exception], str, Callable[[Any], Any]]] = {
    "longer": (ShapeError, r"v has the shape \(3,\), the value \(4,\)", lambda v: v.assign(np.zeros(4, int))),
    "rank": (ShapeError, r"v has the shape \(3,\), the value \(1, 3\)", lambda v: v.assign(np.zeros((1, 3), int))),
    "add": (ShapeError, r"v has the shape \(3,\), the value \(2,\)", lambda v: v.assign_add(np.zeros(2, int))),
    "slice": (ShapeError, r"3.*2|2.*3", lambda v: v.__setitem__(slice(0, 2), np.zeros(3, int))),
    "complex": (UnsupportedTypeError, "v holds int64, it can't be assigned complex128", lambda v: v.assign(1j)),
    "float": (UnsupportedTypeError, "v holds int64, it can't be assigned float64", lambda v: v.assign(np.ones(3))),
    "divide": (UnsupportedTypeError, "v holds int64, it can't be assigned float64", lambda v: v.__itruediv__(2)),
    "add float": (UnsupportedTypeError, "v holds int64, it can't be assigned float64", lambda v: v.assign_add(0.5)),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_another_shape_or_dtype_is_refused_and_nothing_is_changed(name: str, compiled: bool) -> None:
    error, text, change = WRONG[name]
    v = tj.Variable([1, 2, 3], name="v")
    with pytest.raises(error, match=text) as caught:
        (tj.function(lambda: change(v)) if compiled else lambda: change(v))()
    assert v.numpy().tolist() == [1, 2, 3]
    assert "test_variables.py" in str(caught.value)


def test_the_memory_of_a_variable_is_not_replaced() -> None:
    v = tj.Variable([1.0], name="v")
    with pytest.raises(AttributeError, match=r"v\.assign"):
        v.array = np.zeros(1)


def test_arrays_of_objects_are_no_variables() -> None:
    with pytest.raises(UnsupportedTypeError, match="a Variable can't hold dtype object"):
        tj.Variable(["a", None])


def test_what_was_read_does_not_change() -> None:
    v = tj.Variable([1.0, 2.0])
    held, array = v.value, v.numpy()

    @tj.function
    def f() -> Any:
        before = v.value
        v.assign_add(1.0)
        return before, v.value
    before, after = f()
    assert np.asarray(before).tolist() == [1, 2] == np.asarray(held).tolist() == array.tolist()
    assert np.asarray(after).tolist() == [2, 3]


def test_copies_and_pickles_are_variables_of_their_own() -> None:
    v = tj.Variable(np.eye(2, dtype=np.float32), name="v", trainable=False)
    for made in (copy.copy(v), copy.deepcopy(v), pickle.loads(pickle.dumps(v)), copy.deepcopy({"w": v})["w"]):
        made.assign_add(1.0)
        assert (made.name, made.trainable, made.dtype, made.shape) == ("v", False, np.float32, (2, 2))
        np.testing.assert_array_equal(made.numpy(), np.eye(2) + 1)
    np.testing.assert_array_equal(v.numpy(), np.eye(2))
    assert repr(tj.Variable([1, 2], name="n")) == "<Variable 'n' i64[2] [1 2]>"


# ---- captured by reference -----------------------------------------------------------------------------------------


class Holder:
    def __init__(self, v: Any) -> None:
        self.v, self.parts = v, [v]



def _by_cell(v: Any) -> Any:
    return tj.function(lambda: v.assign_add(1))


def _by_attribute(v: Any) -> Any:
    holder = Holder(v)
    return tj.function(lambda: holder.v.assign_add(1))


def _by_list(v: Any) -> Any:
    row = [v]
    return tj.function(lambda: row[0].assign_add(1))


def _by_dict(v: Any) -> Any:
    table = {"a": {"b": v}}
    return tj.function(lambda: table["a"]["b"].assign_add(1))


def _by_list_of_object(v: Any) -> Any:
    holder = Holder(v)
    return tj.function(lambda: [part.assign_add(1) for part in holder.parts][0])


def _by_default(v: Any) -> Any:
    def add(held: Any = v) -> Any:
        return held.assign_add(1)
    return tj.function(lambda: add())


def _by_library(v: Any) -> Any:
    """Through code that tracing runs as it is."""
    return tj.function(lambda: list(map(tj.Variable.assign_add, [v], [1]))[0])


def _by_argument(v: Any) -> Any:
    f = tj.function(lambda held: held.assign_add(1))
    return lambda: f(v)


@pytest.mark.parametrize("way", [_by_cell, _by_attribute, _by_list, _by_dict, _by_list_of_object, _by_default,
                                 _by_library, _by_argument])
def test_variables_are_captured_by_reference(way: Callable[[Any], Any]) -> None:
    v = tj.Variable(0, name="v")
    f = way(v)
    for expected in (1, 2, 3):
        assert f() is v and int(v) == expected
    v.assign(10)
    f()
    assert int(v) == 11


def test_a_global_variable_is_captured_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    f = tj.function(lambda: counter.assign_add(1))
    before = int(counter)
    f(), f()
    assert int(counter) == before + 2
    other = tj.Variable(40, name="other")
    monkeypatch.setitem(globals(), "counter", other)
    f(), f()
    assert int(other) == 42 and len(f.traces) == 1


def test_reads_and_writes_stay_in_order_in_control_flow() -> None:
    v, seen = tj.Variable(1.0), tj.Variable(np.zeros(6))

    def program(x: Any, limit: Any) -> Any:
        k = 0
        while v.value < limit:
            seen[k] = v.value
            if x[k] > 0:
                v.assign_add(x[k])
            else:
                v.assign(v * 2)
            k += 1
        try:
            v.assign_sub(1.0)
            total = 1 // (k - 3)
            v.assign_add(100.0)
        except ZeroDivisionError:
            total = -1
        return k, total, v.value + 0
    x = np.array([1.0, -1.0, 5.0, 1.0, -1.0, 1.0])
    compiled = tj.function(program)
    for limit in (9.0, 5.0, 20.0):
        v.assign(1.0), seen.assign(0.0)
        expected = program(x, limit)
        held = v.numpy(), seen.numpy()
        v.assign(1.0), seen.assign(0.0)
        assert [float(r) for r in compiled(x, limit)] == [float(r) for r in expected]
        np.testing.assert_array_equal(v.numpy(), held[0])
        np.testing.assert_array_equal(seen.numpy(), held[1])
    assert len(compiled.traces) == 1


# ---- memory ------------------------------------------------------------------------------------------------------


def test_a_step_changes_variables_in_place_and_allocates_nothing() -> None:
    w, m = tj.Variable(np.ones(1 << 18), name="w"), tj.Variable(np.zeros(1 << 18), name="m")

    @tj.function
    def step(g: Any, rate: Any) -> None:
        m.assign(0.9 * m + g)
        w.assign_sub(rate * m)
    g = np.full(1 << 18, 0.5)
    step(g, 0.1)
    addresses = w.array.ctypes.data, m.array.ctypes.data
    before = buffers().statistics
    for _ in range(3):
        step(g, 0.1)
    after = buffers().statistics
    assert (after.hits, after.misses) == (before.hits, before.misses)
    assert (w.array.ctypes.data, m.array.ctypes.data) == addresses
    np.testing.assert_allclose(m.numpy()[0], 0.5 * (1 + 0.9 + 0.81 + 0.729))


# ---- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_a_failing_step_leaves_what_was_assigned_before_as_plain_python_does(compiled: bool) -> None:
    first, second = tj.Variable(np.zeros(3)), tj.Variable(0)

    def step(x: Any) -> None:
        first.assign_add(x)
        for k in range(len(x)):
            second.assign_add(1)
            if x[k] < 0:
                raise ValueError("negative")
        assert x.sum() < 10, "too large"
        first.assign(0.0)
    run = tj.function(step) if compiled else step
    with pytest.raises(ValueError, match="negative"):
        run(np.array([1.0, -1.0, 1.0]))
    assert first.numpy().tolist() == [1, -1, 1] and int(second) == 2
    with pytest.raises(AssertionError, match="too large"):
        run(np.array([10.0, 10.0, 10.0]))
    assert first.numpy().tolist() == [11, 9, 11] and int(second) == 5
    run(np.ones(3))
    assert first.numpy().tolist() == [0, 0, 0] and int(second) == 8


# ---- creation ------------------------------------------------------------------------------------------------------


class Dense:
    def __init__(self, units: int) -> None:
        self.units, self.w, self.b = units, None, None

    @tj.function
    def __call__(self, x: Any) -> Any:
        if self.w is None:
            key = tj.random.key(0)
            self.w = tj.Variable(tj.random.normal(key, (x.shape[1], self.units)), name="w")
            self.b = tj.Variable(np.zeros(self.units), name="b")
        return x @ self.w + self.b


def test_variables_are_created_in_the_first_call_and_kept() -> None:
    one, x = Dense(2), np.ones((4, 3))
    first = one(x)
    w = one.w
    np.testing.assert_allclose(first, np.ones((4, 3)) @ w.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(one(x), first)
    w.assign(0.0)
    one.b.assign([1.0, 2.0])
    np.testing.assert_array_equal(one(x)[0], [1, 2])
    assert one.w is w and w.shape == (3, 2)


def test_a_variable_begins_with_what_the_first_call_gives() -> None:
    held: dict[str, Any] = {}

    @tj.function
    def f(x: Any, scale: Any) -> Any:
        if "v" not in held:
            held["v"] = tj.Variable(x * scale + len(x), name="v")
        return held["v"].assign_add(1.0).value
    x = np.arange(3.0)
    np.testing.assert_array_equal(f(x, 2.0), x * 2 + 4)
    np.testing.assert_array_equal(f(x, 100.0), x * 2 + 5)
    assert held["v"].numpy().tolist() == (x * 2 + 5).tolist()


def test_a_variable_that_every_call_creates_is_an_error_at_the_second() -> None:
    @tj.function
    def f(x: Any) -> Any:
        v = tj.Variable(x, name="v")
        v.assign_add(1.0)
        return v.value
    np.testing.assert_array_equal(f(np.ones(2)), [2, 2])
    for _ in range(2):
        with pytest.raises(UnsupportedError, match=r"creates v again[\s\S]*v = tj\.Variable\(x, name=\"v\"\)"):
            f(np.ones(2))


def test_a_first_call_that_fails_creates_nothing() -> None:
    held: list[Any] = []

    @tj.function
    def f(x: Any) -> Any:
        if not held:
            held.append(tj.Variable(np.zeros(2), name="v"))
        if x.sum() < 0:
            raise ValueError("negative")
        return held[0].assign_add(x).value
    with pytest.raises(ValueError, match="negative"):
        f(np.array([-1.0, 0.0]))
    made = f(np.ones(2))
    assert np.asarray(made).tolist() == [1, 1] and len(held) == 1


def test_a_variable_is_not_created_in_a_native_loop() -> None:
    @tj.function
    def f(n: Any) -> Any:
        total = 0.0
        for k in range(n):
            total += tj.Variable(1.0).value * k
        return total
    with pytest.raises(UnsupportedError, match="created in a loop"):
        f(10)


# ---- threads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False])
def test_no_update_of_several_threads_is_lost(native: bool) -> None:
    with options(native_dispatch=native):
        v, w = tj.Variable(np.zeros(LONG)), tj.Variable(np.zeros(LONG))

        @tj.function
        def both() -> None:
            v.assign_add(1.0)
            w.assign(v * 2)

        @tj.function
        def slow(n: Any) -> None:
            total, x = v[0], 12345
            for _ in range(n):
                x = x * 1103515245 % 2147483648
            v.assign(total + (1.0 if x != 7 else 0.0))
        both(), slow(8)
        at_once(*[lambda: [both() for _ in range(20)], lambda: [slow(10 * LONG) for _ in range(20)],
                  lambda: [v.assign_add(1.0) for _ in range(20)], lambda: [slow(10 * LONG) for _ in range(20)]])
        both()
    assert set(v.numpy()) == {83.0} and set(w.numpy()) == {166.0}


def test_readers_never_see_half_an_update() -> None:
    v, done = tj.Variable(np.zeros(LONG)), threading.Event()
    total = tj.function(lambda: (v.value.min(), v.value.max()))
    step = tj.function(lambda: v.assign_add(1.0))
    torn = []

    def write() -> None:
        for _ in range(200):
            step()
        done.set()

    def read() -> None:
        while not done.is_set():
            low, high = total()
            if low != high:
                torn.append((low, high))

    def read_eagerly() -> None:
        while not done.is_set():
            held = v.numpy()
            if held.min() != held.max():
                torn.append((held.min(), held.max()))
    total(), step()
    at_once(write, read, read, read_eagerly)
    assert not torn and set(v.numpy()) == {201.0}


def _meeting(first: Any, second: Any) -> bool:
    """Whether two calls are under way at the same time: each waits in a host call for the other."""
    arrived = [threading.Event(), threading.Event()]

    def meet(k: int) -> float:
        arrived[k].set()
        return float(arrived[1 - k].wait(0.4))

    def make(k: int, use: Callable[[], Any]) -> Any:
        met = partial(meet, k)

        def call() -> Any:
            use()
            return tj.host_call(met, "f64[]")
        return tj.function(call)
    functions = [make(0, first), make(1, second)]
    found: dict[int, float] = {}
    at_once(*[lambda k=k: found.__setitem__(k, float(functions[k]())) for k in (0, 1)])
    return all(found.values())


def test_calls_with_different_variables_run_side_by_side() -> None:
    v, w = tj.Variable(0.0), tj.Variable(0.0)
    assert _meeting(lambda: v.assign_add(1.0), lambda: w.assign_add(1.0))


def test_calls_that_only_read_a_variable_run_side_by_side() -> None:
    v = tj.Variable(1.0)
    assert _meeting(lambda: v.value + 1, lambda: v.value + 1)


def test_who_writes_a_variable_is_alone_with_it() -> None:
    v = tj.Variable(0.0)
    assert not _meeting(lambda: v.assign_add(1.0), lambda: v.assign_add(1.0))
    assert not _meeting(lambda: v.assign_add(1.0), lambda: v.value + 1)
    assert float(v) == 3.0


def test_calls_that_use_variables_in_different_order_do_not_wait_in_a_circle() -> None:
    v, w = tj.Variable(np.zeros(LONG)), tj.Variable(np.zeros(LONG))
    there, back = tj.function(lambda: w.assign(v + 1)), tj.function(lambda: v.assign(w + 1))
    there(), back()
    at_once(*[lambda f=f: [f() for _ in range(60)] for f in (there, back, there, back)])
    assert abs(v.numpy()[0] - w.numpy()[0]) == 1


def test_python_code_inside_a_call_does_not_wait_for_its_own_call() -> None:
    v = tj.Variable(1.0)
    double, seen = tj.function(lambda: v * 2), []

    def look() -> None:
        seen.append((v.numpy().shape, float(double()) / 2))

    @tj.function
    def f() -> Any:
        v.assign_add(1.0)
        tj.host_call(look, None)
        return v.value
    assert float(f()) == 2.0 and seen[0][0] == ()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_a_signal_handler_may_use_the_variables_of_the_call_that_it_interrupts() -> None:
    v, seen = tj.Variable(np.zeros(4)), []

    @tj.function
    def spin(n: Any) -> Any:
        k = 0.0
        while k < n:
            k += 1
            v[0] = k
        return k
    spin(10.0)
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(v.numpy()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        start = time.monotonic()
        while not seen and time.monotonic() - start < 20:
            spin(1e8)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_wait_for_threads_of_its_parent() -> None:
    v, inside, leave = tj.Variable(1.0), threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        leave.wait(30)

    @tj.function
    def hold() -> None:
        v.assign_add(1.0)
        tj.host_call(wait, None)
    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        v.assign_add(1.0)
        os._exit(7)
    deadline = time.monotonic() + 20
    while (status := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    leave.set()
    thread.join()
    if status[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status[1]) == 7


# ---- subclasses ----------------------------------------------------------------------------------------------------


class Scaled(tj.Variable):
    """A Variable with something of the user's own."""

    def doubled(self) -> Any:
        return self * 2


def test_subclasses_are_variables() -> None:
    w = Scaled([1.0, 2.0], name="w")
    f = tj.function(lambda x: w.assign_add(x).doubled() + np.sum(w))
    np.testing.assert_array_equal(f(1.0), [9.0, 11.0])
    with tj.GradientTape() as tape:
        y = (w * w).sum()
    np.testing.assert_array_equal(tape.gradient(y, w), [4.0, 6.0])
    assert f.traces[0].compiled.specialisation.turns


def test_variables_are_created_in_functions_that_are_differentiated() -> None:
    held: dict[str, Any] = {}

    def layer(x: Any) -> Any:
        if "w" not in held:
            held["w"] = tj.Variable(np.full(x.shape[0], 2.0), name="w")
        return (held["w"] * x * x).sum()

    @tj.function
    def f(x: Any) -> Any:
        return tj.grad(tj.checkpoint(layer))(x)
    np.testing.assert_array_equal(f(np.ones(3)), [4.0, 4.0, 4.0])
    held["w"].assign(1.0)
    np.testing.assert_array_equal(f(np.ones(3)), [2.0, 2.0, 2.0])


def test_a_host_call_that_raises_leaves_variables_as_they_were() -> None:
    v = tj.Variable(np.ones(5))

    def fail() -> None:
        raise ValueError("host")

    @tj.function
    def f() -> None:
        for i in range(5):
            v[i] = v[i] * 2 + 1
        tj.host_call(fail, None)
        v.assign(0.0)
    for _ in range(2):
        with pytest.raises(ValueError, match="host"):
            f()
    v.assign_add(1.0)       # nobody holds it
    assert v.numpy().tolist() == [2.0] * 5
