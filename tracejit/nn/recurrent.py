"""Recurrent networks over time, as one loop.

Flows in:  inputs (batch, time, features), or (time, batch, features) with time_major; weights of all gates side by
           side.
Flows out: outputs (batch, time, units) and the last state. Inputs of all times go through one matrix product.

A network in both directions is two calls, one with reverse=True, whose outputs stand side by side.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.dtypes import I64
from tracejit.nn.activations import logistic
from tracejit.nn.arguments import floats, require, shape_text
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, emit, lift, result_dtype
from tracejit.tracing.context import current
from tracejit.tracing.sizes import same_size

Step = Callable[[list[Any], Any], list[Any]]     # (states, what the inputs of one time give) -> states; the first is y


@dataclass(frozen=True, slots=True)
class Order:
    """How time runs. mask: where it is False the state stays and the output is 0.  truncate: derivatives don't go back
    beyond every so many steps.
    """

    mask: Any
    truncate: int | None
    reverse: bool
    time_major: bool


def _over_time(step: Step, gates: int, given: Sequence[Any], x: Any, kernel: Any, bias: Any, recurrent: Any,
               order: Order) -> tuple[Any, list[Any]]:
    """All outputs and the last states. given: the first states, or None for zeros."""
    x, kernel, recurrent = floats(x), floats(kernel), floats(recurrent)
    require(order.truncate is None or order.truncate > 0, f"truncate={order.truncate} is no number of steps",
            fix="give a positive number, or None")
    _require_weights(x, kernel, recurrent, gates)
    xs = x if order.time_major else _swapped(x)
    products = np.matmul(xs, kernel)
    mask = None if order.mask is None else lift(order.mask) if order.time_major else _swapped(lift(order.mask))
    parameters = [recurrent] if bias is None else [recurrent, bias]
    dtype = result_dtype(products, *parameters, *(s for s in given if s is not None))
    shape = (xs.type.shape[1], int(recurrent.shape[0]))
    start = [constant(0, dtype, shape) if s is None else _first(s, dtype, shape) for s in given]

    def whole(states: list[Any], inputs: Any) -> list[Any]:
        return step(states, inputs if bias is None else inputs + bias)

    ys, last = _scan(whole, start, products, mask, order)
    return ys if order.time_major else _swapped(ys), last


def _require_weights(x: Any, kernel: Any, recurrent: Any, gates: int) -> None:
    shapes = f"inputs {shape_text(x)}, kernel {shape_text(kernel)} and recurrent weights {shape_text(recurrent)}"
    require(x.ndim == 3 and kernel.ndim == recurrent.ndim == 2, f"{shapes} have other ranks than 3, 2 and 2",
            fix="give inputs as (batch, time, features)")
    (features, joined), (units, width) = kernel.type.shape, map(int, recurrent.shape)
    fits = same_size(features, x.type.shape[2]) and same_size(joined, width) and width == gates * units
    require(fits, f"{shapes} do not fit",
            why=f"kernel is (features, {gates} units), recurrent (units, {gates} units)", fix="transpose one of them")


def _first(state: Any, dtype: Any, shape: Sequence[Any]) -> Any:
    array = convert(lift(state), dtype)
    require(array.ndim == 2 and all(map(same_size, array.type.shape, shape)), f"a first state has the shape "
            f"{shape_text(array)}", why=f"it is (batch, units), here ({shape[0]}, {shape[1]}); an LSTM has two",
            fix="give one row per example, or None for zeros")
    return array


def _swapped(x: Any) -> Any:
    return np.swapaxes(x, 0, 1)


def _scan(step: Step, start: Sequence[Any], xs: Any, mask: Any, order: Order) -> tuple[Any, list[Any]]:
    """One loop over the first axis of xs. The rows of outputs lie where those of inputs do, also in reverse."""
    namespace = current().namespace
    states = list(start)
    time = xs.type.shape[0]
    ys: Any = constant(0, states[0].type.dtype, (time, *states[0].type.shape))
    steps = time if isinstance(time, int) else namespace.call(len, xs)

    def body(t: Any) -> None:
        nonlocal states, ys
        before = states if order.truncate is None else _cut(states, t, order.truncate)
        at = convert(steps - 1 - t if order.reverse else t, I64)
        after = step(before, _row(xs, at))
        y = after[0]
        if mask is not None:
            valid: Any = np.expand_dims(_row(mask, at), -1)
            after = [np.where(valid, new, old) for new, old in zip(after, before, strict=True)]
            y = np.where(valid, y, 0)
        ys = emit("scatter", ys, lift(y), at, axes=(0,), combine="set")
        states = after

    namespace.for_(namespace.call(range, steps), body, None, ("states", "ys"))
    return ys, states


def _row(xs: Any, at: Any) -> Array:
    found: Array = emit("gather", xs, at, axes=(0,))
    return found


def _cut(states: Sequence[Any], t: Any, every: int) -> list[Any]:
    """The states, through which no derivative flows at each `every`-th step."""
    return [np.where(np.remainder(t, every) == 0, emit("stop_gradient", lift(s)), s) for s in states]


_STATIC = ("truncate", "reverse", "time_major")


@library(static=_STATIC)
def simple_rnn(x: Any, kernel: Any, recurrent: Any, bias: Any = None, state: Any = None, mask: Any = None,
               truncate: int | None = None, reverse: bool = False, time_major: bool = False) -> tuple[Any, Any]:
    """h = tanh(x kernel + h recurrent + bias): (outputs, last h). kernel (features, units).

    state: the first h, zeros by default.  mask: bool (batch, time), True where there is an input: elsewhere h stays and
    the output is 0.  truncate: derivatives stop at each so many steps.  reverse: from the last input to the first.
    """
    def step(states: list[Any], inputs: Any) -> list[Any]:
        return [np.tanh(inputs + np.matmul(states[0], recurrent))]

    ys, (h,) = _over_time(step, 1, [state], x, kernel, bias, recurrent, Order(mask, truncate, reverse, time_major))
    return ys, h


@library(static=_STATIC)
def lstm(x: Any, kernel: Any, recurrent: Any, bias: Any = None, state: Any = None, mask: Any = None,
         truncate: int | None = None, reverse: bool = False, time_major: bool = False) -> tuple[Any, tuple[Any, Any]]:
    """Long short-term memory: (outputs, (h, c)). kernel (features, 4 units): gates i, f, g, o side by side.

    c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c). state: the first (h, c); other arguments as in
    `simple_rnn`. Source: S. Hochreiter and J. Schmidhuber (1997), with the forget gate of F. Gers et al. (2000).
    """
    def step(states: list[Any], inputs: Any) -> list[Any]:
        h, c = states
        i, f, g, o = np.split(inputs + np.matmul(h, recurrent), 4, -1)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        return [logistic(o) * np.tanh(c), c]

    given = (None, None) if state is None else state
    ys, (h, c) = _over_time(step, 4, given, x, kernel, bias, recurrent, Order(mask, truncate, reverse, time_major))
    return ys, (h, c)


@library(static=_STATIC)
def gru(x: Any, kernel: Any, recurrent: Any, bias: Any = None, recurrent_bias: Any = None, state: Any = None,
        mask: Any = None, truncate: int | None = None, reverse: bool = False, time_major: bool = False
        ) -> tuple[Any, Any]:
    """Gated recurrent unit: (outputs, last h). kernel (features, 3 units): update z, reset r, candidate, side by side.

    h = z h + (1 - z) tanh(x + r (h U + b)). Other arguments as in `simple_rnn`.
    Source: K. Cho et al. (2014), with the reset gate after the product.
    """
    def step(states: list[Any], inputs: Any) -> list[Any]:
        (h,) = states
        inner = np.matmul(h, recurrent)
        if recurrent_bias is not None:
            inner = inner + recurrent_bias
        (xz, xr, xc), (hz, hr, hc) = np.split(inputs, 3, -1), np.split(inner, 3, -1)
        z, r = logistic(xz + hz), logistic(xr + hr)
        return [z * h + (1 - z) * np.tanh(xc + r * hc)]

    ys, (h,) = _over_time(step, 3, [state], x, kernel, bias, recurrent, Order(mask, truncate, reverse, time_major))
    return ys, h
