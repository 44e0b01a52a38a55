"""The pass manager: order, facts, verification, blame; and the two simplest passes."""
from __future__ import annotations

import pytest

from tests.passes.examples import graph
from tracejit.base.errors import InternalError
from tracejit.base.options import options
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.passes.cse import merge_equal_nodes
from tracejit.xla_lite.passes.dce import eliminate_dead_code
from tracejit.xla_lite.passes.manager import graph_pass, run_passes


@graph_pass(needs=("magic",))
def needs_magic(graph: Graph) -> Graph:
    """Never runs."""
    return graph


@graph_pass()
def raises(graph: Graph) -> Graph:
    """A pass with a bug."""
    raise KeyError("lost")


@graph_pass()
def changes_outputs(graph: Graph) -> Graph:
    """A pass that breaks the contract."""
    made = Graph([p.type for p in graph.params])
    return made


def example() -> Graph:
    return parse_graph(graph("f32[2]", "f32[2] = sine(%0)", "f32[2] = negate(%0)"))


def test_a_pass_whose_needs_are_not_established_is_refused() -> None:
    with pytest.raises(InternalError, match="pass `needs_magic` needs .'magic'."):
        run_passes(example(), [needs_magic])


def test_a_failing_pass_is_named_with_the_graph_before_it() -> None:
    with pytest.raises(InternalError, match=r"(?s)pass `raises` failed: KeyError: 'lost'.*negate"):
        run_passes(example(), [eliminate_dead_code, raises])


def test_a_pass_that_changes_output_types_is_named() -> None:
    with options(verify=True), pytest.raises(InternalError, match="pass `changes_outputs` failed: types of outputs"):
        run_passes(example(), [changes_outputs])


def test_the_observer_sees_passes_that_changed_something() -> None:
    seen: list[str] = []
    after = run_passes(example(), [merge_equal_nodes, eliminate_dead_code], lambda name, g: seen.append(name))
    assert seen == ["eliminate_dead_code"]
    assert [n.op.name for n in after.nodes] == ["negate"]


def test_dead_code_goes_also_in_regions_and_a_clean_graph_is_the_same_object() -> None:
    text = """
graph(%0: bool[], %1: f32[]) {
  %2: f32[] = case(%0, %1)
    branches0 = graph(%0: f32[]) {
      %1: f32[] = sine(%0)
      return %0
    }
    branches1 = graph(%0: f32[]) {
      %1: f32[] = sine(%0)
      return %1
    }
  return %2
}
"""
    after = eliminate_dead_code(parse_graph(text))
    first, second = after.nodes[0].attributes["branches"]
    assert len(first.nodes) == 0 and len(second.nodes) == 1
    assert eliminate_dead_code(after) is after


def test_equal_nodes_are_merged_and_a_graph_without_them_is_the_same_object() -> None:
    made = parse_graph(graph("f32[2]", "f32[2] = sine(%0)", "f32[2] = negate(%1)"))
    assert merge_equal_nodes(made) is made
    apart = Graph([p.type for p in made.params])
    for _ in range(2):      # as put together of parts: interning is bypassed
        apart._interned.clear()
        apart.outputs += apart.inline(made, apart.params)
    assert len(apart.nodes) == 4
    merged = merge_equal_nodes(apart)
    assert len(merged.nodes) == 2 and merged.outputs[0] is merged.outputs[1]
