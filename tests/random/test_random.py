"""tj.random: known streams, distributions by their statistics, independence of threads."""
from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import tracejit as tj
from tracejit import random

KEY = random.key(42)
COUNT = 100_000


def test_streams_are_the_published_ones():
    """The numbers of Threefry-2x32 with 20 rounds, partitionable, for the key of 42."""
    np.testing.assert_array_equal(KEY, np.array([0, 42], np.uint32))
    np.testing.assert_array_equal(random.split(KEY), np.array([[1832780943, 270669613], [64467757, 2916123636]]))
    np.testing.assert_array_equal(random.fold_in(KEY, 7), [2547012911, 1371500959])
    np.testing.assert_array_equal(random.bits(KEY, (3,)), [2098992034, 2919706841, 2646866425])
    np.testing.assert_allclose(random.uniform(KEY, (3,)), [0.42672757, 0.01501007, 0.57414442], rtol=1e-6)
    np.testing.assert_allclose(random.normal(KEY, (4,), np.float32),
                               [-0.02830462, 0.46713185, 0.29570296, 0.15354592], rtol=1e-5)


@pytest.mark.parametrize("name, sample, mean, variance", [
    ("uniform", lambda: random.uniform(KEY, (COUNT,), minval=-1.0, maxval=3.0), 1.0, 16 / 12),
    ("normal", lambda: random.normal(KEY, (COUNT,)), 0.0, 1.0),
    ("normal f32", lambda: random.normal(KEY, (COUNT,), np.float32), 0.0, 1.0),
    ("truncated", lambda: random.truncated_normal(KEY, -1.0, 1.0, (COUNT,)), 0.0, 0.2911),
    ("bernoulli", lambda: random.bernoulli(KEY, 0.3, (COUNT,)), 0.3, 0.21),
    ("exponential", lambda: random.exponential(KEY, (COUNT,)), 1.0, 1.0),
    ("gumbel", lambda: random.gumbel(KEY, (COUNT,)), 0.5772, math.pi ** 2 / 6),
    ("gamma", lambda: random.gamma(KEY, 2.5, (COUNT,)), 2.5, 2.5),
    ("gamma below 1", lambda: random.gamma(KEY, 0.4, (COUNT,)), 0.4, 0.4),
    ("randint", lambda: random.randint(KEY, (COUNT,), -3, 7), 1.5, 99 / 12)])
def test_moments(name, sample, mean, variance):
    x = np.asarray(sample(), float)
    error = math.sqrt(variance / COUNT)
    assert abs(x.mean() - mean) < 5 * error and abs(x.var() - variance) < 0.03 * variance + 5 * error


CONTINUOUS = {
    "uniform": (lambda: random.uniform(KEY, (COUNT,)), lambda s: s.uniform),
    "normal": (lambda: random.normal(KEY, (COUNT,)), lambda s: s.norm),
    "normal f32": (lambda: random.normal(KEY, (COUNT,), np.float32), lambda s: s.norm),
    "truncated": (lambda: random.truncated_normal(KEY, -1.0, 2.0, (COUNT,)), lambda s: s.truncnorm(-1, 2)),
    "exponential": (lambda: random.exponential(KEY, (COUNT,)), lambda s: s.expon),
    "gumbel": (lambda: random.gumbel(KEY, (COUNT,)), lambda s: s.gumbel_r),
    "laplace": (lambda: random.laplace(KEY, (COUNT,)), lambda s: s.laplace),
    "gamma": (lambda: random.gamma(KEY, 2.5, (COUNT,)), lambda s: s.gamma(2.5)),
    "gamma below 1": (lambda: random.gamma(KEY, 0.3, (COUNT,)), lambda s: s.gamma(0.3)),
    "beta": (lambda: random.beta(KEY, 0.5, 2.0, (COUNT,)), lambda s: s.beta(0.5, 2)),
    "dirichlet": (lambda: random.dirichlet(KEY, np.array([0.5, 1.0, 1.5]), (COUNT,))[:, 2], lambda s: s.beta(1.5, 1.5))}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_follow_their_distribution(name):
    """Kolmogorov's distance, below its 0.1 % quantile."""
    stats = pytest.importorskip("scipy.stats")
    sample, distribution = CONTINUOUS[name]
    expected = distribution(stats).cdf(np.sort(np.asarray(sample(), float)))
    distance = np.abs(expected - (np.arange(COUNT) + 0.5) / COUNT).max()
    assert distance < 1.95 / math.sqrt(COUNT)


@pytest.mark.parametrize("mean", [0.2, 3.5, 9.9, 10.0, 37.0, 400.0])
def test_poisson_numbers_come_as_often_as_they_should(mean):
    stats = pytest.importorskip("scipy.stats")
    drawn = random.poisson(KEY, mean, (COUNT,))
    low, high = (int(q) for q in stats.poisson.ppf([0.005, 0.995], mean))
    values = np.arange(low, high)
    counts = np.array([(drawn <= low).sum(), *[(drawn == v).sum() for v in values[1:]], (drawn >= high).sum()])
    p = np.array([stats.poisson.cdf(low, mean), *stats.poisson.pmf(values[1:], mean), stats.poisson.sf(high - 1, mean)])
    chi2 = ((counts - COUNT * p) ** 2 / (COUNT * p)).sum()
    assert drawn.dtype == np.int64 and chi2 < stats.chi2.ppf(0.999, len(p) - 1)


def test_poisson_means_may_differ_by_element():
    drawn = random.poisson(KEY, np.array([0.0, 2.0, 100.0]), (20_000, 3))
    np.testing.assert_allclose(drawn.mean(axis=0), [0, 2, 100], atol=0.3)


