"""Every op of the table through everything it declares; no op is named in the generated part."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ops.cases import EXTREMES, all_cases, assert_agrees, draw_inputs, graph_of, seed
from tests.ops.numpy_scalars import NumpyScalar, NumpyScalars
from tracejit.base.dtypes import BF16, DTYPES, F64, I64, DType
from tracejit.base.errors import TypeRuleError
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import evaluate, round_to_bf16
from tracejit.ir.op import OPS, Case, Op
from tracejit.ir.parser import parse_graph
from tracejit.ops.declare import Combine, GatherRule, Piecewise, ScatterRule

Array = NDArray[Any]
B = NumpyScalars()

every_case = pytest.mark.parametrize(("op", "case"), all_cases())
STACKS = tuple(f"stack_{name}" for name in ("new push extend insert pop remove get set length truncate array companion "
                                               "release").split())
CONTROL = ("while", "for", "case", "try", "fusion", "custom", "checkpoint", "bind_dim", "assert", "print", "host_call",
           "raise", "on_host", "compact_indices", *STACKS)


def stored(x: NumpyScalar, dtype: DType) -> Array:
    """A scalar rounded to what memory holds."""
    array = x.array.astype(dtype.numpy)
    return round_to_bf16(array) if dtype is BF16 else array


def scalars_of(arrays: list[Array], types: tuple[ArrayType, ...]) -> list[NumpyScalar]:
    return [B.wrap(a, t.dtype.compute) for a, t in zip(arrays, types, strict=True)]


# ---- generated: types, meaning, text ---------------------------------------------------------------------------


@every_case
def test_type_rule_and_text_agree_with_numpy(op: Op, case: Case) -> None:
    graph = graph_of(op, case)
    results = evaluate(graph, draw_inputs(op, case, seed(op, case)))      # checks dtype and shape of each result
    assert len(results) == len(graph.outputs)
    assert str(parse_graph(str(graph))) == str(graph)


@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_refused_types_name_the_op(op: Op) -> None:
    for types, attributes in op.cases():
        for k in range(len(types)):
            for dtype in DTYPES.values():
                changed = [*types[:k], types[k].with_dtype(dtype), *types[k + 1:]]
                try:
                    op.type_rule(*changed, **attributes)
                except TypeRuleError as error:
                    assert error.message.startswith(f"{op.name} got ") and dtype.name in error.message
                    assert error.fix
        break


@pytest.mark.parametrize("op", [o for o in OPS.values() if o.kind == "pointwise"], ids=str)
def test_unequal_shapes_are_refused(op: Op) -> None:
    types, attributes = next(iter(op.cases()))
    if len(types) > 1:
        with pytest.raises(TypeRuleError, match=f"{op.name} got .*sizes of axis 1 differ, 3 against 4"):
            op.type_rule(*types[:-1], types[-1].with_shape((2, 4)), **attributes)
    with pytest.raises(TypeRuleError, match=f"{op.name} got .*operand"):
        op.type_rule(*types, types[0], **attributes)


def test_every_op_has_cases_or_a_test_by_hand() -> None:
    assert {op.name for op in OPS.values() if not list(op.cases())} == set(CONTROL)


# ---- generated: lowering facts against the meaning -------------------------------------------------------------


@pytest.mark.parametrize(("op", "case"), all_cases("pointwise"))
def test_scalar_code_agrees_with_numpy(op: Op, case: Case) -> None:
    types, attributes = case
    graph = graph_of(op, case)
    arrays = draw_inputs(op, case, seed(op, case))
    got = op.lower(B, *scalars_of(arrays, types), **attributes)
    (want,) = evaluate(graph, arrays)
    dtype = graph.outputs[0].dtype
    assert got.dtype is dtype.compute
    exact = not dtype.is_float or not types[0].dtype.is_complex
    assert_agrees(op, stored(got, dtype), want, dtype, exact)


@pytest.mark.parametrize("op", [o for o in OPS.values() if o.kind == "pointwise"], ids=str)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_scalar_code_agrees_on_nan_infinities_and_zeros(op: Op, dtype: str) -> None:
    wanted = DType.parse(dtype)
    for types, attributes in op.cases():
        target = attributes.get("dtype", wanted)
        if any(t.dtype is not wanted for t in types) or types[0].rank != 2 or target.is_integer:
            continue
        grid = np.meshgrid(*[np.asarray(EXTREMES).astype(wanted.numpy)] * len(types))
        with np.errstate(all="ignore"):
            want = np.asarray(op.numpy(*grid, **attributes))
            got = op.lower(B, *(B.wrap(g, wanted) for g in grid), **attributes).array.astype(want.dtype)
        if not want.dtype.kind == "c":
            assert_agrees(op, got, want, wanted if want.dtype.kind == "f" else I64)


@pytest.mark.parametrize("op", [o for o in OPS.values() if o.kind == "pointwise"], ids=str)
def test_scalar_code_agrees_on_extreme_integers(op: Op) -> None:
    seen = set()
    for types, attributes in op.cases():
        dtype = types[0].dtype
        if dtype in seen or not dtype.is_integer or any(t.dtype is not dtype for t in types) or "dtype" in attributes:
            continue
        seen.add(dtype)
        info = np.iinfo(dtype.numpy)
        values = np.array([info.min, info.max, 0, 1, info.max // 2, info.min // 2, 7, info.bits - 1, info.bits],
                          dtype.numpy)
        grid = list(np.meshgrid(*[values] * len(types)))
        if op.name == "power":
            grid[1] = np.abs(grid[1] % 9)
        if op.name in ("gcd", "lcm"):      # NumPy's own answer for the least integer is undefined
            grid = [np.where(g == info.min, g + 1, g) if dtype.is_signed else g for g in grid]
        with np.errstate(all="ignore"):
            want = np.asarray(op.numpy(*grid, **attributes))
        got = op.lower(B, *(B.wrap(g, dtype) for g in grid), **attributes).array
        np.testing.assert_array_equal(got, want)


def fold(op: Op, x: Array, dtype: DType, axis: int, tree: bool = False) -> NumpyScalar:
    """Folds `axis` of `x` by the declared Combine: from left to right, or halves first."""
    rule: Combine = op.lower
    parts = [B.wrap(np.take(x, i, axis), dtype.compute) for i in range(x.shape[axis])]
    items = [(p, B.constant(i, I64)) if rule.takes_position else (p,) for i, p in enumerate(parts)]
    start = tuple(B.constant(v, d) for v, d in zip(rule.identity(dtype), rule.state(dtype), strict=True))

    def halves(some: list[Any]) -> Any:
        if len(some) < 2:
            return rule.combine(B, start, some[0]) if some else start
        middle = len(some) // 2
        return rule.combine(B, halves(some[middle:]), halves(some[:middle]))

    state = halves(items) if tree else start
    for item in () if tree else items:
        state = rule.combine(B, state, item)
    shape = x.shape[:axis] + x.shape[axis + 1:]
    found = state[rule.result]
    return B.wrap(np.broadcast_to(found.array, shape), found.dtype)


@pytest.mark.parametrize("tree", [False, True], ids=["in_order", "tree"])
@pytest.mark.parametrize(("op", "case"), all_cases("reduction"))
def test_combine_agrees_with_numpy(op: Op, case: Case, tree: bool) -> None:
    (x_type,), attributes = case
    axes = attributes.get("axes", (attributes.get("axis"),))
    (x,) = draw_inputs(op, case, seed(op, case))
    (want,) = evaluate(graph_of(op, case), [x])
    got: Any = x
    for axis in reversed(axes):
        got = fold(op, got, x_type.dtype, axis, tree).array
    dtype = I64 if op.lower.takes_position else x_type.dtype
    rounded = stored(NumpyScalar(dtype, np.asarray(got)), dtype)
    if dtype.is_inexact and not op.exact:
        np.testing.assert_allclose(rounded, want, rtol=1e-2 if dtype.bits == 16 else 1e-5)
    else:
        np.testing.assert_array_equal(rounded, want)


@pytest.mark.parametrize("tree", [False, True], ids=["in_order", "tree"])
@pytest.mark.parametrize("op", [o for o in OPS.values() if o.kind == "reduction"], ids=str)
@pytest.mark.parametrize("values", [[1, np.nan, 3], [np.nan, np.nan], [-np.inf, -np.inf], [np.inf, np.inf],
                                    [2, 5, 5, 2], [0.0, -0.0]], ids=str)
def test_combine_agrees_on_nan_infinities_and_ties(op: Op, values: list[float], tree: bool) -> None:
    if any(t.dtype is F64 for (t,), _ in op.cases()):
        x = np.array(values)
        attributes = {"axis": 0} if op.lower.takes_position else {"axes": (0,)}
        np.testing.assert_array_equal(fold(op, x, F64, 0, tree).array, op.numpy(x, **attributes))


@pytest.mark.parametrize(("op", "case"), all_cases("cumulative"))
def test_cumulative_combine_agrees_with_numpy(op: Op, case: Case) -> None:
    (x_type,), attributes = case
    (x,) = draw_inputs(op, case, seed(op, case))
    (want,) = evaluate(graph_of(op, case), [x])
    n, axis = x.shape[attributes["axis"]], attributes["axis"]
    for i in range(n):
        some = np.take(x, range(i, n) if attributes["reverse"] else range(i + 1), axis)
        got = stored(fold(op, some, x_type.dtype, axis), x_type.dtype)
        np.testing.assert_allclose(got, np.take(want, i, axis), rtol=1e-2 if x_type.dtype.bits == 16 else 1e-5)


@pytest.mark.parametrize(("op", "case"), all_cases("view"))
def test_index_map_agrees_with_numpy(op: Op, case: Case) -> None:
    types, attributes = case
    target = graph_of(op, case).outputs[0].shape
    arrays, first = [], 0
    for t in types:
        size = int(np.prod(t.shape, dtype=int))
        arrays.append(np.arange(first, first + size).reshape(t.shape))
        first += size
    want = np.asarray(op.numpy(*arrays, **attributes))
    for index in np.ndindex(*target):
        at, which = operand_index(op, index, [t.shape for t in types], target, attributes)
        assert arrays[which][at] == want[index]


def operand_index(op: Op, index: Any, shapes: list[Any], target: Any, attributes: Any) -> tuple[Any, int]:
    if not isinstance(op.lower, Piecewise):
        return op.lower(index, shapes[0], target, **attributes), 0
    for piece in op.lower.pieces(index, shapes, target, **attributes):
        if all(c.low <= index[c.axis] < c.high and (index[c.axis] - c.low) % c.step == 0 for c in piece.where):
            return piece.index, piece.operand
    raise AssertionError("the last piece has no conditions")


@pytest.mark.parametrize(("op", "case"), all_cases("gather"))
def test_gather_index_agrees_with_numpy(op: Op, case: Case) -> None:
    types, attributes = case
    rule: GatherRule = op.lower
    x, *indices = draw_inputs(op, case, seed(op, case))
    (want,) = evaluate(graph_of(op, case), [x, *indices])
    limits = rule.limits(x.shape, **attributes)
    read = lambda k, i: min(max(int(indices[k][i]), 0), limits[k])
    for index in np.ndindex(*want.shape):
        np.testing.assert_array_equal(x[rule.index(index, read, x.shape, **attributes)], want[index])


@pytest.mark.parametrize(("op", "case"), all_cases("scatter"))
def test_scatter_index_agrees_with_numpy(op: Op, case: Case) -> None:
    types, attributes = case
    rule: ScatterRule = op.lower
    x, updates, *indices = draw_inputs(op, case, seed(op, case))
    (want,) = evaluate(graph_of(op, case), [x, updates, *indices])
    limits, dtype = rule.limits(x.shape, updates.shape, **attributes), types[0].dtype
    out = np.array(x)
    for index in np.ndindex(*updates.shape):
        read = lambda k, i: int(indices[k][i]) if limits is None else min(max(int(indices[k][i]), 0), limits[k])
        at = rule.index(index, read, x.shape, updates.shape, **attributes)
        if all(0 <= i < n for i, n in zip(at, x.shape, strict=True)):
            old, new = (B.wrap(v, dtype.compute) for v in (out[at], updates[index]))
            out[at] = stored(rule.combine(B, old, new, **attributes), dtype)
    np.testing.assert_allclose(out, want, rtol=1e-6)


@pytest.mark.parametrize(("op", "case"), [p for p in all_cases("contraction") if "lhs_contract" in p.values[1][1]])
def test_contraction_index_agrees_with_numpy(op: Op, case: Case) -> None:
    types, attributes = case
    x, y = draw_inputs(op, case, seed(op, case))
    (want,) = evaluate(graph_of(op, case), [x, y])
    depth = [x.shape[a] for a in attributes["lhs_contract"]]
    wide = np.result_type(x.dtype, np.float32) if x.dtype == np.float16 else x.dtype
    for index in np.ndindex(*want.shape):
        total = wide.type(0)
        for k in np.ndindex(*depth):
            at_x, at_y = op.lower(index, k, x.ndim, y.ndim, **attributes)
            with np.errstate(all="ignore"):
                total = wide.type(total + x[at_x].astype(wide) * y[at_y].astype(wide))
        rtol = {1: 0.0, 2: 1e-2}.get(types[0].dtype.bytes, 1e-5)
        np.testing.assert_allclose(total, want[index], rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("op", "case"), [p for p in all_cases("source") if p.values[0].name == "iota"])
def test_iota_generator_agrees_with_numpy(op: Op, case: Case) -> None:
    _, attributes = case
    (want,) = evaluate(graph_of(op, case), [])
    index = [B.wrap(i, I64) for i in np.indices(want.shape)]
    np.testing.assert_array_equal(stored(op.lower(B, index, **attributes), attributes["type"].dtype), want)
