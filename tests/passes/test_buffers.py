"""The plan of buffers: live values apart, memory used again, write-backs only where nothing can go wrong.

Flows in: random graphs and small ones.  Flows out: facts about places.
"""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compiled.random_graphs import random_graph
from tests.compiled.random_programs import random_program
from tests.passes.examples import graph
from tracejit.base.dims import Dim
from tracejit.ir.graph import Graph, Value
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.passes.buffers import plan_buffers
from tracejit.xla_lite.passes.pipeline import optimise
from tracejit.xla_lite.passes.plan import Arena, Place, Plan, Target, byte_size


def holder(value: Value, plan: Plan) -> Value:
    """The value whose memory it is."""
    place = plan.places[value]
    while place.kind in ("alias", "takeover") and place.of is not None:
        value, place = place.of, plan.places[place.of]
    return value


def lifetimes(fused: Graph, plan: Plan) -> dict[Value, tuple[int, int]]:
    """Per block of the arena: from the node that makes it to the last one that reads any value in it."""
    last = {}
    for i, node in enumerate(fused.nodes):
        last.update((v, i) for v in (*node.operands, *node.results))
    last.update((v, len(fused.nodes)) for v in fused.outputs)
    spans: dict[Value, tuple[int, int]] = {}
    for i, node in enumerate(fused.nodes):
        for value in node.results:
            base = holder(value, plan)
            if plan.places[base].kind == "arena":
                spans[base] = (spans.get(base, (i, i))[0], max(spans.get(base, (i, i))[1], last[value]))
    return spans


def check_apart(fused: Graph, plan: Plan) -> None:
    """Two blocks that live at one time share no byte; blocks of symbolic size are equal or apart."""
    spans = list(lifetimes(fused, plan).items())
    for k, (x, (x_first, x_last)) in enumerate(spans):
        for y, (y_first, y_last) in spans[:k]:
            if x_first <= y_last and y_first <= x_last:
                assert not overlap(plan.places[x], x, plan.places[y], y), f"{x} and {y} overlap"


def overlap(p: Place, x: Value, q: Place, y: Value) -> bool:
    if all(isinstance(n, int) for n in (p.offset, q.offset, byte_size(x), byte_size(y))):
        return p.offset < q.offset + byte_size(y) and q.offset < p.offset + byte_size(x)  # type: ignore[operator]
    return bool(p.offset == q.offset and byte_size(x) != 0)


def regions(fused: Graph, plan: Plan) -> Iterator[tuple[Graph, Plan]]:
    yield fused, plan
    for node in fused.nodes:
        for name, region in node.regions():
            if (node, name) in plan.regions:
                yield from regions(region, plan.regions[node, name][0])


@pytest.mark.parametrize("seed", range(60))
def test_live_values_share_no_memory(seed: int) -> None:
    before = random_graph(seed, 10 + seed % 20) if seed % 2 else random_program(seed, 10 + seed % 20).graph
    fused = optimise(before)
    plan = plan_buffers(fused, [Target()] * len(fused.outputs))
    for inner, inner_plan in regions(fused, plan):
        check_apart(inner, inner_plan)


@pytest.mark.parametrize("seed", range(60))
def test_memory_is_taken_over_only_from_what_dies(seed: int) -> None:
    fused = optimise(random_graph(seed, 10 + seed % 20))
    plan = plan_buffers(fused, [Target()] * len(fused.outputs))
    for i, node in enumerate(fused.nodes):
        for value in node.results:
            place = plan.places[value]
            if place.kind == "takeover" and place.of is not None:
                later = [v for n in fused.nodes[i + 1:] for v in n.operands] + list(fused.outputs)
                assert place.of not in later
                assert byte_size(place.of) == byte_size(value)


def test_symbolic_blocks_are_used_again_by_their_own_size_only() -> None:
    n, m = Dim.symbol("n"), Dim.symbol("m")
    arena = Arena()
    first = arena.take(n * 64)
    arena.give(n * 64, first)
    assert arena.take(m * 64) != first
    assert arena.take(n * 64) == first


def test_freed_neighbours_become_one_block() -> None:
    arena = Arena()
    blocks = [arena.take(64) for _ in range(3)]
    arena.give(64, blocks[0])
    arena.give(64, blocks[1])
    assert arena.take(128) == blocks[0]
    assert arena.total == 192


def kinds(text: str, targets: list[Target]) -> list[str]:
    """Where the outputs are after fusion."""
    fused = optimise(parse_graph(text))
    plan = plan_buffers(fused, targets)
    return [plan.places[v].kind for v in fused.outputs]


UPDATE = graph("f32[9] f32[9]", "f32[9] = add(%0, %1)")


def test_update_of_a_parameter_is_written_straight_to_it() -> None:
    assert kinds(UPDATE, [Target(True, 0)]) == ["target"]


def test_strided_parameter_is_written_by_a_copy() -> None:
    assert kinds(UPDATE, [Target(False, 0)]) == ["arena"]


def test_parameter_that_is_read_elsewhere_is_written_by_a_copy() -> None:
    shifted = graph("f32[9] f32[9]", "f32[9] = reverse(%0, axes=(0,))", "f32[9] = add(%0, %2)")
    assert kinds(shifted, [Target(True, 0)]) == ["arena"]


def test_parameter_that_is_read_later_is_written_by_a_copy() -> None:
    text = """
graph(%0: f32[9,9], %1: f32[9,9]) {
  %2: f32[9,9] = add(%0, %1)
  %3: f32[9,9] = dot_general(%2, %0, lhs_batch=(), lhs_contract=(1,), rhs_batch=(), rhs_contract=(0,))
  return %2, %3
}"""
    assert kinds(text, [Target(True, 0), Target()]) == ["arena", "target"]


CHECKED = """
graph(%0: f32[9], %1: bool[], %2: i64[]) {{
  %3: f32[9] = sine(%0)
  {check}
  return %3
}}"""


def test_nothing_is_written_before_an_assertion() -> None:
    text = CHECKED.format(check="assert(%1, exception='ValueError', message='no')")
    assert kinds(text, [Target(True, 0)]) == ["arena"]


def test_nothing_is_written_before_a_loop_that_may_fail() -> None:
    loop = """%4: i64[] = for(%2, %2, %2, %2, carries=1)
    body = graph(%0: i64[], %1: i64[]) {
      %2: bool[] = compare(%0, %1, direction='LT')
      assert(%2, exception='ValueError', message='no')
      return %0
    }"""
    assert kinds(CHECKED.format(check=loop), [Target(True, 0)]) == ["arena"]


def test_operand_that_is_read_twice_in_two_shapes_is_not_taken_over() -> None:
    text = """
graph(%0: f32[3,4]) {
  %1: f32[3,4] = cumulative_sum(%0, axis=0, reverse=False)
  %2: f32[12] = reshape(%1, shape=(12,))
  %3: f32[12] = reverse(%2, axes=(0,))
  %4: f32[3,4] = reshape(%3, shape=(3, 4))
  %5: f32[3,4] = add(%1, %4)
  %6: f32[3,4] = cumulative_sum(%5, axis=0, reverse=False)
  return %6
}"""
    fused = optimise(parse_graph(text))
    plan = plan_buffers(fused, [Target()])
    assert "takeover" not in [p.kind for p in plan.places.values()]
    check_apart(fused, plan)
