"""Learning rates as functions of the step, which counts from 0.

Flows in:  numbers.
Flows out: functions of a step (traced or not) that give a float.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Schedule = Callable[[Any], Any]


def constant(value: float) -> Schedule:
    """Always `value`."""
    return lambda step: value


def step_decay(value: float, every: int, factor: float = 0.1) -> Schedule:
    """value * factor^(step // every)."""
    return lambda step: value * factor ** np.floor_divide(step, every)


def exponential(value: float, every: int, rate: float) -> Schedule:
    """value * rate^(step / every)."""
    return lambda step: value * rate ** (step / every)


def cosine(value: float, steps: int, final: float = 0.0) -> Schedule:
    """From `value` to `final` along half a cosine in `steps` steps, then `final`.

    Source: I. Loshchilov and F. Hutter, SGDR (2017).
    """
    def schedule(step: Any) -> Any:
        part = np.minimum(step / steps, 1.0)
        return final + (value - final) * 0.5 * (1 + np.cos(math.pi * part))

    return schedule


def cosine_restarts(value: float, steps: int, factor: float = 2.0, shrink: float = 1.0, final: float = 0.0) -> Schedule:
    """Half cosines one after the other: the first takes `steps`, each further one `factor` times as long, from
    `shrink` times as high a start. Source: I. Loshchilov and F. Hutter, SGDR (2017)."""
    def schedule(step: Any) -> Any:
        if factor == 1:
            period, length = np.floor_divide(step, steps), steps
            begun: Any = period * steps
        else:
            period = np.floor(np.log1p(step / steps * (factor - 1)) / math.log(factor) + 1e-9)
            begun = steps * (factor ** period - 1) / (factor - 1)
            length = steps * factor ** period
        top = final + (value - final) * shrink ** (period * 1.0)
        return final + (top - final) * 0.5 * (1 + np.cos(math.pi * (step - begun) / length))

    return schedule


def polynomial(value: float, steps: int, power: float = 1.0, final: float = 0.0) -> Schedule:
    """final + (value - final) (1 - step / steps)^power, then `final`."""
    return lambda step: final + (value - final) * (1 - np.minimum(step / steps, 1.0)) ** power


def joined(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """schedules[k] from step boundaries[k - 1] on, each with its own steps from 0; one more than boundaries."""
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(f"joined got {len(boundaries)} boundaries and {len(schedules)} schedules: one more is needed")

    def schedule(step: Any) -> Any:
        rate = schedules[0](step)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            rate = np.where(step >= boundary, following(np.maximum(step - boundary, 0)), rate)
        return rate

    return schedule


def warmup(steps: int, after: Schedule | float) -> Schedule:
    """From 0 up to where `after` begins, linearly in `steps` steps; then `after`, with its own steps from 0."""
    following = after if callable(after) else constant(after)

    def schedule(step: Any) -> Any:
        later = following(np.maximum(step - steps, 0))
        return np.where(step < steps, following(0) * (step + 1) / steps, later)

    return schedule


def piecewise(boundaries: Sequence[int], values: Sequence[float]) -> Schedule:
    """values[k] from step boundaries[k - 1] on; one value more than boundaries."""
    if len(values) != len(boundaries) + 1:
        raise ValueError(f"piecewise got {len(boundaries)} boundaries and {len(values)} values: one more is needed")

    def schedule(step: Any) -> Any:
        rate: Any = values[0]
        for boundary, value in zip(boundaries, values[1:], strict=True):
            rate = np.where(step >= boundary, value, rate)
        return rate

    return schedule
