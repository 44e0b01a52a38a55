"""Recurrent networks over time, as one loop.

Flows in:  inputs (batch, time, features), weights of all gates side by side.
Flows out: outputs (batch, time, units) and the last state. Inputs of all times go through one matrix product.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import I64
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, emit, lift
from tracejit.tracing.context import current

Step = Callable[[list[Any], Any], tuple[list[Any], Any]]


def scan(step: Step, state: Sequence[Any], xs: Any, mask: Any, truncate: int | None) -> tuple[Any, list[Any]]:
    """step(state, x) -> (state, y) over the first axis of xs.

    mask: bool (time, batch); where it is False the state stays and y is 0.  truncate: derivatives don't go back beyond
    every so many steps.
    """
    namespace = current().namespace
    states = list(state)
    time = lift(xs).type.shape[0]
    _, first = step(states, xs[0])
    ys: Any = constant(0, first.type.dtype, (time, *first.type.shape))

    def body(t: Any) -> None:
        nonlocal states, ys
        before = states
        if truncate is not None:
            before = [np.where(np.remainder(t, truncate) == 0, emit("stop_gradient", lift(s)), s) for s in states]
        after, y = step(before, xs[t])
        if mask is not None:
            valid = np.expand_dims(mask[t], -1)
            after = [np.where(valid, new, old) for new, old in zip(after, before, strict=True)]
            y = np.where(valid, y, 0)
        ys = emit("scatter", ys, lift(y), _index(t), axes=(0,), combine="set")
        states = after

    namespace.for_(namespace.call(range, time if isinstance(time, int) else namespace.call(len, xs)), body, None,
                   ("states", "ys"))
    return ys, states


def _index(t: Any) -> Array:
    return convert(t, I64)


def _time_first(x: Any) -> Any:
    return np.swapaxes(x, 0, 1)


def _run(step: Step, state: Sequence[Any], inputs: Any, mask: Any, truncate: int | None, reverse: bool
         ) -> tuple[Any, list[Any]]:
    xs = _time_first(inputs)
    times = None if mask is None else _time_first(mask)
    if reverse:
        xs, times = xs[::-1], None if times is None else times[::-1]
    ys, last = scan(step, state, xs, times, truncate)
    return _time_first(ys[::-1] if reverse else ys), last


def _initial(state: Any, x: Any, units: Any) -> Any:
    array = lift(x)
    return constant(0, array.type.dtype, (array.type.shape[0], units)) if state is None else state


def _logistic(x: Any) -> Any:
    return emit("logistic", lift(x))


_STATIC = ("truncate", "reverse")


@library(static=_STATIC)
def simple_rnn(x: Any, kernel: Any, recurrent: Any, bias: Any, state: Any = None, mask: Any = None,
               truncate: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """h = tanh(x kernel + h recurrent + bias): (outputs, last h). kernel (features, units)."""
    def step(states: list[Any], x: Any) -> tuple[list[Any], Any]:
        h = np.tanh(x + np.matmul(states[0], recurrent))
        return [h], h

    start = [_initial(state, x, recurrent.shape[0])]
    ys, (h,) = _run(step, start, np.matmul(x, kernel) + bias, mask, truncate, reverse)
    return ys, h


@library(static=_STATIC)
def lstm(x: Any, kernel: Any, recurrent: Any, bias: Any, state: Any = None, mask: Any = None,
         truncate: int | None = None, reverse: bool = False) -> tuple[Any, tuple[Any, Any]]:
    """Long short-term memory: (outputs, (h, c)). kernel (features, 4 units): gates i, f, g, o side by side.

    c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c). Source: S. Hochreiter and J. Schmidhuber (1997), with
    the forget gate of F. Gers et al. (2000).
    """
    units = recurrent.shape[0]
    given = (None, None) if state is None else state

    def step(states: list[Any], x: Any) -> tuple[list[Any], Any]:
        h, c = states
        i, f, g, o = np.split(x + np.matmul(h, recurrent), 4, -1)
        c = _logistic(f) * c + _logistic(i) * np.tanh(g)
        h = _logistic(o) * np.tanh(c)
        return [h, c], h

    start = [_initial(s, x, units) for s in given]
    ys, (h, c) = _run(step, start, np.matmul(x, kernel) + bias, mask, truncate, reverse)
    return ys, (h, c)


@library(static=_STATIC)
def gru(x: Any, kernel: Any, recurrent: Any, bias: Any, recurrent_bias: Any = None, state: Any = None, mask: Any = None,
        truncate: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """Gated recurrent unit: (outputs, last h). kernel (features, 3 units): update z, reset r, candidate, side by side.

    h = z h + (1 - z) tanh(x + r (h U + b)). Source: K. Cho et al. (2014), with the reset gate after the product.
    """
    units = recurrent.shape[0]

    def step(states: list[Any], x: Any) -> tuple[list[Any], Any]:
        (h,) = states
        inner = np.matmul(h, recurrent)
        if recurrent_bias is not None:
            inner = inner + recurrent_bias
        (xz, xr, xc), (hz, hr, hc) = np.split(x, 3, -1), np.split(inner, 3, -1)
        z, r = _logistic(xz + hz), _logistic(xr + hr)
        h = z * h + (1 - z) * np.tanh(xc + r * hc)
        return [h], h

    ys, (h,) = _run(step, [_initial(state, x, units)], np.matmul(x, kernel) + bias, mask, truncate, reverse)
    return ys, h
