"""Tracing alone: graphs, inputs, decisions, views, sizes. No code is generated.

Flows in: functions and values.  Flows out: graphs, run by the evaluator.
"""

from typing import Any

import numpy as np
import pytest

import tracejit.numpy.implementations  # noqa: F401  (fills the table of NumPy functions)
from tracejit.base.dims import Dim, Size
from tracejit.base.errors import ConcretizationError
from tracejit.ir.evaluator import evaluate
from tracejit.ir.verifier import verify
from tracejit.tracing.inputs import ArrayInput, NumberInput, StaticInput
from tracejit.tracing.outputs import ComputedOut, InputOut
from tracejit.tracing.trace import Call, Trace, trace


def exact(path: str, shape: tuple[int, ...]) -> tuple[Size, ...]:
    return shape


def symbolic(path: str, shape: tuple[int, ...]) -> tuple[Size, ...]:
    return tuple(Dim.symbol(f"{path}{i}") if n > 1 else n for i, n in enumerate(shape))


def traced(fn: Any, *args: Any, shape: Any = exact, **options: Any) -> Trace:
    names = fn.__code__.co_varnames[: len(args)]
    made = trace(Call(fn, args, {}, names, **options), shape)
    verify(made.graph)
    return made


def ops(made: Trace) -> list[str]:
    return [node.op.name for node in made.graph.nodes]


def test_equal_expressions_are_one_node() -> None:
    made = traced(lambda x: (x + 1) * (x + 1), np.ones(3))
    assert ops(made) == ["constant", "add", "multiply"]


def test_each_node_has_the_users_expression() -> None:
    made = traced(lambda x: np.sin(x) + x, np.ones(3))
    span = made.graph.nodes[0].span
    assert span is not None and span.file == __file__ and "np.sin(x)" in span.picture()
    picture = made.graph.nodes[1].span.picture().splitlines()    # type: ignore[union-attr]
    assert picture[1].count("^") == len("np.sin(x) + x")


def test_inputs_have_paths() -> None:
    made = traced(lambda p, n: p["w"][0] + n, {"w": [np.ones(2), 3]}, 2.0)
    assert [a.path for a in made.arrays] == ["p['w'][0]"] and [n.path for n in made.numbers] == ["p['w'][1]", "n"]


def test_sizes_that_meet_are_made_equal_by_a_restart() -> None:
    made = traced(lambda x, y: x + y, np.ones(4), np.ones(4), shape=symbolic)
    assert len({str(a.type) for a in made.arrays}) == 1 and not made.size_guards
    assert set(map(str, made.decisions.sizes)) | {str(s) for s in made.decisions.sizes.values()} == {"x0", "y0"}


def test_sizes_in_polynomials_meet() -> None:
    made = traced(lambda x, y: np.concatenate([x, x]) + y, np.ones(3), np.ones(6), shape=symbolic)
    assert str(made.arrays[1].type) == "f64[2*x0]"


def test_comparisons_of_sizes_are_guards_with_lines() -> None:
    made = traced(lambda x: x if x.shape[0] > 2 else -x, np.ones(3), shape=symbolic)
    (guard,) = made.size_guards
    assert (str(guard.left), guard.relation, guard.right) == ("x0", "GT", 2)
    assert guard.span is not None and "x.shape[0] > 2" in guard.span.picture()


def test_comparisons_that_hold_for_all_sizes_are_no_guards() -> None:
    made = traced(lambda x: x if x.shape[0] == len(x) else -x, np.ones(3), shape=symbolic)
    assert not made.size_guards


def test_a_scalar_whose_value_python_needs_becomes_static() -> None:
    made = traced(lambda x, n: x.reshape(n, -1), np.ones(6), 2)
    assert not made.numbers and made.decisions.static == {"n"}
    found = made.roots[1].input
    assert isinstance(found, StaticInput) and found.value == 2 and found.concretized


def test_values_computed_from_scalars_make_their_sources_static() -> None:
    traced(lambda x, n, m, k: x[: n + m] * k, np.ones(6), 2, 1, 5)
    made = traced(lambda x, n, m, k: (x,) * (n + m) if k else x, np.ones(6), 2, 1, True)
    assert made.decisions.static == {"n", "m"}


def test_constants_have_values() -> None:
    made = traced(lambda x: [x] * int(np.sqrt(np.array(9.0)) if False else 3), np.ones(2))
    assert len(made.graph.params) == 1


