"""Wrong, unusual and hostile input: the right result or a clear error, never a crash and nothing half-written.

Flows in: calls that users get wrong, arrays in unusual memory, threads, forks, broken caches.
"""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj

ROOT = Path(__file__).resolve().parent.parent


def agrees(fn: Callable[..., Any], *args: Any) -> None:
    """Plain and decorated calls give the same value, dtype and shape."""
    expected, actual = fn(*args), tj.function(fn)(*args)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    assert np.asarray(actual).dtype == np.asarray(expected).dtype and np.shape(actual) == np.shape(expected)


def add(x: Any, y: Any) -> Any:
    return x + y


# ---- wrong calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [lambda f: f(), lambda f: f(1.0), lambda f: f(1.0, 2.0, 3.0),
                                  lambda f: f(1.0, z=2.0), lambda f: f(1.0, 2.0, y=3.0)])
def test_a_wrong_call_raises_pythons_own_message(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as plain:
        call(add)
    with pytest.raises(TypeError) as compiled:
        call(tj.function(add))
    assert str(compiled.value) == str(plain.value)


def test_a_wrong_call_after_a_right_one_raises_too() -> None:
    f = tj.function(add)
    f(1.0, 2.0)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        f(np.ones(3))


def test_a_function_that_is_not_callable_is_refused() -> None:
    with pytest.raises(tj.errors.UnsupportedTypeError, match="can't be called"):
        tj.function(3)


@pytest.mark.parametrize("options", [{"precision": "exact"}, {"returns": "lists"}, {"static": (7,)}, {"donate": 2.5}])
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((tj.errors.SignatureError, TypeError)):
        tj.function(add, **options)


def test_another_device_is_refused() -> None:
    with pytest.raises(tj.errors.UnsupportedError, match="device='cuda'"):
        tj.function(add, device="cuda")


# ---- types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [np.array([None, 1]), np.array(["a", "b"]), np.array([b"a"]),
                                   np.array(["2020-01-01"], "M8[D]"), np.zeros(2, [("a", "f8")]),
                                   np.zeros(2, np.longdouble)])
def test_arrays_without_a_compiled_type_are_refused_by_name(array: Any) -> None:
    with pytest.raises(tj.errors.UnsupportedTypeError, match="x has dtype"):
        tj.function(add)(array, 1)


@pytest.mark.parametrize("array", [np.ma.masked_array([1.0, 2.0], [0, 1]), np.rec.array([(1,)], dtype=[("a", "i4")])])
def test_array_subclasses_are_refused(array: Any) -> None:
    with pytest.raises(tj.errors.UnsupportedTypeError, match="subclass of ndarray"):
        tj.function(lambda x: x)(array)


def test_np_matrix_is_refused() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0]])
    with pytest.raises(tj.errors.UnsupportedTypeError, match="matrix"):
        tj.function(lambda x: x * x)(matrix)


def test_unknown_objects_in_arithmetic_raise_a_type_error() -> None:
    class Money:
        pass

    with pytest.raises(TypeError):
        tj.function(add)(np.ones(2), Money())


def test_a_type_without_a_rule_raises_numpys_error() -> None:
    with pytest.raises(TypeError):
        tj.function(lambda x: x & 1)(np.ones(3))


def test_shapes_that_do_not_broadcast_name_both() -> None:
    with pytest.raises(ValueError, match=r"\(2,3\) ?\(4,\)|\(2, ?3\).*\(4,\)"):
        tj.function(add)(np.ones((2, 3)), np.ones(4))


def test_shapes_that_stop_broadcasting_later_raise_too() -> None:
    f = tj.function(add)
    for n in (3, 4, 5):
        f(np.ones(n), np.ones(n))
    with pytest.raises(ValueError):
        f(np.ones(4), np.ones(5))


# ---- values and memory ---------------------------------------------------------------------------------------------


def test_nan_and_infinity_pass_through() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0])
    agrees(lambda x: x * 2 + 1, x)
    agrees(lambda x: np.maximum(x, 0.0), x)
    assert math.isnan(tj.function(lambda x: x.max())(x))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), ()])
