"""Calls of LAPACK and BLAS in kernels: as many arguments as documented, integers of the library's width, lengths of
texts behind them; small matrices without calls, run by the interpreter."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.cases import all_cases, draw_inputs, graph_of
from tracejit.base.dtypes import I32, I64, U8, DType
from tracejit.ir.evaluator import evaluate
from tracejit.ir.op import OPS, Case, Op
from tracejit.xla_lite.kernels.frame import Request
from tracejit.xla_lite.kernels.generate import WITH_ROUTINES, generate
from tracejit.xla_lite.kernels.interpreter import run_kernel
from tracejit.xla_lite.kernels.kernel_ir import Buffer, BufferRef, Call, Kernel, statements
from tracejit.xla_lite.kernels.linalg.small import LARGEST
from tracejit.xla_lite.kernels.verify import verify_kernel
from tracejit.xla_lite.runtime.blas import CBLAS, LAPACK, LETTERS

# Arguments of each routine, `info` included, and texts, whose lengths follow. Source: LAPACK's and CBLAS's references.
REAL = {"potrf": (5, 1), "getrf": (6, 0), "geqrf": (8, 0), "orgqr": (9, 0), "syevd": (11, 2), "gesdd": (14, 1),
        "geev": (14, 2), "trsm": (12, 0), "trsv": (9, 0)}
COMPLEX = REAL | {"syevd": (13, 2), "gesdd": (15, 1)}     # heevd and gesdd want a workspace of real numbers too
LINALG = [p for p in all_cases("library") if p.values[0].name in WITH_ROUTINES]


def kernel_of(op: Op, types: Any, attributes: Any, bits: int = 64) -> Kernel:
    routines = {f"tj_{letter}{routine}": bits for routine in (*CBLAS, *LAPACK) for letter in LETTERS.values()}
    made = generate(Request("k", op.name, graph_of(op, (types, attributes))), routines)
    verify_kernel(made)
    return made


def large(case: Case) -> Case:
    """The case with sizes that are not small."""
    types, attributes = case
    return tuple(t.with_shape(tuple(n if n == 0 else n + LARGEST for n in t.shape)) for t in types), attributes


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(("op", "case"), LINALG)
def test_calls_have_the_arguments_that_routines_take(op: Op, case: Case, bits: int) -> None:
    types, attributes = large(case)
    made = kernel_of(op, types, attributes, bits)
    buffers = {s.name: s.dtype for s in statements(made.body) if isinstance(s, Buffer)}
    calls = [s for s in statements(made.body) if isinstance(s, Call)]
    assert calls or 0 in types[0].shape
    for call in calls:
        routine = call.function[4:]
        count, texts = (COMPLEX if types[0].dtype.is_complex else REAL)[routine]
        assert len(call.args) == count + texts
        if routine in LAPACK:
            assert all(isinstance(a, BufferRef) for a in call.args[:count])
            assert [a.dtype for a in call.args[count:]] == [I64] * texts     # type: ignore[union-attr]
            kinds = [buffers[a.buffer] for a in call.args[:count] if a.buffer in buffers]     # type: ignore[union-attr]
            assert kinds.count(U8) == texts
            assert {d for d in kinds if d.is_integer and d is not U8} == {I64 if bits == 64 else I32}


def has_small_code(op: Op, case: Case) -> bool:
    m, n = case[0][0].shape[-2:]
    return op.name in ("cholesky", "lu", "lu_solve", "triangular_solve") and m == n != 0


@pytest.mark.parametrize(("op", "case"), [p for p in LINALG if has_small_code(*p.values)])
def test_small_matrices_make_no_calls(op: Op, case: Case) -> None:
    made = kernel_of(op, *case)
    assert not [s for s in statements(made.body) if isinstance(s, Call)]
    if case[0][0].shape != (3, 3):     # the interpreter is slow
        return
    inputs = draw_inputs(op, case, np.random.default_rng(3))
    expected = evaluate(graph_of(op, case), inputs)
    outputs = [np.empty_like(x) for x in expected]
    run_kernel(made, [stored(x, t.dtype) for x, t in zip([*inputs, *outputs], [*case[0], *(
        v.type for v in graph_of(op, case).outputs)], strict=True)])
    for found, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-3)


def stored(x: Any, dtype: DType) -> Any:
    """Complex numbers as pairs, in the same memory."""
    return x.view(dtype.real.numpy).reshape(*x.shape, 2) if dtype.is_complex else x


def test_every_routine_that_an_op_names_is_known() -> None:
    named = {r for op in OPS.values() for r in op.facts.get("routines", ())}
    assert named == set(REAL) and named <= {*CBLAS, *LAPACK}
