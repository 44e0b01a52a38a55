"""Random programs over names, arrays and objects: compiled they do what plain Python does, or are refused.

Flows in: random_state.py.  Flows out: one test.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.control.random_state import Writer
from tracejit.base.errors import MutationError, UnsupportedError

CALLS = (([1.0, 2, 3], [0.5, -1, 4], 0, [0, 1]), ([1.0, 2, 3], [0.5, -1, 4], 1, [1, 0]),
         ([-1.0, 2, 0], [0.5, -1, 4], 4, [1, 1]), ([3.0, 2, 7], [-0.5, -1, 0.25], 3, [0, 0]))


def load(text: str, folder: Path, seed: int) -> Any:
    """The function of a program, from a file, since its source is read."""
    path = folder / f"program_{seed}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.f


def numbers(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [n for part in value for n in numbers(part)]
    return [float(n) for n in np.ravel(value)]


def run(fn: Any, call: Any) -> list[float]:
    """Everything that a call gives and leaves."""
    x, y, n, k = call
    arrays = np.array(x), np.array(y)
    with np.errstate(all="ignore"):
        return numbers([fn(*arrays, n, np.array(k)), arrays])


@pytest.mark.parametrize("first", [0, 10, 20])
def test_programs_do_what_python_does_or_are_refused(first: int, tmp_path: Path) -> None:
    refused = 0
    for seed in range(first, first + 10):
        text = Writer(seed).program()
        fn = load(text, tmp_path, seed)
        compiled = tj.function(fn)
        try:
            for call in CALLS:
                np.testing.assert_allclose(run(compiled, call), run(fn, call), rtol=1e-6, err_msg=f"{seed}\n{text}")
        except (MutationError, UnsupportedError):
            refused += 1
    assert refused <= 5