def test_vectors_have_the_covariance_that_was_asked_for():
    cov = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    drawn = random.multivariate_normal(KEY, np.array([1.0, 0.0, -1.0]), cov, (COUNT,))
    np.testing.assert_allclose(drawn.mean(axis=0), [1, 0, -1], atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.03)


def test_parameters_outside_of_the_domain_end():
    drawn = random.gamma(KEY, np.array([-1.0, np.nan, 0.0, np.inf, 2.0]))
    np.testing.assert_array_equal(drawn[:4], [np.nan, np.nan, 0.0, np.inf])
    assert 0 < drawn[4] < 20
    counts = random.poisson(KEY, np.array([-1.0, np.nan, np.inf, 0.0, 50.0]))
    assert counts[:4].tolist() == [-1, -1, -1, 0] and 10 < counts[4] < 100


def test_derivatives_go_through_draws():
    """With the key held fixed a draw is a function of its parameters, rounds of rejection included."""
    for draw in (lambda a: random.gamma(KEY, a, (3,)).sum(), lambda a: random.beta(KEY, a, 2.0, (3,)).sum(),
                 lambda a: (a * random.laplace(KEY, (3,))).sum()):
        difference = (draw(2.0 + 1e-6) - draw(2.0 - 1e-6)) / 2e-6
        np.testing.assert_allclose(tj.grad(draw)(2.0), difference, rtol=1e-6)


def test_every_distribution_has_lanes():
    keys = random.split(KEY, 3)
    for draw in (lambda k: random.poisson(k, np.array([3.0, 40.0])), lambda k: random.gamma(k, 0.5, (3,)),
                 lambda k: random.dirichlet(k, np.ones(3)), lambda k: random.permutation(k, np.arange(5))):
        np.testing.assert_allclose(tj.vmap(draw)(keys), np.stack([draw(k) for k in keys]), rtol=1e-12)


def test_parts_sum_to_one():
    parts = random.dirichlet(KEY, np.full((2, 4), 1e-3), (5, 2))
    assert parts.shape == (5, 2, 4)
    np.testing.assert_allclose(parts.sum(axis=-1), 1.0)


def test_uniform_bits_are_equal_in_number():
    words = random.bits(KEY, (COUNT,), np.uint64)
    for bit in range(64):
        ones = int(((words >> np.uint64(bit)) & np.uint64(1)).sum())
        assert abs(ones - COUNT / 2) < 5 * math.sqrt(COUNT / 4)


def test_categories_and_choices():
    p = np.array([0.1, 0.2, 0.7])
    counts = np.bincount(random.categorical(KEY, np.log(p), shape=(COUNT,)), minlength=3) / COUNT
    np.testing.assert_allclose(counts, p, atol=0.01)
    drawn = random.choice(KEY, np.arange(3), (COUNT,), p=p)
    np.testing.assert_allclose(np.bincount(drawn) / COUNT, p, atol=0.01)
    few = random.choice(KEY, np.arange(10), (6,), replace=False)
    assert len(set(few.tolist())) == 6
    weights = np.array([0.5, 0.5, 1e-300, 1e-300])
    assert set(random.choice(KEY, np.arange(4), (2,), replace=False, p=weights).tolist()) == {0, 1}


def test_permutations_hold_every_element():
    order = random.permutation(KEY, np.arange(1000))
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert (order != np.arange(1000)).any()
    rows = random.shuffle(KEY, np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(np.sort(rows[:, 0]), [0, 3, 6, 9])


def test_keys_split_into_independent_streams():
    children = random.split(KEY, (3,))
    streams = [random.normal(k, (COUNT,)) for k in children]
    assert abs(np.corrcoef(streams)[np.triu_indices(3, 1)]).max() < 0.015
    assert len({tuple(random.fold_in(KEY, i).tolist()) for i in range(50)}) == 50


def test_the_same_inside_a_compiled_function_and_in_lanes():
    inside = tj.function(lambda k: random.normal(k, (5,)) * 2)(KEY)
    np.testing.assert_array_equal(inside, random.normal(KEY, (5,)) * 2)
    lanes = tj.vmap(lambda k: random.uniform(k, (4,)))(random.split(KEY, 3))
    np.testing.assert_array_equal(lanes[1], random.uniform(random.split(KEY, 3)[1], (4,)))


DRAWS = """
import numpy as np
from tracejit import random
key, n = random.key(1), (60000,)
drawn = [random.normal(key, (300000,)), random.bernoulli(key, 0.3, n), random.categorical(key, np.zeros(5), shape=n),
         random.gamma(key, 0.7, n), random.permutation(key, np.arange(60000)), random.randint(key, n, 0, 1000),
         random.poisson(key, np.array([3.0, 30.0]), (30000, 2)), random.Generator(5).uniform(n)]
print([hash(x.tobytes()) for x in drawn])
"""


def test_the_same_on_any_number_of_threads():
    found = {subprocess.run([sys.executable, "-c", DRAWS], check=True, capture_output=True, text=True, env={
        **os.environ, "TRACEJIT_NUM_THREADS": n, "PYTHONHASHSEED": "0"}).stdout for n in ("1", "3")}
    assert len(found) == 1


def test_what_is_no_key_is_named():
    with pytest.raises(TypeError, match="is no key"):
        random.normal(np.zeros(2), (3,))
    with pytest.raises(TypeError, match="random numbers of i32"):
        random.normal(KEY, (3,), np.int32)
