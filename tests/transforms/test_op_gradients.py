"""Every op that has a derivative: forward mode against differences, reverse mode against forward mode."""
from __future__ import annotations

import numpy as np
import pytest

from tests.ops.cases import draw_inputs
from tests.transforms.gradients import check_gradients
from tracejit import ops  # noqa: F401
from tracejit.base.dtypes import C128, F64
from tracejit.ir.graph import Graph
from tracejit.ir.op import OPS

WIDE = (F64, C128)
NOT_CONTINUOUS = ("bitcast_convert", "stop_gradient")


def differentiable_cases():
    for op in OPS.values():
        if op.name in NOT_CONTINUOUS:
            continue
        if op.gradient is None or op.kind == "control":
            continue
        for k, (types, attributes) in enumerate(op.cases(full=True)):
            wide = [t for t in types if t.dtype.is_inexact]
            if wide and all(t.dtype in WIDE for t in wide) and attributes.get("dtype", F64) in WIDE:
                yield pytest.param(op, types, attributes, id=f"{op.name}-{k}")


@pytest.mark.parametrize("op, types, attributes", list(differentiable_cases()))
def test_derivatives_agree_with_differences(op, types, attributes):
    rng = np.random.default_rng(7)
    graph = Graph(types)
    graph.outputs = graph.emit(op, graph.params, dict(attributes))
    check_gradients(graph, draw_inputs(op, (types, attributes), rng), rng)
