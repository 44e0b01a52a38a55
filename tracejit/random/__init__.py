"""`tj.random`: random numbers from keys. The same key gives the same numbers on any machine and any number of threads.

A key is a uint32[2] array, made by `key(seed)`; `split` and `fold_in` make new ones. Every function takes a key and
gives the same numbers whenever it is called with that key. A `Generator` keeps a key and moves it at every draw.
In reading order: keys, distributions, rejection, generator.
"""
from __future__ import annotations

from tracejit.random.distributions import (
    bernoulli,
    categorical,
    choice,
    exponential,
    gumbel,
    laplace,
    multivariate_normal,
    normal,
    permutation,
    randint,
    shuffle,
    truncated_normal,
    uniform,
)
from tracejit.random.generator import Generator
from tracejit.random.keys import bits, fold_in, key, split
from tracejit.random.rejection import beta, dirichlet, gamma, poisson

__all__ = ["Generator", "bernoulli", "beta", "bits", "categorical", "choice", "dirichlet", "exponential", "fold_in",
           "gamma", "gumbel", "key", "laplace", "multivariate_normal", "normal", "permutation", "poisson", "randint",
           "shuffle", "split", "truncated_normal", "uniform"]
