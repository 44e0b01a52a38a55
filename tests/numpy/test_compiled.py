"""Every call of the tables through the whole compiler, against NumPy."""
from __future__ import annotations

import linecache
from typing import Any

import numpy as np
import pytest
from expressions import INPUTS
from harness import _copy, compare
from test_products import CASES, _cases
from test_tables import TABLES
from test_tables import _cases as table_cases

import tracejit as tj

EVERY = [*(c for text in TABLES.values() for c in table_cases(text)), *_cases(CASES)]


def _function(text: str, names: list[str]) -> Any:
    """The expression as a function whose source can be read."""
    *statements, result = text.split(";")
    lines = [f"def expression({', '.join(names)}):\n", *(f"    {s.strip()}\n" for s in statements),
             f"    return {result.strip()}\n"]
    file = f"<expression {text}>"
    linecache.cache[file] = (0, None, lines, file)
    space: dict[str, Any] = {"np": np}
    exec(compile("".join(lines), file, "exec"), space)
    return space["expression"]


@pytest.mark.slow
@pytest.mark.parametrize("text", EVERY)
def test_compiled_call_is_numpys(text: str) -> None:
    names = sorted(set(compile(text, text, "exec").co_names) & set(INPUTS))
    fn = _function(text, names)
    with np.errstate(all="ignore"):
        try:
            expected = fn(*(_copy(INPUTS[n]) for n in names))
        except Exception as error:  # noqa: BLE001
            with pytest.raises((type(error), ValueError, TypeError, IndexError)):
                tj.function(fn)(*(_copy(INPUTS[n]) for n in names))
            return
        found = tj.function(fn)(*(_copy(INPUTS[n]) for n in names))
    compare(found, expected)
    if isinstance(expected, (np.ndarray, np.generic)):
        assert type(found) is type(expected)
