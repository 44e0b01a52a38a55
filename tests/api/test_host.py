"""Python inside compiled functions: print, messages and exceptions with today's values, host calls; as plain Python.

Flows in:  functions that print, raise and call back.
Flows out: text, exceptions and results, compared with the original function's.

PYTEST_DONT_REWRITE: pytest would change the messages of assertions in the programs.
"""
from __future__ import annotations

import linecache
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.tracing.context import current
from tracejit.tracing.host import raise_at_run_time
from tracejit.tracing.text import call_text, text

X = np.arange(3.0)
Point = namedtuple("Point", "x y")


def outcome(function: Callable[..., Any], args: tuple[Any, ...], capsys: pytest.CaptureFixture[str]) -> Any:
    """What is printed, then the class and arguments of the exception if there is one, and its last line."""
    capsys.readouterr()
    try:
        function(*args)
        ending: Any = None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        ending = type(error), str(error), repr(error.args), last.filename, last.lineno
    return capsys.readouterr().out, ending


def check(function: Callable[..., Any], capsys: pytest.CaptureFixture[str], *calls: tuple[Any, ...]) -> None:
    """The compiled function does what the original does, for every call; the calls share one trace."""
    compiled = tj.function(function)
    for args in calls:
        got, expected = outcome(compiled, args, capsys), outcome(function, args, capsys)
        assert got == expected, (got, expected)
    assert len(compiled.traces) == 1


def test_print_shows_values_as_python_does(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any, n: Any, z: Any) -> Any:
        print("start", end="; ")
        print(x, n, n / 2, z, x[0], x.sum(), n > 3, sep=" | ")
        print(x.astype(np.float32)[1], x > 1, x[1] > 1, np.float32(x[0]), x.shape, x.reshape(3, 1))
        print([x[0], n], {"n": n, 2: (x[1],)}, Point(n, x[2]))
        return x

    check(f, capsys, (X, 7, 1j), (X / 7, -2, 2 - 1j))


def test_print_takes_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    def f(n: Any) -> Any:
        print(n, n + 1, sep="-", end="!", flush=True)
        print()
        return n

    check(f, capsys, (1,), (2,))


def test_text_functions_are_deferred(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any, n: Any) -> Any:
        label = "n=" + str(n) + ", " + repr(x[0])
        print(f"{x} {x[0]:>8.3f} {n=}", "%d of %s" % (n, x))    # noqa: UP031
        form = "{:>8.3f}|{n!r}"
        print(label, form.format(x[1], n=n), ", ".join([str(n), "b"]), format(n, "05d"), label.upper())
        print(isinstance(label, str), ascii(x[0]))
        return n

    check(f, capsys, (X, 7), (X + 0.5, -3))


def test_f_strings_keep_conversion_and_spec() -> None:
    @tj.function(autograph=False)
    def f(x: Any, n: Any) -> Any:
        tj.print(text("n=", (n, "", ">5"), " x=", (x, "", ""), (x[0], "r", ""), (n, "s", "^7"), ("known", "r", "9")),
                 call_text("%d of %s".__mod__, ((n, "five"),), {}))
        return x

    expected = f"n={7:>5} x={X}{X[0]!r}{7!s:^7}{'known'!r:9} 7 of five\n"
    assert text("a", (1.5, "", ".2f")) == "a1.50" and call_text("%d".__mod__, (3,), {}) is NotImplemented
    with Printed() as printed:
        f(X, 7)
    assert printed.text == expected


