"""Every op of the table with the cases it declares, and inputs drawn for them.

Flows in:  `OPS`.  Flows out: `all_cases()`, `draw_inputs(op, case, rng)`, `graph_of(op, case)`, `assert_agrees`.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tracejit.ops  # noqa: F401  fills OPS
from tracejit.base.dtypes import BF16, DType
from tracejit.base.types import ArrayType
from tracejit.ir.evaluator import round_to_bf16
from tracejit.ir.graph import Graph
from tracejit.ir.op import OPS, Case, Op

Array = NDArray[Any]

EXTREMES = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-310, 3e38, -7.0)


def all_cases(*kinds: str) -> list[Any]:
    """Pytest parameters (op, case): pairs by default, the full product marked `full`."""
    return [*_params(kinds, full=False), *_params(kinds, full=True)]


def _params(kinds: tuple[str, ...], full: bool) -> Iterator[Any]:
    for op in OPS.values():
        if kinds and op.kind not in kinds:
            continue
        pairs = set(map(case_name, op.cases())) if full else set()
        for case in op.cases(full):
            if case_name(case) not in pairs:
                yield pytest.param(op, case, id=f"{op.name}-{case_name(case)}", marks=[pytest.mark.full] * full)


def case_name(case: Case) -> str:
    types, attributes = case
    return f"{','.join(map(str, types))}-{','.join(f'{k}={v}' for k, v in attributes.items())}".replace(" ", "")


def draw_inputs(op: Op, case: Case, rng: np.random.Generator) -> list[Array]:
    """Arrays of the case's operand types, inside the op's domain."""
    types, _ = case
    domains = op.domain if isinstance(op.domain[0], tuple) else [op.domain] * len(types)
    arrays = [draw(t, d, rng) for t, d in zip(types, domains, strict=True)]
    for k in op.facts.get("sorted_operands", ()):
        arrays[k] = np.sort(arrays[k])
    return list(op.facts["drawn"](*arrays)) if "drawn" in op.facts else arrays


def draw(type: ArrayType, domain: tuple[float, float], rng: np.random.Generator) -> Array:
    """One array of `type` with values of `domain`; unsigned types take the part above zero."""
    shape = tuple(int(n) for n in type.shape)
    dtype = type.dtype
    low, high = domain
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.is_integer:
        low = 0 if dtype.kind == "u" else low
        return rng.integers(int(np.floor(low)), int(np.ceil(high)) + 1, shape).astype(dtype.numpy)
    if dtype.is_complex:
        return np.asarray(rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape)).astype(dtype.numpy)
    values = np.asarray(rng.uniform(low, high, shape)).astype(dtype.numpy)
    return round_to_bf16(values) if dtype is BF16 else values


def graph_of(op: Op, case: Case) -> Graph:
    """The graph of one application of `op`."""
    types, attributes = case
    graph = Graph(types)
    graph.outputs = graph.emit(op, graph.params, dict(attributes))
    return graph


def seed(op: Op, case: Case) -> np.random.Generator:
    """A generator of the case's own, so that a failure is repeated by running that test alone."""
    return np.random.default_rng(list(f"{op.name}{case_name(case)}".encode()))


def tolerance(op: Op, dtype: DType) -> float:
    """Relative error allowed between two ways to compute `op`; 0 means bit for bit.

    bf16 is float32 to NumPy: updates that meet at one place are rounded once there, in memory after each of them.
    """
    if dtype is BF16 and op.kind == "scatter":
        return 4 * 2.0**-8
    if not dtype.is_inexact or (op.exact and not dtype.is_complex):
        return 0.0
    eps = {"bf16": 2.0**-8, "f16": 2.0**-11, "c64": 2.0**-23, "c128": 2.0**-52}.get(dtype.name)
    eps = eps or float(np.finfo(dtype.numpy).eps)
    return eps * (max(64, op.ulps) if dtype.is_complex else 2 if dtype.bits == 16 else op.ulps)


def assert_agrees(op: Op, got: Any, want: Any, dtype: DType, exact: bool = True) -> None:
    """Equal within the op's tolerance; NaN where NaN is, and zeros of one sign if the op is exact.

    exact: False where an op that is exact for real operands got complex ones.
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape and got.dtype == want.dtype
    rtol = tolerance(op, dtype) if exact else max(4.0, op.ulps) * float(np.finfo(dtype.numpy).eps)
    if rtol == 0:
        np.testing.assert_array_equal(got, want)
        if dtype.is_float and op.name not in ("maximum", "minimum", "reduce_max", "reduce_min", "sort"):
            real = ~np.isnan(want)
            np.testing.assert_array_equal(np.signbit(got)[real], np.signbit(want)[real])
    else:
        scale = float(np.max(np.abs(want[np.isfinite(want)]), initial=0.0)) if dtype.is_complex else 0.0
        np.testing.assert_allclose(got, want, rtol=rtol, atol=max(rtol * scale, np.finfo(dtype.numpy).tiny))
