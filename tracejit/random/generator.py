"""`Generator`: random numbers without keys at hand; every draw moves a key that is held in a Variable.

Flows in:  a seed.
Flows out: random numbers, in compiled functions and outside; the next call gives others.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.api.attributes import input_attribute
from tracejit.api.library import library
from tracejit.api.variable import Variable
from tracejit.random import distributions, rejection
from tracejit.random import keys as threefry


def _draws(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a key as a method that takes the next one."""
    @functools.wraps(fn)
    def draw(self: Generator, *args: Any, **kwargs: Any) -> Any:
        return fn(self.key(), *args, **kwargs)

    draw.__doc__ = f"{fn.__doc__} With the next key of this generator."
    return draw


@library(static=("num",))
def _advanced(state: Variable, num: int) -> Any:
    """New keys from a key in a Variable, which moves on: one step for all threads."""
    made = threefry.split(state.value, num + 1)
    state.assign(made[0])
    return made[1:]


class Generator:
    """A stream of random numbers. seed: an int, or a key.

    Two generators of one seed give the same numbers for the same draws, compiled or not, on any number of threads.
    state: the Variable that holds the key; `saved = g.state.numpy()` and `g.state.assign(saved)` go back.
    """

    def __init__(self, seed: Any = 0):
        key = seed if np.ndim(seed) == 1 else threefry.key(seed)
        self.state = Variable(np.asarray(key), np.uint32, trainable=False, name="random")

    def key(self) -> Any:
        """A key that was not given before."""
        return self.keys(1)[0]

    def keys(self, num: int) -> Any:
        """As many new keys: uint32[num, 2], for example for the lanes of `vmap`."""
        return _advanced(input_attribute(self, "state"), num)

    def split(self, num: int = 2) -> list[Generator]:
        """Independent generators, one for each thread or worker."""
        return [Generator(key) for key in self.keys(num)]

    def __repr__(self) -> str:
        return f"<Generator {self.state.array.tolist()}>"

    bernoulli = _draws(distributions.bernoulli)
    beta = _draws(rejection.beta)
    bits = _draws(threefry.bits)
    categorical = _draws(distributions.categorical)
    choice = _draws(distributions.choice)
    dirichlet = _draws(rejection.dirichlet)
    exponential = _draws(distributions.exponential)
    gamma = _draws(rejection.gamma)
    gumbel = _draws(distributions.gumbel)
    laplace = _draws(distributions.laplace)
    multivariate_normal = _draws(distributions.multivariate_normal)
    normal = _draws(distributions.normal)
    permutation = _draws(distributions.permutation)
    poisson = _draws(rejection.poisson)
    randint = _draws(distributions.randint)
    shuffle = _draws(distributions.shuffle)
    truncated_normal = _draws(distributions.truncated_normal)
    uniform = _draws(distributions.uniform)
