"""Expressions over named inputs, run plainly and traced: the form of the tables of calls.

Flows in:  text such as `np.sum(x, axis=0)`.  Flows out: `check_expression`, which fails where the two differ.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from harness import check

import tracejit.numpy.implementations  # noqa: F401
from tracejit.tracing.implements import NUMPY


def _floats(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    return np.round(rng.normal(size=shape) * 3, 2).astype(dtype)


def _inputs() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -2.5, 0.5, 2.5, 1e300, -3.7, 7.0])
    return {
        "x": _floats(rng, (3, 4), "f8"), "y": _floats(rng, (3, 4), "f8"), "f": _floats(rng, (3, 4), "f4"),
        "h": _floats(rng, (3, 4), "f2"), "a": _floats(rng, (2, 3, 4), "f8"), "v": _floats(rng, (4,), "f8"),
        "w": _floats(rng, (3,), "f8"), "q": _floats(rng, (4, 5), "f8"), "sq": _floats(rng, (4, 4), "f8"),
        "i": rng.integers(-5, 9, (3, 4)), "j": rng.integers(-5, 9, (3, 4)).astype("i4"),
        "i8": rng.integers(-5, 9, (3, 4)).astype("i1"), "u": rng.integers(0, 9, (3, 4)).astype("u1"),
        "k": np.array([2, 0, 1, 2]), "b": rng.random((3, 4)) > 0.4, "m": rng.random(4) > 0.5,
        "c": _floats(rng, (3, 4), "f8") + 1j * _floats(rng, (3, 4), "f8"),
        "cv": (_floats(rng, (4,), "f4") + 1j * _floats(rng, (4,), "f4")).astype("c8"),
        "z": special, "zz": special.reshape(3, 4), "e": np.zeros((0, 3)), "ev": np.zeros(0),
        "t": np.array(2.5), "s": 1.5, "n": 3, "o": np.array([1.0, 2.0, 2.0, 3.0, 5.0]),
        "d": np.array([3, 1, 2, 3, 1, 0]),
        "N": np.where(rng.random((3, 4)) > 0.7, np.nan, _floats(rng, (3, 4), "f8")), "st": np.float32(1.25),
        "line": _floats(rng, (9,), "f8"), "kern": _floats(rng, (3,), "f8")}


INPUTS = _inputs()


class Mapped:
    """NumPy as converted call sites see it: functions with an implementation are replaced by it."""

    def __init__(self, target: Any):
        self._target = target

    def __getattr__(self, name: str) -> Any:
        target = self._target
        if isinstance(target, np.ufunc) and (target, name) in NUMPY:
            return NUMPY[target, name]
        found = getattr(target, name)
        if isinstance(found, (np.ufunc, type)) or name in ("linalg",):
            return Mapped(found)
        try:
            return NUMPY.get(found, found)
        except TypeError:
            return found

    @property
    def dtype(self) -> Any:
        """So that `dtype=np.float32` means the same."""
        return np.dtype(self._target)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return NUMPY[self._target](*args, **options)


def check_expression(text: str, symbolic: bool = False) -> None:
    """The statements before the last `;` run first; the expression after it is the result."""
    names = sorted(set(compile(text, text, "exec").co_names) & set(INPUTS))
    *statements, result = text.split(";")
    body = "\n".join(f"    {s.strip()}" for s in statements)
    source = f"def expression({', '.join(names)}):\n{body}\n    return {result.strip()}\n"
    traced_names: dict[str, Any] = {"np": Mapped(np)}
    plain_names: dict[str, Any] = {"np": np}
    exec(source, traced_names)
    exec(source, plain_names)
    check(plain_names["expression"], *(INPUTS[n] for n in names), symbolic=symbolic,
          traced=traced_names["expression"])
