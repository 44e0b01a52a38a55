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


def test_normal_numbers_follow_the_normal_distribution():
    """Kolmogorov's distance, below its 0.1 % quantile."""
    x = np.sort(random.normal(KEY, (COUNT,)))
    expected = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    distance = np.abs(expected - (np.arange(COUNT) + 0.5) / COUNT).max()
    assert distance < 1.95 / math.sqrt(COUNT)


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


def test_the_same_on_any_number_of_threads():
    code = "import numpy as np; from tracejit import random; print(random.normal(random.key(1), (300000,)).sum().hex())"
    found = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "TRACEJIT_NUM_THREADS": n}, check=True,
                            capture_output=True, text=True).stdout for n in ("1", "2")}
    assert len(found) == 1


def test_what_is_no_key_is_named():
    with pytest.raises(TypeError, match="is no key"):
        random.normal(np.zeros(2), (3,))
    with pytest.raises(TypeError, match="random numbers of i32"):
        random.normal(KEY, (3,), np.int32)
