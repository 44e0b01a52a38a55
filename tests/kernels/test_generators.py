"""The text of the kernels that generators make, one small program each, and of whole programs.

Flows in: short graphs.  Flows out: golden text.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.compiled.test_compiled_control import IN_PLACE
from tests.passes.examples import graph, number
from tests.passes.test_fuse import EXAMPLES as FUSED
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.entry import build_program
from tracejit.xla_lite.interface import Interface, OutputPlace, ParamPlace, output_sizes
from tracejit.xla_lite.kernels.kernel_ir import Program
from tracejit.xla_lite.kernels.printer import print_kernel, print_program
from tracejit.xla_lite.kernels.verify import verify_program
from tracejit.xla_lite.passes.pipeline import optimise

DOT = "dot_general(%0, %1, lhs_batch=(), lhs_contract=(1,), rhs_batch=(), rhs_contract=(0,))"
CONVOLUTION = ("convolution(%0, %1, dims='{}', strides=(1, 1), padding=((0, 0), (0, 0)), lhs_dilation=(1, 1), "
               "rhs_dilation=(1, 1))")
WINDOWS = ("window=(1, 2, 2, 1), strides=(1, 2, 2, 1), padding=((0, 0), (0, 0), (0, 1), (0, 0)), "
           "window_dilation=(1, 1, 1, 1)")

KERNELS = {
    "elementwise_1d": graph("f32[n] f32[n]", "f32[n] = multiply(%0, %1)", "f32[n] = add(%2, %1)"),
    "elementwise_2d": graph("f32[30,50]", "f32[50,30] = transpose(%0, permutation=(1, 0))", "f32[50,30] = negate(%1)"),
    "elementwise_collapsed": graph("f32[30,50] f32[30,50]", "f32[30,50] = add(%0, %1)"),
    "elementwise_broadcast": graph("f32[30,50] f32[50]", "f32[30,50] = broadcast_in_dim(%1, shape=(30, 50), dims=(1,))",
                                   "f32[30,50] = add(%0, %2)"),
    "elementwise_short_last_axis": graph("f32[5000,3] f32[3]", "f32[5000,3] = broadcast_in_dim(%1, shape=(5000, 3), "
                                         "dims=(1,))", "f32[5000,3] = multiply(%0, %2)"),
    "rows_short": graph("f32[5000,3]", "f32[5000] = reduce_sum(%0, axes=(1,))"),
    "rows_long": graph("f32[8,500]", "f32[8] = reduce_max(%0, axes=(1,))"),
    "rows_with_kept_values": FUSED["softmax"],
    "full_with_siblings": FUSED["siblings"],
    "columns": FUSED["column_sums_with_epilogue"],
    "mixed": graph("f32[4,5,6]", "f32[5] = reduce_sum(%0, axes=(0, 2))"),
    "cumulative": graph("f32[9000]", "f32[9000] = cumulative_sum(%0, axis=0, reverse=False)"),
    "cumulative_reversed_columns": graph("f32[9,40]", "f32[9,40] = cumulative_max(%0, axis=0, reverse=True)"),
    "scatter": graph("f32[9] f32[4] i64[4]", "f32[9] = scatter(%0, %1, %2, axes=(0,), combine='add')"),
    "pad": graph("f32[9] f32[]", "f32[21] = pad(%0, %1, low=(2,), high=(2,), interior=(1,))"),
    "concatenate": FUSED["concatenate"],
    "sort": graph("i32[4,9]", "i32[4,9] = sort(%0, axis=1, num_keys=1, descending=False)"),
    "product_small": graph("f32[4,5] f32[5,6]", f"f32[4,6] = {DOT}"),
    "product": graph("i32[n,50] i32[50,60]", f"i32[n,60] = {DOT}"),
    "product_by_blas": graph("c64[n,50] c64[50,60]", f"c64[n,60] = {DOT}"),
    "product_in_blocks": graph("f32[n,50] f32[50,60]", f"f32[n,60] = {DOT}"),
    "product_with_followers": FUSED["product"],
    "convolution": graph("f32[n,6,8,3] f32[3,3,3,20]", f"f32[n,4,6,20] = {CONVOLUTION.format('b01i,01io->b01o')}"),
    "convolution_in_blocks": graph("f32[n,14,18,5] f32[n,12,16,40]",
                                   f"f32[3,3,5,40] = {CONVOLUTION.format('b01i,b01o->01io')}"),
    "reduce_window": graph("f32[n,6,7,20] f32[20]", "f32[n,6,7,20] = broadcast_in_dim(%1, shape=(n, 6, 7, 20), "
                           "dims=(3,))", "f32[n,6,7,20] = add(%0, %2)", "f32[n,3,4,20] = reduce_window(%3, "
                           f"combine='maximum', base_dilation=(1, 1, 1, 1), {WINDOWS})"),
    "select_and_scatter": graph("f32[n,6,7,20] f32[n,3,4,20]",
                                f"f32[n,6,7,20] = select_and_scatter(%0, %1, select='maximum', {WINDOWS})"),
    "complex_product": graph("c64[9] c64[9]", "c64[9] = multiply(%0, %1)"),
}

PROGRAMS = {
    "attempt": IN_PLACE.replace("dynamic_update_slice(%0, %3, %2)", "dynamic_update_slice(%0, %3, %1)"),
    "arena_is_used_again": graph("f32[40]", *[f"f32[40] = cumulative_sum(%{i}, axis=0, reverse={i % 2 == 0})"
                                              for i in range(4)]),
    "takeover": graph("f32[40]", "f32[40] = cumulative_sum(%0, axis=0, reverse=False)", "f32[40] = sine(%1)",
                      "f32[40] = cumulative_sum(%2, axis=0, reverse=True)"),
    "compact_indices": """