def test_zero_size_and_rank_zero_arrays(shape: tuple[int, ...]) -> None:
    x = np.ones(shape)
    agrees(lambda x: x + 1, x)
    agrees(lambda x: x.sum(), x)


def test_the_largest_of_nothing_is_numpys_error() -> None:
    with pytest.raises(ValueError, match="zero-size array"):
        tj.function(lambda x: x.max())(np.ones(0))


@pytest.mark.parametrize("layout", [lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x.T, np.asfortranarray,
                                    lambda x: x[::2, 1:], lambda x: np.broadcast_to(x[0], x.shape),
                                    lambda x: x[..., 0]])
def test_every_layout_gives_numpys_result(layout: Callable[[Any], Any]) -> None:
    x = layout(np.arange(24.0).reshape(4, 6))
    agrees(lambda x: np.sin(x) + x * 2, x)
    agrees(lambda x: x.sum(axis=0), x)
    f = tj.function(lambda x: x * 3)
    for array in (np.ascontiguousarray(x), x, np.ascontiguousarray(x)):
        np.testing.assert_array_equal(f(array), x * 3)


def misaligned(x: Any) -> Any:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    made = raw[1:].view(x.dtype).reshape(x.shape)
    made[...] = x
    assert not made.flags.aligned
    return made


@pytest.mark.parametrize("spoil", [lambda x: x.astype(">f8"), misaligned])
def test_byte_swapped_and_misaligned_arrays_are_read_and_written(spoil: Callable[[Any], Any]) -> None:
    x = spoil(np.arange(5.0))
    np.testing.assert_array_equal(tj.function(lambda x: x + 1)(x), np.arange(5.0) + 1)

    @tj.function
    def change(x: Any) -> Any:
        x += 1
        return x

    assert change(x) is x
    np.testing.assert_array_equal(x, np.arange(5.0) + 1)


def test_writing_a_read_only_array_is_numpys_error_and_reading_works() -> None:
    x = np.arange(4.0)
    x.flags.writeable = False

    @tj.function
    def change(x: Any) -> None:
        x[0] = 7.0

    with pytest.raises(ValueError, match="read-only"):
        change(x)
    change(y := np.arange(4.0))
    assert y[0] == 7
    with pytest.raises(ValueError, match="read-only"):
        change(x)
    assert tj.function(lambda x: x.sum())(x) == 6


def test_a_huge_result_raises_memory_error() -> None:
    f = tj.function(lambda x: np.outer(x, x) + 1)
    with pytest.raises(MemoryError):
        f(np.ones(1 << 20))


def test_a_shape_that_overflows_raises() -> None:
    with pytest.raises((ValueError, MemoryError)):
        tj.function(lambda x: np.zeros((1 << 40, 1 << 40)) + x)(1.0)


# ---- overlap -------------------------------------------------------------------------------------------------------


@tj.function
def add_into(x: Any, y: Any) -> None:
    x += y
    y *= 2


def plain_add_into(x: Any, y: Any) -> None:
    x += y
    y *= 2


@pytest.mark.parametrize("pair", [lambda a: (a, a), lambda a: (a[:4], a[:4]), lambda a: (a[1:], a[:-1]),
                                  lambda a: (a[:-1], a[1:]), lambda a: (a[::2], a[1::2]), lambda a: (a, a[::-1]),
                                  lambda a: (a[:3], a[3:])])
def test_arguments_that_overlap_are_changed_as_numpy_changes_them(pair: Callable[[Any], Any]) -> None:
    for start in (0.0, 5.0):
        ours, theirs = np.arange(6.0) + start, np.arange(6.0) + start
        add_into(*pair(ours))
        plain_add_into(*pair(theirs))
        np.testing.assert_array_equal(ours, theirs)


def test_disjoint_arrays_after_overlapping_ones() -> None:
    x, y = np.arange(3.0), np.arange(3.0)
    add_into(x, y)
    np.testing.assert_array_equal(x, [0, 2, 4])
    np.testing.assert_array_equal(y, [0, 2, 4])


