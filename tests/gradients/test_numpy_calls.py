"""Derivatives of all compiled NumPy functions: forward mode against differences, reverse mode against forward mode."""
from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest

from tests.gradients.numpy_calls import INPUTS, NO_DERIVATIVE, calls, names_in
from tests.transforms.gradients import check_gradients
from tracejit.tracing.implements import NUMPY

from expressions import Mapped  # isort: skip
from harness import Traced  # isort: skip

WIDE = ("f64", "c128")
FAILS = ("np.choose(k + 5, [v, v])", "np.take(v, 9)", "np.put(v, [9], 1), v")     # index errors when they run
NOT_A_NUMBER = ("np.mean(e)", "np.mean(e, 0)", "np.median(ev)", "np.std(x, axis=1, ddof=5)")
PART = 40


def traced(text: str) -> Traced:
    """The call as a graph of its arguments."""
    names = sorted(set(compile(text, text, "exec").co_names) & set(INPUTS))
    *statements, result = text.split(";")
    body = "\n".join(f"    {s.strip()}" for s in statements)
    scope: dict[str, Any] = {"np": Mapped(np)}
    exec(f"def expression({', '.join(names)}):\n{body}\n    return {result.strip()}\n", scope)
    return Traced(scope["expression"], tuple(INPUTS[n] for n in names))


def is_differentiable(found: Traced) -> bool:
    """Whether floats go in and come out, all of them wide enough for differences."""
    outputs, params = ([v for v in some if v.dtype.is_inexact] for some in (found.graph.outputs, found.graph.params))
    return bool(outputs and params) and all(v.dtype.name in WIDE for v in (*outputs, *params))


@functools.cache
def programs(table: str) -> dict[str, Traced]:
    """The calls of a table that have derivatives. Those of `more` must; the others may be errors, or give integers."""
    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in calls()[table]:
            try:
                found = traced(text)
            except Exception:  # noqa: BLE001
                assert table != "more", text
                continue
            assert table != "more" or is_differentiable(found), text
            if is_differentiable(found) and text not in (*FAILS, *NOT_A_NUMBER):
                made[text] = found
    return made


@pytest.mark.parametrize(("table", "part"), [(t, k) for t, texts in calls().items()
                                             for k in range(0, len(texts), PART)])
def test_derivatives_of_calls_agree_with_differences(table: str, part: int) -> None:
    chosen = set(calls()[table][part:part + PART])
    for text, found in programs(table).items():
        if text not in chosen:
            continue
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                check_gradients(found.graph, [np.asarray(x) for x in found.inputs], np.random.default_rng(1), 1e-5,
                                found.sizes)
            except AssertionError as error:
                raise AssertionError(f"{text}\n{error}") from None


def test_every_function_has_a_call_or_a_reason() -> None:
    tested = set().union(*(names_in(text) for table in calls() for text in programs(table)))
    reasons = set(" ".join(NO_DERIVATIVE.values()).split())
    compiled = {name for key, meaning in NUMPY.items() if (name := numpy_name(key)) and not is_refused(meaning)}
    assert sorted(compiled - tested - reasons) == []


def numpy_name(key: Any) -> str | None:
    """The name of a function of NumPy."""
    name = getattr(key, "__name__", "")
    found = [getattr(m, name, None) for m in (np, np.linalg, np.fft)] if name else []
    return name if any(f is key for f in found) else None


def is_refused(meaning: Any) -> bool:
    return getattr(meaning, "__module__", "") == "tracejit.numpy.unsupported"