graph(%0: bool[9], %1: f32[9]) {
  %2: i64[9] = convert(%0, dtype=i64)
  %3: i64[] = reduce_sum(%2, axes=(0,))
  %4: i64[] = bind_dim(%3, dim='u0')
  %5: i64[u0] = compact_indices(%0, size=u0)
  %6: f32[u0] = gather(%1, %5, axes=(0,))
  return %6
}""",
    "assert": """
graph(%0: i64[], %1: f32[9]) {
  %2: i64[] = constant(type=i64[], value=9)
  %3: bool[] = compare(%0, %2, direction='LT')
  assert(%3, %0, exception='IndexError', message='index {0}')
  %4: f32[1] = dynamic_slice(%1, %0, sizes=(1,))
  return %4
}""",
    "while": FUSED["while_body"],
    "for_updates_in_place": """
graph(%0: i64[], %1: f32[9], %2: f32[1]) {
  %3: i64[] = constant(type=i64[], value=1)
  %4: f32[9] = for(%3, %0, %3, %1, %2, carries=1)
    body = graph(%0: i64[], %1: f32[9], %2: f32[1]) {
      %3: f32[9] = dynamic_update_slice(%1, %2, %0)
      return %3
    }
  return %4
}""",
    "case": """
graph(%0: i64[], %1: f32[9]) {
  %2: f32[9] = case(%0, %1)
    branches0 = graph(%0: f32[9]) {
      %1: f32[9] = sine(%0)
      return %1
    }
    branches1 = graph(%0: f32[9]) {
      return %0
    }
  return %2
}""",
}


def lowered(graph: Graph, strided: Sequence[int] = (), written: int = -1, blas: bool = False) -> Program:
    """The program of a graph; output 0 may overwrite parameter `written`."""
    at, params = 8, []
    for i, value in enumerate(graph.params):
        params.append(ParamPlace("array", at, at + 1 if i in strided else None))
        at += 1 + (value.rank if i in strided else 0)
    dims = sorted({s for p in graph.params for s in p.type.symbols()})
    outputs = [OutputPlace("new", k) if k or written < 0 else OutputPlace("write_back", param=written)
               for k in range(len(graph.outputs))]
    interface = Interface(tuple(params), tuple(outputs), {d: at + i for i, d in enumerate(dims)}, at + len(dims), ())
    sizes = output_sizes(graph, interface)
    program, _, _ = build_program(optimise(graph), interface, sizes, {"tj_cgemm": 64} if blas else {}, True)
    verify_program(program)
    return program


def kernels(program: Program) -> str:
    return "\n".join(map(print_kernel, program.kernels))


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"kernels/{name}", kernels(lowered(parse_graph(KERNELS[name]), blas=name.endswith("blas"))))


def test_kernel_over_strides(golden: Callable[[str, str], None]) -> None:
    golden("kernels/elementwise_strided", kernels(lowered(parse_graph(KERNELS["elementwise_collapsed"]), [0])))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"program/{name}", print_program(lowered(parse_graph(PROGRAMS[name]))))


@pytest.mark.parametrize(("name", "strided"), [("write_back", []), ("write_back_by_copy", [0])])
def test_write_back(name: str, strided: list[int], golden: Callable[[str, str], None]) -> None:
    update = graph("f32[4,9] f32[4,9]", number("0.5", "f32[4,9]"), "f32[4,9] = multiply(%1, %2)",
                   "f32[4,9] = subtract(%0, %3)")
    golden(f"program/{name}", print_program(lowered(parse_graph(update), strided, written=0)))
