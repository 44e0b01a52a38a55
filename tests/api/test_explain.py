"""`explain()` names the argument or guard, with the old and the new value, for every reason to trace again."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj

SCALE = 2.0
MODE = "double"
X = np.arange(6.0)


def double(x: Any) -> Any:
    return x * 2


def first_of(tree: Any) -> Any:
    return tree["a"] + 1


def chosen(x: Any, mode: Any) -> Any:
    return x if mode == "same" else -x


def by_global(x: Any) -> Any:
    return x * 2 if MODE == "double" else x * SCALE


def by_attribute(model: Any, x: Any) -> Any:
    return x * 2 if model.kind == "double" else x


def folded(x: Any, n: Any) -> Any:
    return x.reshape(n, -1)


def summed(x: Any) -> Any:
    total = 0.0
    for i in range(x.shape[0]):
        total = total + x[i]
    return total


def longer(x: Any) -> Any:
    return x + 1 if x.shape[0] > 4 else x


class Model:
    def __init__(self, kind: str) -> None:
        self.kind = kind


CASES: dict[str, tuple[Callable[..., Any], list[tuple[Any, ...]]]] = {
    "new dtype": (double, [(X,), (X.astype(np.float32),)]),
    "new rank": (double, [(X,), (X.reshape(2, 3),)]),
    "new size": (double, [(X,), (X[:4],)]),
    "new layout": (double, [(X,), (X[::2].repeat(2)[::2],)]),
    "new class": (double, [(X,), (3.0,)]),
    "new structure": (first_of, [({"a": X},), ({"a": X, "b": X},)]),
    "changed static": (chosen, [(X, "same"), (X, "negative")]),
    "changed attribute": (by_attribute, [(Model("double"), X), (Model("single"), X)]),
    "concretised int": (folded, [(X, 2), (X, 3)]),
    "concretised size": (summed, [(X,), (X[:4],)]),
    "guard on a size": (longer, [(X,), (X[:5],), (X[:3],)])}


def explained(f: Any) -> str:
    """What explain() prints without times and folders."""
    text = re.sub(r"trace [\d.]+ ms, compile [\d.]+ ms(, from the disk cache)?", "TIMES", str(f.explain()))
    return re.sub(r"\S*test_explain\.py:\d+", "test_explain.py:LINE", text)


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_printed(case: str, golden: Any) -> None:
    fn, calls = CASES[case]
    f = tj.function(fn)
    for args in calls:
        np.testing.assert_array_equal(f(*args), fn(*args))
    golden(f"explain/{case.replace(' ', '_')}", explained(f))


def test_the_reason_is_a_changed_global(monkeypatch: pytest.MonkeyPatch, golden: Any) -> None:
    f = tj.function(by_global)
    f(X)
    monkeypatch.setitem(globals(), "MODE", "scaled")
    f(X)
    golden("explain/changed_global", explained(f))


def test_the_reason_is_a_changed_captured_variable(golden: Any) -> None:
    flag = True

    def inner(x: Any) -> Any:
        return x + 1 if flag else x - 1

    f = tj.function(inner)
    f(X)
    flag = False
    f(X)
    golden("explain/changed_captured_variable", explained(f))
