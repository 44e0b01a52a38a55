"""Random weights to start with.

Flows in:  keys and shapes; the last two axes are (in, out), axes before them windows.
Flows out: arrays.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeError
from tracejit.numpy.support import ArgumentError
from tracejit.random.distributions import normal, uniform
from tracejit.random.distributions import truncated_normal as drawn
from tracejit.tracing.spans import current_span

# The standard deviation of a normal variable cut off at two deviations.
CUT = 0.87962566103423978
MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")


def truncated_normal(key: Any, shape: Sequence[int], deviation: float = 1.0, dtype: Any = np.float64) -> Any:
    """Normal numbers of this deviation (before cutting), cut off at two deviations."""
    return drawn(key, -2.0, 2.0, tuple(shape), dtype) * np.dtype(dtype).type(deviation)


def variance_scaling(key: Any, shape: Sequence[int], scale: float = 1.0, mode: str = "fan_in",
                     distribution: str = "truncated_normal", dtype: Any = np.float64) -> Any:
    """Numbers of variance scale / n, n the inputs ("fan_in"), outputs ("fan_out") or their mean ("fan_avg").

    distribution: "truncated_normal", "normal" or "uniform".
    """
    _require_choice("mode", mode, MODES)
    _require_choice("distribution", distribution, DISTRIBUTIONS)
    deviation = math.sqrt(scale / max(1.0, _fan(shape, mode)))
    if distribution == "uniform":
        limit = math.sqrt(3) * deviation
        return uniform(key, tuple(shape), dtype, -limit, limit)
    if distribution == "normal":
        return normal(key, tuple(shape), dtype) * np.dtype(dtype).type(deviation)
    return truncated_normal(key, shape, deviation / CUT, dtype)


def _fan(shape: Sequence[int], mode: str) -> float:
    """How many numbers a product adds up. A vector's inputs are its elements; a number has one."""
    window = math.prod(shape[:-2])
    inputs, outputs = ((1, 1, *shape[-1:]) if len(shape) < 2 else shape)[-2:]
    inputs = outputs if len(shape) == 1 else inputs
    return {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[mode] * window


def _require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ArgumentError(f"{name}={value!r} is unknown", span=current_span(),
                            fix=f"choose one of {', '.join(choices)}")


def glorot(key: Any, shape: Sequence[int], distribution: str = "uniform", dtype: Any = np.float64) -> Any:
    """Variance 2 / (in + out). Source: X. Glorot and Y. Bengio (2010)."""
    return variance_scaling(key, shape, 1.0, "fan_avg", distribution, dtype)


def he(key: Any, shape: Sequence[int], distribution: str = "truncated_normal", dtype: Any = np.float64) -> Any:
    """Variance 2 / in, for relu. Source: K. He et al. (2015)."""
    return variance_scaling(key, shape, 2.0, "fan_in", distribution, dtype)


def lecun(key: Any, shape: Sequence[int], distribution: str = "truncated_normal", dtype: Any = np.float64) -> Any:
    """Variance 1 / in. Source: Y. LeCun et al. (1998)."""
    return variance_scaling(key, shape, 1.0, "fan_in", distribution, dtype)


def orthogonal(key: Any, shape: Sequence[int], scale: float = 1.0, dtype: Any = np.float64) -> Any:
    """A matrix with orthonormal rows or columns (whichever are fewer), from the QR decomposition of normal numbers.

    Source: A. Saxe et al. (2014).
    """
    if len(shape) < 2:
        raise ShapeError(f"orthogonal weights of shape {tuple(shape)} are asked for", span=current_span(),
                         why="rows or columns of a matrix are orthogonal", fix="ask for two axes or more")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(normal(key, (max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diagonal(r))
    return (scale * (q if rows >= columns else q.T)).reshape(tuple(shape)).astype(dtype)
