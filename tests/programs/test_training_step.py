"""A training step: traced once, one native call, in the parameters' own memory, and the same bits on any threads."""
from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.programs.training_step import batch, first_params, loss_of, step
from tracejit.ir.evaluator import evaluate
from tracejit.xla_lite.runtime.buffers import buffers

ROOT = Path(__file__).resolve().parents[2]
RATE = np.float32(0.1)


def donating() -> tuple[Any, Any]:
    """A step, and what it updates."""
    params = first_params()
    return tj.function(step, donate="params"), (params, *batch(40), RATE)


def test_results_are_those_of_the_graph_op_by_op() -> None:
    f = tj.function(step)
    arguments = (first_params(), *batch(40), RATE)
    loss, params = f(*arguments)
    record = f.traces[0]
    flat = [a for pair in arguments[0] for a in pair] + [*arguments[1:]]
    expected = evaluate(record.graph, flat)
    found = [loss, *[a for pair in params for a in pair]]
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-6)


def test_donated_parameters_are_updated_where_they_are() -> None:
    f, arguments = donating()
    expected = tj.function(step)(first_params(), *arguments[1:])
    loss, params = f(*arguments)
    assert loss == expected[0]
    for before, after, right in zip(arguments[0], params, expected[1], strict=True):
        for x, y, z in zip(before, after, right, strict=True):
            assert x is y
            np.testing.assert_array_equal(y, z)


def test_the_step_is_traced_once_and_calls_nothing_else() -> None:
    f, arguments = donating()
    for _ in range(3):
        f(*arguments)
    assert len(f.traces) == 1
    text = str(f.explain())
    assert "step: 1 trace" in text and "one native call: " in text and " bytes of temporaries; " in text
    assert "host" not in text
    fused = f.stages(*arguments).fused
    assert {n.op.name for n in fused.nodes if n.op.kind == "contraction"} == set()
    kinds = [n.attributes["kind"] for n in fused.nodes if n.op.name == "fusion"]
    assert kinds.count("product") == 8      # forward, by the weights, and by all activations but the images


def test_updates_of_weights_are_part_of_their_products() -> None:
    f, arguments = donating()
    f(*arguments)
    fused = f.stages(*arguments).fused
    updated = [v.node for v in fused.outputs if v.rank == 2]
    assert len(updated) == 3 and all(n is not None and n.attributes["kind"] == "product" for n in updated)


@pytest.mark.parametrize("size", [40, 300])
def test_nothing_is_allocated_after_the_second_step(size: int) -> None:
    params = first_params()
    f, arguments = tj.function(step, donate="params"), (params, *batch(size), RATE)
    for _ in range(2):
        f(*arguments)
    before = buffers().statistics
    tracemalloc.start()
    try:
        held = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            f(*arguments)
        grown = tracemalloc.get_traced_memory()[0] - held
    finally:
        tracemalloc.stop()
    after = buffers().statistics
    assert (after.misses, after.live) == (before.misses, before.live)
    assert grown < 200


def test_variables_are_updated_in_their_memory() -> None:
    variables = [(tj.Variable(w), tj.Variable(b)) for w, b in first_params()]

    @tj.function
    def train(images: Any, labels: Any) -> Any:
        loss, grads = tj.value_and_grad(loss_of)([(w.value, b.value) for w, b in variables], images, labels)
        for (w, b), (gw, gb) in zip(variables, grads, strict=True):
            w.assign_sub(RATE * gw)
            b.assign_sub(RATE * gb)
        return loss

    images, labels = batch(40)
    memory = [v.array.ctypes.data for pair in variables for v in pair]
    loss = train(images, labels)
    expected = tj.function(step)(first_params(), images, labels, RATE)
    assert loss == expected[0]
    assert [v.array.ctypes.data for pair in variables for v in pair] == memory
    for pair, right in zip(variables, expected[1], strict=True):
        for v, x in zip(pair, right, strict=True):
            np.testing.assert_array_equal(v.array, x)
    train(images, labels)
    before = buffers().statistics
    for _ in range(3):
        train(images, labels)
    assert buffers().statistics.misses == before.misses and len(train.traces) == 1


def test_no_bit_depends_on_the_number_of_threads() -> None:
    command = [sys.executable, "-m", "tests.programs.training_step"]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "TRACEJIT_NUM_THREADS": str(threads)}) for threads in (1, 2, 4)]
    found = {process.communicate(timeout=300)[0] for process in running}
    assert len(found) == 1 and ":" in found.pop()
