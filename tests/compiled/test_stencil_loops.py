"""Loops over whole arrays that read neighbours, against the evaluator: in place, with two buffers, swapped."""
from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tracejit.base.options import options
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.xla_lite.kernels.kernel_ir import Call, Loop, statements
from tracejit.xla_lite.replay import compile_for_arrays, run


def loop(carries: str, body: str, outputs: str, invariants: str = "", kind: str = "for") -> Graph:
    """A counted loop: parameter 0 is the number of trips, carried arrays and invariants are the others.

    In `body`, values are named by words; `i` is the index, `p0, p1, ...` are carries and invariants.
    """
    types, fixed = carries.split(), invariants.split()
    params = ", ".join(f"%{k + 1}: {t}" for k, t in enumerate(types + fixed))
    n = len(types + fixed) + 1
    results = ", ".join(f"%{n + 2 + k}: {t}" for k, t in enumerate(types))
    operands = ", ".join(f"%{k + 1}" for k in range(n - 1))
    lines = [line.strip() for line in body.strip().splitlines()]
    names = {f"p{k}": f"%{k + 1}" for k in range(n - 1)} | {"i": "%0"}
    made = []
    for k, line in enumerate(lines):
        name, rest = line.split(":", 1)
        made.append(f"      %{n + k}:" + _numbered(rest, names))
        names[name] = f"%{n + k}"
    inner = ", ".join(f"%{k + 1}: {t}" for k, t in enumerate(types + fixed))
    gives = ", ".join(names[o] for o in outputs.split())
    finals = ", ".join(f"%{n + 2 + k}" for k in range(len(types)))
    text = f"""graph(%0: i64[], {params}) {{
  %{n}: i64[] = constant(type=i64[], value=0)
  %{n + 1}: i64[] = constant(type=i64[], value=1)
  {results} = for(%{n}, %0, %{n + 1}, {operands}, carries={len(types)})
    body = graph(%0: i64[], {inner}) {{
""" + "\n".join(made) + f"\n      return {gives}\n    }}\n  return {finals}\n}}"
    return parse_graph(text)


def _numbered(text: str, names: dict[str, str]) -> str:
    head, call = text.split("(", 1)
    words = call.split(",")
    renamed = [w.replace(w.strip().rstrip(")"), names[w.strip().rstrip(")")], 1)
               if w.strip().rstrip(")") in names else w for w in words]
    return head + "(" + ",".join(renamed)


def check(graph: Graph, *arrays: object) -> None:
    for trips in (0, 1, 2, 3, 6):
        expected = evaluate(graph, (np.int64(trips), *arrays))
        for checked in (False, True):
            with options(check=checked):
                found = run(compile_for_arrays(graph), (np.int64(trips), *arrays))
            for got, wanted in zip(found, expected, strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-12, err_msg=f"{trips} trips")


