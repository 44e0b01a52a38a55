"""Random graphs: native code against the evaluator, one thread and two, in check mode too."""
from __future__ import annotations

import numpy as np
import pytest

from tests.compiled.random_graphs import SIZES, random_graph, random_inputs
from tracejit.base.options import options
from tracejit.ir.evaluator import evaluate
from tracejit.xla_lite.replay import compile_for_arrays, run


def agree(seed: int, size: int) -> None:
    graph = random_graph(seed, size)
    inputs = random_inputs(graph, seed)
    expected = evaluate(graph, inputs, SIZES)
    found = run(compile_for_arrays(graph), inputs, SIZES)
    for got, wanted in zip(found, expected, strict=True):
        finite = np.abs(wanted[np.isfinite(wanted)]) if wanted.dtype.kind == "f" else np.zeros(0)
        scale = float(np.max(finite, initial=1.0))
        single = any(v.dtype.name == "f32" for n in graph.nodes for v in n.results) or wanted.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=2e-3 if single else 1e-9, atol=scale * (1e-4 if single else 1e-11),
                                   err_msg=f"seed {seed}, size {size}\n{graph}")


@pytest.mark.parametrize("seed", range(60))
def test_random_graph_equals_evaluator(seed: int) -> None:
    agree(seed, 4 + seed % 16)


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_random_graph_in_check_mode(seed: int) -> None:
    with options(check=True):
        agree(seed, 4 + seed % 16)


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(25))
def test_many_random_graphs(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        with options(check=seed % 5 == 0):
            agree(seed, 4 + seed % 20)