def test_out_that_is_an_input() -> None:
    f = tj.function(lambda x, out: np.add(x[::-1], 1, out=out))
    x = np.arange(5.0)
    assert f(x, x) is x
    np.testing.assert_array_equal(x, np.arange(5.0)[::-1] + 1)


# ---- recursion, source ---------------------------------------------------------------------------------------------


def endless(x: Any) -> Any:
    return endless(x) + 1


def ping(x: Any) -> Any:
    return pong(x) + 1


def pong(x: Any) -> Any:
    return ping(x) + 1


@pytest.mark.parametrize("fn", [endless, ping])
def test_endless_recursion_names_the_function(fn: Any) -> None:
    with pytest.raises(tj.errors.RecursionLimitError, match=r"endless|ping|pong"):
        tj.function(fn)(np.ones(2))


def test_recursion_that_ends_works() -> None:
    def power(x: Any, n: int) -> Any:
        return x if n == 1 else x * power(x, n - 1)

    np.testing.assert_array_equal(tj.function(power)(np.full(2, 2.0), 5), [32, 32])


def test_a_function_without_source_says_so_and_runs_unconverted_on_request() -> None:
    scope: dict[str, Any] = {}
    exec(compile("f = lambda x: x + 1", "<nowhere>", "exec"), scope)
    with pytest.raises(tj.errors.SourceUnavailableError, match="autograph=False"):
        tj.function(scope["f"])(np.ones(2))
    np.testing.assert_array_equal(tj.function(scope["f"], autograph=False)(np.ones(2)), [2, 2])


def test_builtins_and_ufuncs_can_be_compiled() -> None:
    np.testing.assert_array_equal(tj.function(np.sin)(np.ones(2)), np.sin(np.ones(2)))
    assert tj.function(math.sqrt)(2.25) == 1.5


# ---- half-done calls -----------------------------------------------------------------------------------------------


def test_an_error_while_tracing_leaves_arguments_untouched_and_the_function_usable() -> None:
    @tj.function
    def f(x: Any, y: Any) -> Any:
        x += 1
        return x + y

    x = np.zeros(3)
    with pytest.raises(ValueError):
        f(x, np.ones(4))
    f(x, np.ones(3))
    np.testing.assert_array_equal(x, [1, 1, 1])


def test_an_index_error_at_run_time_has_the_users_line() -> None:
    f = tj.function(lambda x, i: x[i])
    assert f(np.arange(5.0), 2) == 2
    for i in (5, -6):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 5") as caught:
            f(np.arange(5.0), i)
        assert str(caught.traceback[-1].path) == __file__
    assert f(np.arange(5.0), -1) == 4


def test_division_by_zero_follows_python_and_numpy() -> None:
    assert tj.function(lambda x: x // 0)(np.array([3, -3])).tolist() == [0, 0]
    with pytest.raises(ZeroDivisionError):
        tj.function(lambda a, b: a / b)(1.0, 0.0)


def test_assertions_check_values_at_run_time() -> None:
    @tj.function
    def f(x: Any, limit: float) -> Any:
        assert x.max() < limit, f"{x.max()} is not below {limit}"
        return x

    f(np.arange(3.0), 5.0)
    with pytest.raises(AssertionError, match="2.0 is not below 1.5") as caught:
        f(np.arange(3.0), 1.5)
    assert str(caught.traceback[-1].path) == __file__


# ---- threads, forks, signals ---------------------------------------------------------------------------------------


def test_four_threads_call_and_trace_at_once() -> None:
    @tj.function
    def f(x: Any, k: float) -> Any:
        return np.sqrt(x * x + k) - x

    @tj.function
    def g(x: Any) -> Any:
        return f(x, 1.0) * 2

    errors: list[Any] = []

    def work(seed: int) -> None:
        try:
            for i in range(12):
                dtype = (np.float64, np.float32)[(i + seed) % 2]
                x = np.arange(1 + (i * seed) % 7, dtype=dtype)
                np.testing.assert_allclose(f(x, 1.0), np.sqrt(x * x + 1) - x, rtol=1e-5)
                np.testing.assert_allclose(g(x), 2 * (np.sqrt(x * x + 1) - x), rtol=1e-5)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]


