"""Every op on operands with a new leading axis: the same as op by op, lane by lane."""
from __future__ import annotations

import numpy as np
import pytest

from tests.ops.cases import draw_inputs
from tracejit import ops  # noqa: F401
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.op import OPS
from tracejit.transforms.batching import vmap

SIZE = 3


def batching_cases():
    for op in OPS.values():
        if op.kind in ("control", "effect", "source") or op.name in ("compact_indices", "empty"):
            continue    # the content of `empty` is nobody's business
        for k, (types, attributes) in enumerate(op.cases()):
            for batched in sorted({(True,) * len(types), (True, *[False] * (len(types) - 1)),
                                   (*[False] * (len(types) - 1), True)}):
                name = f"{op.name}-{k}-{''.join('ft'[b] for b in batched)}"
                yield pytest.param(op, types, attributes, batched, id=name)


@pytest.mark.parametrize("op, types, attributes, batched", list(batching_cases()))
def test_lanes_are_what_single_calls_give(op, types, attributes, batched):
    rng = np.random.default_rng(7)
    graph = Graph(types)
    graph.outputs = graph.emit(op, graph.params, dict(attributes))
    draws = [draw_inputs(op, (types, attributes), rng) for _ in range(SIZE)]
    arrays = [np.stack(column) if b else column[0] for column, b in zip(zip(*draws, strict=True), batched, strict=True)]
    made, flags = vmap(graph, batched, SIZE, [True] * len(graph.outputs))
    results = evaluate(made, arrays)
    assert all(flags)
    for lane in range(SIZE):
        single = evaluate(graph, [a[lane] if b else a for a, b in zip(arrays, batched, strict=True)])
        for whole, one in zip(results, single, strict=True):
            np.testing.assert_allclose(whole[lane].astype(one.dtype), one, rtol=1e-6)