def test_the_value_of_array_content_is_refused() -> None:
    with pytest.raises(ConcretizationError, match="int"):
        traced(lambda x: (1,) * int(x[0]), np.ones(2))


def test_unchanged_inputs_are_outputs_without_computation() -> None:
    made = traced(lambda x, n: (x, n), np.ones(2), 3)
    assert not made.graph.outputs
    assert [type(o) for o in made.result.items] == [InputOut, InputOut]    # type: ignore[union-attr]
    assert [type(o.input) for o in made.result.items] == [ArrayInput, NumberInput]    # type: ignore[union-attr]


def test_views_write_to_their_owner() -> None:
    def f(x: Any) -> Any:
        y = x[1:].reshape(1, 3).T
        y[0, 0] = 7
        y += 1
        return x.sum()

    x = np.arange(4.0)
    made = traced(f, x)
    assert [a.path for a in made.written] == ["x"] and isinstance(made.result, ComputedOut)
    total, content = evaluate(made.graph, [x])
    f(x)
    np.testing.assert_array_equal(content, x)
    assert total == x.sum()


def test_a_view_of_a_view_sees_changes_of_the_owner() -> None:
    def f(x: Any) -> Any:
        y = x[::-1][:2]
        x[...] = 5
        return y + 0

    made = traced(f, np.arange(4.0))
    np.testing.assert_array_equal(evaluate(made.graph, [np.arange(4.0)])[0], [5, 5])


def test_local_arrays_may_be_written() -> None:
    def f(n: Any) -> Any:
        out = np.zeros(3)
        out[1] = n
        return out

    made = traced(f, 2.5)
    np.testing.assert_array_equal(evaluate(made.graph, [np.float64(2.5)])[0], [0, 2.5, 0])
    assert not made.written


def test_the_same_memory_is_one_tracer_on_request() -> None:
    x = np.ones(3)
    assert len(traced(lambda a, b: a + b, x, x).graph.params) == 2
    assert len(traced(lambda a, b: a + b, x, x, aliases=True).graph.params) == 1


def test_print_belongs_to_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any, n: Any) -> Any:
        print("running")
        return x.reshape(n, 3)

    made = traced(f, np.ones(6), 2)
    assert capsys.readouterr().out == "" and "print at" in made.graph.nodes[0].attributes["name"]


def test_python_scalars_follow_python() -> None:
    for fn in (lambda a, b: a / b, lambda a, b: a // b, lambda a, b: a % b, lambda a, b: divmod(a, b),
               lambda a, b: a ** 2 - b, lambda a, b: (a > b) + 1, lambda a, b: -(a == b), lambda a, b: a & b | 1,
               lambda a, b: max(a, b) - min(a, b), lambda a, b: round(a / b, 1), lambda a, b: int(a / b)):
        for a, b in ((7, 3), (-7, 3), (7, -3)):
            made = traced(fn, a, b)
            found = evaluate(made.graph, [np.int64(a), np.int64(b)])
            expected = fn(a, b)
            expected = expected if isinstance(expected, tuple) else (expected,)
            assert [f.item() for f in found] == pytest.approx(list(expected))
            assert [type(f.item()) for f in found] == [type(e) for e in expected]


def test_a_division_by_zero_is_checked_when_it_runs() -> None:
    made = traced(lambda a, b: a // b, 1, 2)
    with pytest.raises(ZeroDivisionError):
        evaluate(made.graph, [np.int64(1), np.int64(0)])


def test_assertions_format_their_values() -> None:
    def f(x: Any) -> Any:
        assert x[0] > 0, f"{{first}} is {x[0]:.1f}"
        return x

    made = traced(f, np.ones(2))
    with pytest.raises(AssertionError, match=r"\{first\} is -2.0"):
        evaluate(made.graph, [np.array([-2.0, 1.0])])


def test_three_hundred_ops_trace_quickly() -> None:
    import time

    def f(x: Any, y: Any) -> Any:
        def step(x: Any, i: Any) -> Any:
            return np.maximum(x * y + i, y)

        for i in [*range(3)] * 33 + [None]:     # a list that holds more than numbers is unrolled
            x = step(x, i or 4)
        return x

    call = Call(f, (np.ones(4), np.ones(4)), {}, ["x", "y"])
    trace(call, exact)
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        made = trace(call, exact)
        best = min(best, time.perf_counter() - start)
    assert len(made.graph.nodes) >= 300 and best < 0.1    # 10 ms on an idle machine
