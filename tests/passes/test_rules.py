"""Every rewrite rule on its own small graph: the rule fires, the text is as reviewed, the results are the same."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ops.cases import draw
from tests.passes.examples import EXAMPLES, KEPT
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.passes.canonicalize import RULES, canonicalize
from tracejit.xla_lite.passes.rewriting import Rewriter

SIZES = {"n": 3, "m": 2}
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)


def inputs(graph: Graph, seed: int) -> list[NDArray[Any]]:
    """Drawn arrays; every third float is NaN, infinite or a signed zero."""
    rng = np.random.default_rng(seed)
    arrays = []
    for value in graph.params:
        x = draw(value.type.substitute(SIZES), (-4, 4), rng)
        if x.dtype.kind == "f":
            x = np.where(rng.random(x.shape) < 0.3, rng.choice(SPECIAL, x.shape), x).astype(x.dtype)
        arrays.append(x)
    return arrays


def assert_same(before: Graph, after: Graph, exact: bool, seed: int = 0) -> None:
    arrays = inputs(before, seed)
    for old, new in zip(evaluate(before, arrays, SIZES), evaluate(after, arrays, SIZES), strict=True):
        if exact:
            np.testing.assert_array_equal(new, old)
            if old.dtype.kind == "f":
                number = ~np.isnan(old)
                np.testing.assert_array_equal(np.signbit(new)[number], np.signbit(old)[number])
        else:
            np.testing.assert_allclose(new, old, rtol=1e-6)


def test_every_rule_has_an_example() -> None:
    assert {rule.name for rule in RULES.rules} == {name.split(":")[0] for name in EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_rule(name: str, golden: Callable[[str, str], None]) -> None:
    before = parse_graph(EXAMPLES[name])
    rewriter = Rewriter(before, RULES)
    rewriter.sweep(lambda region: region)
    assert name.split(":")[0] in rewriter.fired
    after = canonicalize(before)
    verify(after)
    golden(f"canonicalize/{name.replace(':', '-')}", f"{before}\n# becomes\n{after}")
    exact = all(rule.exact for rule in RULES.rules if rule.name in rewriter.fired)
    for seed in range(4):
        assert_same(before, after, exact, seed)
    assert canonicalize(after) is after


@pytest.mark.parametrize("name", KEPT)
def test_graph_that_must_stay_is_the_same_object(name: str) -> None:
    graph = parse_graph(KEPT[name])
    assert canonicalize(graph) is graph