class Printed:
    """Collects what is printed in its block."""

    def __enter__(self) -> Printed:
        self.before, sys.stdout, self.text = sys.stdout, self, ""    # type: ignore[assignment]
        return self

    def __exit__(self, *_: Any) -> None:
        sys.stdout = self.before

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Nothing is kept back."""


def test_assertions_show_values_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any, n: Any) -> Any:
        assert n > 0, f"n={n:>5} is {{not}} positive; {x[0]:.3f}"
        assert n < 10, (n, x)
        assert x.sum() < 100, "the sum is too large"
        assert x.max() < 50
        return x

    check(f, capsys, (X, 1), (X, -1), (X, 11), (X + 1000, 1), (X + [-60, 52, 0], 1))


def test_float32_values_of_messages_are_formatted_as_numpy_does(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        assert x[0] > 1, f"{x[0]}"
        return x

    check(f, capsys, (np.float32([0.1]),))


class Diverged(Exception):
    """An exception with a constructor of its own."""

    def __init__(self, steps: Any, error: Any):
        super().__init__("diverged", steps)
        self.steps, self.error = steps, error


def test_exceptions_under_traced_conditions_are_those_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any, n: Any) -> Any:
        if x.sum() > 10:
            raise Diverged(n, x.max())
        if n < 0:
            raise ValueError(f"negative: {n:+d}, {x[0]}") from KeyError(n)
        for i in range(n):
            print("round", i, x[0])
            x = x * 1.5
            if x[2] > 20:
                raise ValueError
            if x[2] > 10:
                raise OverflowError("too large", i)
        return x

    check(f, capsys, (X, 2), (X + 5, 2), (X, -2), (X, 9), (X + [0, 0, 6], 5), (X, 0))


def test_causes_and_attributes_of_exceptions_have_values() -> None:
    @tj.function
    def f(n: Any) -> Any:
        if n > 3:
            error = LookupError(n)
            error.number = n * 2
            raise error from KeyError(n, "x")
        return n

    assert f(1) == 1
    with pytest.raises(LookupError) as caught:
        f(5)
    assert caught.value.args == (5,) and caught.value.number == 10    # type: ignore[attr-defined]
    assert repr(caught.value.__cause__) == "KeyError(5, 'x')"


def test_what_is_printed_before_an_exception_is_printed_at_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        print("before", x)
        raise RuntimeError("always")

    check(f, capsys, (X,), (X + 1,))


def raising(make: Callable[..., BaseException]) -> Any:
    """A compiled function that raises what `make` gives."""
    @tj.function(autograph=False)
    def f(x: Any, n: Any) -> Any:
        try:
            raise make(x, n)
        except BaseException as error:
            raise_at_run_time(current(), error)
        return x

    return f


def test_exceptions_of_users_classes_carry_values() -> None:
    f = raising(lambda x, n: Diverged(n, x))
    for n in (3, 4):
        with pytest.raises(Diverged) as caught:
            f(X + n, n)
        assert caught.value.args == ("diverged", n) and caught.value.steps == n and type(caught.value.steps) is int
        assert caught.value.error.tolist() == (X + n).tolist()


@pytest.mark.parametrize("make", [
    lambda x, n: ValueError(), lambda x, n: ValueError(""), lambda x, n: KeyError("a{b}"), lambda x, n: KeyError(n),
    lambda x, n: OSError(n, text("no file ", (n, "", ""))), lambda x, n: StopIteration(x[0]),
    lambda x, n: ValueError(text((x, "", ""), " at ", (n, "r", "")), n)])
def test_arguments_of_exceptions_are_those_of_python(make: Callable[..., BaseException]) -> None:
    expected = make(X, 5)
    with pytest.raises(type(expected)) as caught:
        raising(make)(X, 5)
    assert repr(caught.value) == repr(expected) and str(caught.value) == str(expected)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == __file__ and "raise make(x, n)" in linecache.getline(__file__, last.lineno or 0)


def test_text_that_leaves_the_function_is_made_by_every_call() -> None:
    name = tj.function(lambda n: str(n))
    assert (name(3), name(4), len(name.explain().traces)) == ("3", "4", 1)


def test_text_that_python_needs_is_refused() -> None:
    with pytest.raises(tj.errors.ConcretizationError, match="Python needs"):
        tj.function(lambda x: len(str(x[0])))(np.ones(2))
    assert tj.function(lambda n: len(str(n + n)))(30) == 2


def test_host_call_runs_python_at_every_call() -> None:
    seen: list[Any] = []

    def look(x: Any, n: Any) -> Any:
        seen.append((x.tolist(), n))
        return x[::-1], n + 1

    def keep(m: Any) -> None:
        seen.append(m)

    @tj.function
    def f(x: Any, n: Any) -> Any:
        y, m = tj.host_call(look, ("f64[3]", "i64[]"), x * 2, n)
        tj.host_call(keep, None, m)
        return y + m

    assert f(X, 1).tolist() == [6, 4, 2] and f(X, 2).tolist() == [7, 5, 3]
    assert seen == [([0, 2, 4], 1), 2, ([0, 2, 4], 2), 3]
    assert any("look at" in name for name in f.traces[0].host_calls)
    assert tj.host_call(max, "i64[]", 3, 4) == 4


def test_errors_of_host_functions_come_out() -> None:
    f = tj.function(lambda n: n + tj.host_call(lambda k: 1 // k, "i64[]", n))
    assert f(1) == 2
    with pytest.raises(ZeroDivisionError) as caught:
        f(0)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__


CACHED = """
import numpy as np, tracejit as tj
class Wrong(Exception): pass
def f(x, n):
    print("x is", x, n)
    if n > 1:
        raise Wrong(n, x)
    return x + tj.host_call(lambda k: k * 10, "i64[]", n)
f = tj.function(f)
print(f(np.arange(2.0), 1))
try:
    f(np.arange(2.0), 2)
except Wrong as error:
    print(error, f.traces[0].compiled.executable.from_cache)
"""


def test_code_on_disk_calls_the_functions_of_the_process_that_loads_it(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(CACHED)
    expected = "x is [0. 1.] 1\n[10. 11.]\nx is [0. 1.] 2\n(2, array([0., 1.])) "
    for from_cache in (False, True):
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False,
                              env={**os.environ, "TRACEJIT_CACHE_DIR": str(tmp_path / "cache"),
                                   "PYTHONPATH": str(Path(__file__).resolve().parents[2])})
        assert done.stdout == f"{expected}{from_cache}\n", done.stderr


LOOP = """
import sys, numpy as np, tracejit as tj
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.replay import compile_for_arrays, run
graph = parse_graph('''
graph(%0: i64[]) {
  %1: i64[] = while(%0, carries=1)
    body = graph(%0: i64[]) {
      %1: i64[] = add(%0, %0)
      return %1
    }
    cond = graph(%0: i64[]) {
      %1: i64[] = constant(type=i64[], value=-1)
      %2: bool[] = compare(%0, %1, direction='GT')
      return %2
    }
  return %1
}''')
executable = compile_for_arrays(graph)
print("ready", flush=True)
try:
    run(executable, [np.int64(0)])
except KeyboardInterrupt:
    print("stopped")
"""


def test_an_infinite_native_loop_ends_with_an_interrupt() -> None:
    process = subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "stopped\n" and process.returncode == 0


def test_names_on_the_host_do_not_depend_on_how_often_a_trace_began_again() -> None:
    def f(x: Any, n: Any) -> Any:
        print(x.sum())
        return x.reshape(n, -1)

    compiled = tj.function(f)
    with Printed():
        compiled(np.ones(6), 2)
        compiled(np.ones(6), 3)
        compiled(np.ones(9), 3)
    names = {name for record in compiled.traces for name in record.host_calls}
    assert len(compiled.traces) > 1 and len(names) == 1
