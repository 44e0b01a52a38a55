"""`tj.random`: random numbers from keys. The same key gives the same numbers on any machine and any number of threads.

A key is a uint32[2] array, made by `key(seed)`; `split` and `fold_in` make new ones. Every function takes a key and
gives the same numbers whenever it is called with that key.
"""
from __future__ import annotations

from tracejit.random.distributions import (
    bernoulli,
    categorical,
    choice,
    exponential,
    gamma,
    gumbel,
    normal,
    permutation,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from tracejit.random.keys import bits, fold_in, key, split

__all__ = ["bernoulli", "bits", "categorical", "choice", "exponential", "fold_in", "gamma", "gumbel", "key", "normal",
           "permutation", "randint", "shuffle", "split", "truncated_normal", "uniform"]
