"""`try` and `with` while tracing: what is captured, what handlers get, what is refused.

Flows in: functions and values.  Flows out: graphs, run by the evaluator.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.tracing.test_trace import ops, traced
from tracejit.base.errors import UnsupportedError
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph, Node
from tracejit.tracing.trace import Trace


def attempt(made: Trace) -> Node:
    """The only `try` of a graph."""
    (found,) = [n for n in made.graph.nodes if n.op.name == "try"]
    return found


def failures(graph: Graph) -> list[Node]:
    """The `assert` nodes of a graph and its regions, in order."""
    found = []
    for node in graph.nodes:
        found += [node] if node.op.name == "assert" else [f for _, r in node.regions() for f in failures(r)]
    return found


def run(made: Trace, *arrays: Any) -> list[Any]:
    return [r.tolist() for r in evaluate(made.graph, arrays)]


def test_what_cannot_fail_at_run_time_runs_in_place() -> None:
    def f(x: Any) -> Any:
        try:
            y = x * 2
        except ValueError:
            y = x
        else:
            y = y + 1
        finally:
            y = y * 3
        return y

    made = traced(f, 1.0)
    assert not {"try", "assert"} & set(ops(made)) and run(made, 2.0) == [15.0]


def test_what_tracing_raises_is_caught_while_tracing() -> None:
    def f(x: Any, y: Any) -> Any:
        table: dict[str, Any] = {}
        try:
            table["missing"]
        except KeyError as error:
            table["found"] = len(error.args)
        try:
            return x + y
        except ValueError:
            return x * table["found"]

    assert ops(traced(f, np.ones(2), np.ones(3))) == ["constant", "multiply"]


def test_handlers_are_traced_for_each_class_and_text() -> None:
    def f(n: Any) -> Any:
        try:
            if n == 0:
                raise ValueError("a")
            if n == 1:
                raise ValueError("a")
            if n == 2:
                raise ValueError("b")
            if n == 3:
                raise KeyError("a")
            if n == 4:
                raise OSError
        except (ValueError, KeyError) as error:
            return len(error.args[0]), isinstance(error, KeyError)
        return 0, False

    made = traced(f, 5)
    assert [n.attributes.get("to", "") for n in failures(made.graph)] == ["t1:0", "t1:0", "t1:1", "t1:2", ""]
    assert len(attempt(made).attributes["handlers"]) == 3
    assert [run(made, n) for n in (0, 1, 2, 3, 5)] == [[1, False]] * 3 + [[1, True], [0, False]]
    with pytest.raises(OSError):
        run(made, 4)


def test_a_failure_hands_over_the_state_at_its_place() -> None:
    def f(x: Any, i: Any, j: Any) -> Any:
        s = 0.0
        try:
            s = x[i]
            s = s + x[j]
        except IndexError:
            s = s + 100
        return s

    made = traced(f, np.arange(3.0), 0, 0)
    assert [len(n.attributes["kept"]) for n in failures(made.graph)] == [1, 1]
    x = np.array([1.0, 2.0, 3.0])
    assert [run(made, x, i, j) for i, j in ((1, 2), (3, 0), (1, 9))] == [[5.0], [100.0], [102.0]]


def test_written_arrays_are_state_where_nothing_was_written_yet() -> None:
    def f(x: Any, i: Any) -> Any:
        try:
            x[i] = 1.0
        except IndexError:
            pass
        return x.sum()

    made = traced(f, np.zeros(3), 0)
    (failure,) = failures(made.graph)
    assert [v.type.rank for v in failure.operands[-1:]] == [1]
    handler = attempt(made).attributes["handlers"][0]
    assert all(v in handler.params[:len(failure.operands) - 1] for v in handler.outputs if v.rank)


def test_what_the_body_checked_is_not_known_after_the_statement() -> None:
    def f(x: Any, i: Any) -> Any:
        try:
            y = x[i]
        except IndexError:
            y = 0.0
        return y + x[i]

    made = traced(f, np.arange(3.0), 0)
    assert [n.attributes.get("to", "") for n in failures(made.graph)] == ["t1:0", ""]
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        run(made, np.arange(3.0), 3)


def test_errors_keep_the_line_that_raised_them() -> None:
    def f(n: Any) -> Any:
        try:
            if n < 0:
                raise ValueError("bad")
            if n > 9:
                raise ValueError("bad")
        except ValueError:
            raise
        return n

    left = [n for n in failures(traced(f, 1).graph) if "to" not in n.attributes]
    first = f.__code__.co_firstlineno
    assert [n.span.line - first for n in left if n.span is not None] == [3, 5]


def test_managers_of_libraries_do_not_see_what_the_run_raises() -> None:
    def f(x: Any) -> Any:
        with np.errstate(all="ignore"), contextlib.nullcontext(2.0) as two:
            return math.sqrt(x) * two

    made = traced(f, 4.0)
    assert "try" not in ops(made) and run(made, 9.0) == [6.0]


def test_a_generator_that_catches_errors_is_no_manager_for_what_the_run_raises() -> None:
    @contextlib.contextmanager
    def careless() -> Iterator[float]:
        yield 2.0

    @contextlib.contextmanager
    def careful() -> Iterator[float]:
        try:
            yield 2.0
        finally:
            pass

    def f(x: Any, manager: Any) -> Any:
        with manager() as two:
            return math.sqrt(x) * two

    assert run(traced(lambda x: f(x, careless), 4.0), 9.0) == [6.0]
    with pytest.raises(UnsupportedError, match=r"the manager of a `with` around would see it[^$]*class with __enter__"):
        traced(lambda x: f(x, careful), 4.0)


def test_host_calls_in_a_try_are_refused() -> None:
    def f(x: Any) -> Any:
        try:
            return tj.host_call(float, "f64[]", x)
        except ValueError:
            return 0.0

    with pytest.raises(UnsupportedError, match="a host_call inside `try`"):
        traced(f, 4.0)


def test_what_handlers_leave_differently_is_refused() -> None:
    def f(x: Any) -> Any:
        try:
            y = math.sqrt(x)
        except ValueError:
            y = np.zeros(3)
        return y

    with pytest.raises(UnsupportedError, match="'y' has different shapes"):
        traced(f, 4.0)


def test_a_failure_keeps_what_the_caller_sees_changed() -> None:
    def f(x: Any, values: Any, t: Any) -> Any:
        x[0] = t
        values[0] = t
        if t < 0:
            raise ValueError
        x[1] = values[1] = t
        return t

    made = traced(f, np.zeros(2), [1.0, 2.0], 3.0)
    (failure,) = failures(made.graph)
    assert len(failure.attributes["kept"]) == 2 and set(failure.attributes["kept"]) == set(made.kept)
    assert {made.graph.outputs[output].type.rank for output in made.kept.values()} == {0, 1}
    (left,) = made.left
    assert left.store.kind == "contents" and set(left.numbers) < set(made.kept)
