"""Every op that has a derivative: forward mode against differences, reverse mode against forward mode; second order,
lanes of derivatives, narrow types."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.ops.cases import draw_inputs
from tests.transforms.gradients import Array, check_gradients, is_inexact, random_like
from tracejit import ops  # noqa: F401
from tracejit.base.dtypes import C128, F64, DType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.op import OPS, Case, Op
from tracejit.transforms.batching import vmap
from tracejit.transforms.forward import jvp
from tracejit.transforms.reverse import joint

WIDE = (F64, C128)
NARROW = {"f32": ("f64", 1e-4), "f16": ("f64", 0.02), "bf16": ("f64", 0.07), "c64": ("c128", 1e-4)}
LANES, FEW = 3, 6

# Ops without generated cases, by the reason.
BY_HAND = {
    "regions: test_control_gradients.py, tests/gradients": "while for case try custom checkpoint",
    "made after differentiation": "fusion",
    "its cotangent is that of other bits": "bitcast_convert",
    "stops derivatives, which tests/gradients/test_transforms.py tests": "stop_gradient",
    "stacks: tests/gradients": "stack_new stack_push stack_extend stack_pop stack_get stack_set stack_remove "
                               "stack_insert stack_length stack_truncate stack_array stack_companion "
                               "stack_release",
    "has no derivative, which is an error": "host_call on_host print assert raise bind_dim geqrf",
    "has no operands": "constant iota dimension empty",
    "integers or truth values": "and or xor not shift_left shift_right population_count gcd lcm reduce_and reduce_or "
                                "compact_indices",
}


def differentiable_cases(full: bool = True) -> Iterator[Any]:
    for op in OPS.values():
        if op.gradient is None or op.kind in ("control", "effect") or op.name in names(BY_HAND):
            continue
        for k, (types, attributes) in enumerate(op.cases(full=full)):
            wide = [t for t in types if t.dtype.is_inexact]
            if wide and all(t.dtype in WIDE for t in wide) and attributes.get("dtype", F64) in WIDE:
                yield pytest.param(op, (types, attributes), id=f"{op.name}-{k}")


def few_cases() -> Iterator[Any]:
    """The first ones of each op; the others are marked `full`."""
    counts: dict[str, int] = {}
    for param in differentiable_cases(full=False):
        name = param.values[0].name
        counts[name] = counts.get(name, 0) + 1
        yield pytest.param(*param.values, id=param.id, marks=[pytest.mark.full] * (counts[name] > FEW))


def names(reasons: dict[str, str]) -> set[str]:
    return set(" ".join(reasons.values()).split())


def graph_of(op: Op, case: Case) -> Graph:
    graph = Graph(case[0])
    graph.outputs = graph.emit(op, graph.params, dict(case[1]))
    return graph


def derivatives_of(graph: Graph, point: list[Array], rng: np.random.Generator) -> Iterator[tuple[Graph, list[Array]]]:
    """The graphs of forward and of reverse mode, with what they take."""
    active, flags = [is_inexact(x) for x in point], [v.dtype.is_inexact for v in graph.outputs]
    yield jvp(graph, active, flags)[0], [*point, *(random_like(x, rng) for x, a in zip(point, active) if a)]
    outputs = [x for x, f in zip(evaluate(graph, point), flags, strict=True) if f]
    yield joint(graph, active, flags).graph, [*point, *(random_like(x, rng) for x in outputs)]


def test_every_op_is_tested_or_has_a_reason() -> None:
    tested = {param.values[0].name for param in differentiable_cases()}
    assert set(OPS) - tested == names(BY_HAND)
    refused = {"host_call", "on_host", "print", "assert", "raise", "bind_dim", "fusion", "geqrf"}
    assert {op.name for op in OPS.values() if op.gradient is None} == refused


@pytest.mark.parametrize(("op", "case"), list(differentiable_cases()))
def test_derivatives_agree_with_differences(op: Op, case: Case) -> None:
    rng = np.random.default_rng(7)
    check_gradients(graph_of(op, case), draw_inputs(op, case, rng), rng)


@pytest.mark.parametrize(("op", "case"), list(few_cases()))
def test_second_derivatives_agree_with_differences(op: Op, case: Case) -> None:
    rng = np.random.default_rng(7)
    point = draw_inputs(op, case, rng)
    if any(v.dtype.is_inexact for v in graph_of(op, case).outputs):
        for graph, where in derivatives_of(graph_of(op, case), point, rng):
            check_gradients(graph, where, rng, rtol=1e-4)


@pytest.mark.parametrize(("op", "case"), list(few_cases()))
def test_lanes_of_derivatives_are_derivatives_of_lanes(op: Op, case: Case) -> None:
    """All operands in lanes; the tangents or cotangents alone, as for jacobians; the primals alone."""
    rng = np.random.default_rng(7)
    graph = graph_of(op, case)
    if not any(v.dtype.is_inexact for v in graph.outputs):
        return
    count = len(graph.params)
    draws = [list(derivatives_of(graph, draw_inputs(op, case, rng), rng)) for _ in range(LANES)]
    for mode in range(2):
        made = draws[0][mode][0]
        rest = len(made.params) - count
        for batched in ([True] * (count + rest), [False] * count + [True] * rest, [True] * count + [False] * rest):
            columns = zip(zip(*(draw[mode][1] for draw in draws), strict=True), batched, strict=True)
            check_lanes(made, [np.stack(c) if b else c[0] for c, b in columns], batched)


def check_lanes(graph: Graph, arrays: list[Array], batched: list[bool]) -> None:
    made, _ = vmap(graph, batched, LANES, [True] * len(graph.outputs))
    results = evaluate(made, arrays)
    for lane in range(LANES):
        single = evaluate(graph, [a[lane] if b else a for a, b in zip(arrays, batched, strict=True)])
        for whole, one in zip(results, single, strict=True):
            np.testing.assert_allclose(whole[lane], one, rtol=1e-9, atol=1e-12)


def narrow_cases() -> Iterator[Any]:
    for op in OPS.values():
        if op.gradient is None or op.kind in ("control", "effect") or op.name in names(BY_HAND):
            continue
        for k, (types, attributes) in enumerate(op.cases()):
            inexact = [t.dtype.name for t in types if t.dtype.is_inexact]
            if set(inexact) & set(NARROW) and attributes.get("dtype", F64).is_inexact:
                yield pytest.param(op, (types, attributes), id=f"{op.name}-{k}-{inexact[0]}")


@pytest.mark.parametrize(("op", "case"), list(narrow_cases()))
def test_derivatives_in_narrow_types_are_those_of_wide_ones(op: Op, case: Case) -> None:
    rng = np.random.default_rng(7)
    types, attributes = case
    graph, point = graph_of(op, case), draw_inputs(op, case, rng)
    wider = {**attributes, **({"dtype": widened(attributes["dtype"])} if "dtype" in attributes else {})}
    wide = graph_of(op, (tuple(t.with_dtype(widened(t.dtype)) for t in types), wider))
    flags = [v.dtype.is_inexact for v in graph.outputs]
    if not any(flags):
        return
    active = [t.dtype.is_inexact for t in types]
    cts = [random_like(np.zeros(v.shape, v.dtype.numpy), rng) for v in graph.outputs if v.dtype.is_inexact]
    both, expected = joint(graph, active, flags).graph, joint(wide, active, flags).graph
    arrays = [np.asarray(x).astype(p.dtype.numpy) for x, p in zip([*point, *cts], expected.params, strict=True)]
    for found, exact, output in zip(evaluate(both, [*point, *cts]), evaluate(expected, arrays), both.outputs,
                                    strict=True):
        rtol = max(NARROW.get(d.name, ("", 0.0))[1] for d in (output.dtype, *(t.dtype for t in types)))
        scale = max(1.0, float(np.max(np.abs(exact), initial=0)))
        np.testing.assert_allclose(np.asarray(found).astype(exact.dtype), exact, rtol=rtol, atol=rtol * scale)


def widened(dtype: DType) -> DType:
    return DType.parse(NARROW.get(dtype.name, (dtype.name, 0.0))[0])