def drawn(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(len(shape)).uniform(-1, 1, shape)


HEAT = """one: i64[] = constant(type=i64[], value=1)
up: f64[7,5] = slice(p0, start=(0, 1), limit=(7, 6), stride=(1, 1))
down: f64[7,5] = slice(p0, start=(2, 1), limit=(9, 6), stride=(1, 1))
here: f64[7,5] = slice(p0, start=(1, 1), limit=(8, 6), stride=(1, 1))
sum: f64[7,5] = add(up, down)
new: f64[7,5] = subtract(sum, here)
u: f64[9,7] = dynamic_update_slice(p0, new, one, one)"""


def test_interior_update_that_reads_neighbours() -> None:
    check(loop("f64[9,7]", HEAT, "u"), drawn(9, 7))


def test_update_aligned_with_its_reads() -> None:
    check(loop("f64[9]", """one: i64[] = constant(type=i64[], value=1)
here: f64[8] = slice(p0, start=(1,), limit=(9,), stride=(1,))
other: f64[8] = slice(p1, start=(0,), limit=(8,), stride=(1,))
new: f64[8] = multiply(here, other)
u: f64[9] = dynamic_update_slice(p0, new, one)""", "u", "f64[9]"), drawn(9), drawn(9))


def test_two_arrays_change_places() -> None:
    check(loop("f64[9] f64[9]", """one: i64[] = constant(type=i64[], value=1)
left: f64[7] = slice(p0, start=(0,), limit=(7,), stride=(1,))
right: f64[7] = slice(p0, start=(2,), limit=(9,), stride=(1,))
new: f64[7] = add(left, right)
v: f64[9] = dynamic_update_slice(p1, new, one)""", "v p0"), drawn(9), drawn(9) + 1)


def test_whole_array_that_reads_neighbours() -> None:
    check(loop("f64[9]", """a: f64[1] = slice(p0, start=(8,), limit=(9,), stride=(1,))
b: f64[8] = slice(p0, start=(0,), limit=(8,), stride=(1,))
turned: f64[9] = concatenate(a, b, axis=0)
u: f64[9] = add(turned, p0)""", "u"), drawn(9))


def test_three_arrays_turn_round() -> None:
    check(loop("f64[4] f64[4] f64[4]", "t: f64[4] = sine(p0)", "p1 p2 t"), drawn(4), drawn(4) + 1, drawn(4) + 2)


def test_one_array_goes_to_two() -> None:
    check(loop("f64[4] f64[4]", "t: f64[4] = reverse(p0, axes=(0,))", "t t"), drawn(4), drawn(4) + 1)
    check(loop("f64[4] f64[4]", "t: f64[4] = sine(p0)", "p1 p1"), drawn(4), drawn(4) + 1)


BOUNDARY = HEAT + """
row: f64[1,7] = slice(u, start=(1, 0), limit=(2, 7), stride=(1, 1))
twice: f64[1,7] = add(row, row)
zero: i64[] = constant(type=i64[], value=0)
w: f64[9,7] = dynamic_update_slice(u, twice, zero, zero)"""


def test_boundary_is_set_after_the_interior() -> None:
    check(loop("f64[9,7]", BOUNDARY, "w"), drawn(9, 7))


def test_boundary_is_set_before_the_interior() -> None:
    check(loop("f64[9,7]", """zero: i64[] = constant(type=i64[], value=0)
row: f64[1,7] = slice(p0, start=(4, 0), limit=(5, 7), stride=(1, 1))
twice: f64[1,7] = add(row, row)
w: f64[9,7] = dynamic_update_slice(p0, twice, zero, zero)
""" + HEAT.replace("p0", "w"), "u"), drawn(9, 7))


def test_two_sweeps_in_one_round() -> None:
    again = HEAT.replace("p0", "u")
    for name in ("one", "up", "down", "here", "sum", "new", "u"):
        again = again.replace(f"\n{name}:", f"\n{name}2:").replace(f"{name}: i64", f"{name}2: i64")
    again = again.replace("u2: f64[9,7] = dynamic_update_slice(u, new,", "u2: f64[9,7] = dynamic_update_slice(u, new2,")
    again = again.replace("add(up, down)", "add(up2, down2)").replace("subtract(sum, here)", "subtract(sum2, here2)")
    check(loop("f64[9,7]", HEAT + "\n" + again, "u2"), drawn(9, 7))


def test_row_that_reads_another_row() -> None:
    check(loop("f64[9,3]", """zero: i64[] = constant(type=i64[], value=0)
one: i64[] = constant(type=i64[], value=1)
next: i64[] = add(i, one)
row: f64[1,3] = dynamic_slice(p0, i, zero, sizes=(1, 3))
new: f64[1,3] = sine(row)
u: f64[9,3] = dynamic_update_slice(p0, new, next, zero)""", "u"), drawn(9, 3))


def calls_in_loop(graph: Graph) -> list[str]:
    """Kernels that one round of the loop calls."""
    (made,) = [s for s in compile_for_arrays(graph).stages.program.main.body if isinstance(s, Loop)]
    return [s.function for s in statements(made.body) if isinstance(s, Call)]


@pytest.mark.parametrize(("carries", "body", "outputs"), [
    ("f64[9,7]", HEAT, "u"),
    ("f64[9]", "t: f64[9] = reverse(p0, axes=(0,))", "t"),
    ("f64[9] f64[9]", "t: f64[9] = reverse(p0, axes=(0,))", "t p0"),
    ("f64[9] f64[9]", "t: f64[9] = reverse(p0, axes=(0,))", "p1 t")])
def test_a_round_copies_nothing(carries: str, body: str, outputs: str) -> None:
    assert len(calls_in_loop(loop(carries, body, outputs))) == 1


ELIMINATION = """zero: i64[] = constant(type=i64[], value=0)
two: i64[] = constant(type=i64[], value=2)
pivot: f64[] = gather(p0, i, zero, axes=(0, 1))
row: f64[1,5] = dynamic_slice(p0, OTHER, two, sizes=(1, 5))
here: f64[1,5] = dynamic_slice(p0, i, two, sizes=(1, 5))
factor: f64[1,5] = broadcast_in_dim(pivot, shape=(1, 5), dims=())
part: f64[1,5] = multiply(factor, row)
new: f64[1,5] = subtract(here, part)
u: f64[9,7] = dynamic_update_slice(p0, new, i, two)"""


@pytest.mark.parametrize("other", ["i", "zero", "two"])
def test_a_row_minus_a_multiple_of_another_is_computed_in_place(other: str) -> None:
    graph = loop("f64[9,7]", ELIMINATION.replace("OTHER", other), "u")
    check(graph, drawn(9, 7))
    assert len(calls_in_loop(graph)) == 1


def test_a_row_of_other_columns_is_read_before() -> None:
    graph = loop("f64[9,7]", ELIMINATION.replace("OTHER, two", "two, zero"), "u")
    check(graph, drawn(9, 7))
    assert len(calls_in_loop(graph)) > 1
