"""Compiled callables under threads, forks, signals and at interpreter exit."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.runtime.helpers import run_python, specialise, wait_for
from tracejit.xla_lite.runtime.dispatch import install, make_callable, uninstall_all
from tracejit.xla_lite.runtime.engine import engine
from tracejit.xla_lite.runtime.host import register, unregister
from tracejit.xla_lite.runtime.signature import (
    UNKNOWN_WORK,
    ArrayLeaf,
    Dict,
    IntLeaf,
    OutArray,
    OutConst,
    Positional,
    Specialisation,
)

F8 = np.dtype("f8")
VECTOR = ArrayLeaf(F8, ("n",))
ADD_ONE = ((Positional(0), VECTOR),)


def add_one(**settings: Any) -> Specialisation:
    return specialise(ADD_ONE, OutArray(F8, ("n",)), "add_one", **settings)


def run_all(*works: Callable[[], None]) -> None:
    """Runs the functions at the same time; raises the first exception of any."""
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def test_four_threads_call_and_install_at_once() -> None:
    function: Any = None
    lock = threading.Lock()
    wrong = []

    def slow(x: Any) -> Any:
        with lock:
            install(function, add_one(work=UNKNOWN_WORK))
        return x + 1

    function = make_callable(slow, None)

    def work() -> None:
        for n in range(1, 400):
            x = np.full(n, float(n))
            if not (function(x) == n + 1).all():
                wrong.append(n)
            if n % 50 == 0:
                uninstall_all(function)

    run_all(*[work] * 4)
    assert not wrong


def test_a_dict_may_change_while_its_arrays_are_in_use() -> None:
    node = Dict((("a", VECTOR), ("b", VECTOR)))
    function = make_callable(lambda d: d["a"] + 1, None)
    install(function, specialise(((Positional(0), node),), OutArray(F8, ("n",)), "nothing", work=UNKNOWN_WORK))
    d = {"a": np.ones(300_000), "b": np.ones(300_000)}
    stop = threading.Event()

    def mutate() -> None:
        while not stop.is_set():
            d["a"], d["b"] = np.ones(300_000), np.ones(300_000)

    def call() -> None:
        for _ in range(100):
            function(d)
        stop.set()

    run_all(mutate, call)


def test_a_forked_child_calls_on() -> None:
    function = make_callable(lambda x: None, None)
    install(function, add_one(work=UNKNOWN_WORK))
    x = np.ones(300_000)
    function(x)
    if (child := os.fork()) == 0:
        os._exit(0 if (function(x) == 2).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_child_forked_during_a_compilation_compiles() -> None:
    text = "define i64 @f() {\n  ret i64 1\n}\n"
    stop = threading.Event()

    def compile_on() -> None:
        while not stop.is_set():
            engine().compile_text(text)

    def fork() -> None:
        try:
            for _ in range(10):
                if (child := os.fork()) == 0:
                    os._exit(0 if engine().compile_text(text) else 1)
                assert wait_for(child) == 0
        finally:
            stop.set()

    run_all(compile_on, fork)


def test_an_interrupt_ends_a_long_loop() -> None:
    function = make_callable(lambda: None, None)
    install(function, specialise((), OutConst(1), "forever", work=UNKNOWN_WORK))
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        function()
    assert time.monotonic() - start < 5
    timer.join()


def test_host_calls_run_python_and_pass_exceptions_on() -> None:
    seen = []
    function = make_callable(lambda n: None, None)
    install(function, specialise(((Positional(0), IntLeaf()),), OutConst("done"), "host", work=UNKNOWN_WORK))
    good, bad = register(seen.append), register(lambda slots: 1 / 0)
    try:
        assert function(good) == "done" and len(seen) == 1 and type(seen[0]) is int
        references = sys.getrefcount(seen)
        for _ in range(100):
            with pytest.raises(ZeroDivisionError):
                function(bad)
        after = sys.getrefcount(seen)
        assert after == references
    finally:
        unregister(good)
        unregister(bad)
    with pytest.raises(KeyError):
        function(good)


def test_the_interpreter_ends_with_live_callables() -> None:
    done = run_python(
        "import atexit, builtins, threading\nimport numpy as np\n"
        "from tests.runtime.test_concurrency import *\n"
        "f = make_callable(lambda x: None, None); install(f, add_one(work=UNKNOWN_WORK)); x = np.ones(500_000)\n"
        "class Late:\n    def __del__(self, f=f, x=x): f(x)\n"
        "builtins.late, builtins.kept = Late(), f\natexit.register(f, x)\n"
        "def work():\n    while True: f(x)\n"
        "threading.Thread(target=work, daemon=True).start(); f(x)\n"
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_importing_the_package_does_not_load_llvm() -> None:
    done = run_python("import sys, tracejit.xla_lite.runtime.dispatch as d; assert 'llvmlite' not in sys.modules")
    assert done.returncode == 0, done.stderr