def run_script(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], env=settings, capture_output=True,
                          text=True, timeout=120)


SCRIPT = """
import os, sys, tempfile
sys.path.insert(0, tempfile.mkdtemp())
path = os.path.join(sys.path[0], "program.py")
open(path, "w").write('''
import numpy as np, tracejit as tj
@tj.function
def f(x):
    return np.exp(x) + 1
''')
import numpy as np, program
"""


def test_a_forked_child_calls_and_traces() -> None:
    code = SCRIPT + """
import threading
program.f(np.ones(4))
program.f.state.lock.acquire()      # as if another thread were tracing
pid = os.fork()
if pid == 0:
    ok = abs(program.f(np.ones(4))[0] - 3.718281828) < 1e-8 and program.f(np.ones((2, 2), "f4")).shape == (2, 2)
    os._exit(0 if ok else 3)
program.f.state.lock.release()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = run_script(code)
    assert done.stdout.strip() == "0", done.stderr


def test_a_call_after_keyboard_interrupt_works() -> None:
    f = tj.function(lambda x: np.sin(x).sum())
    x = np.ones(300_000)
    f(x)
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        start = time.perf_counter()
        while time.perf_counter() - start < 10:
            f(x)
    timer.join()
    assert abs(f(x) - x.size * math.sin(1.0)) < 1e-3


# ---- the disk cache ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncate", "garbage", "empty", "foreign"])
def test_a_damaged_cache_file_is_compiled_again(damage: str, tmp_path: Path) -> None:
    code = SCRIPT + "print(program.f(np.zeros(3)).tolist())"
    cache = tmp_path / "cache"
    first = run_script(code, TRACEJIT_CACHE_DIR=str(cache))
    assert first.stdout.strip() == "[2.0, 2.0, 2.0]", first.stderr
    files = [p for p in cache.rglob("*") if p.is_file()]
    assert files
    for path in files:
        data = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes({"truncate": data[: len(data) // 2], "garbage": data[:40] + os.urandom(200) + data[240:],
                          "empty": b"", "foreign": b"\x7fELF" + data}[damage])
    again = run_script(code, TRACEJIT_CACHE_DIR=str(cache))
    assert again.returncode == 0 and again.stdout.strip() == "[2.0, 2.0, 2.0]", again.stderr


def test_a_home_that_cannot_be_written_is_no_problem(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    done = run_script(SCRIPT + "print(program.f(np.zeros(3)).tolist())", HOME=str(blocked),
                      XDG_CACHE_HOME=str(blocked / "cache"), TRACEJIT_CACHE_DIR=str(blocked / "tracejit"))
    assert done.returncode == 0 and done.stdout.strip() == "[2.0, 2.0, 2.0]", done.stderr


# ---- tracers that escape -------------------------------------------------------------------------------------------


def test_a_condition_on_array_content_names_the_line() -> None:
    @tj.function
    def f(x: Any) -> Any:
        return x if {True: 1}.get(bool.__call__(x.sum() > 0)) else -x

    with pytest.raises(tj.errors.TracedBoolError, match=r"x.sum\(\) > 0") as caught:
        f(np.ones(3))
    assert "np.where" in str(caught.value)


def test_a_tracer_that_was_kept_is_refused_later() -> None:
    kept = []

    @tj.function
    def f(x: Any) -> Any:
        kept.append(x) if False else list.append(kept, x)
        return x + 1

    f(np.ones(2))
    escaped = [k for k in kept if not isinstance(k, np.ndarray)]
    for tracer in escaped:
        with pytest.raises(tj.errors.InternalError):
            tracer + 1


def test_random_numbers_of_numpy_are_refused() -> None:
    with pytest.raises(tj.errors.UnsupportedError, match="draw"):
        tj.function(lambda x: x + np.random.rand())(np.ones(2))


def test_an_unknown_numpy_function_is_named() -> None:
    with pytest.raises(tj.errors.UnsupportedError, match="datetime_as_string is not supported"):
        tj.function(lambda x: np.datetime_as_string(x))(np.ones(8))
