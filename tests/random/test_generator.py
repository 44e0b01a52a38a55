"""tj.random.Generator: every draw is new, compiled or not, and can be repeated."""
from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tracejit as tj
from tracejit import random


def test_draws_differ_and_repeat_with_the_seed():
    g, h = random.Generator(7), random.Generator(7)
    drawn = [g.normal((3,)) for _ in range(3)]
    assert len({x.tobytes() for x in drawn}) == 3
    np.testing.assert_array_equal(drawn, [h.normal((3,)) for _ in range(3)])
    assert not np.array_equal(random.Generator(8).normal((3,)), drawn[0])


def test_compiled_functions_draw_what_plain_python_draws():
    g, h = random.Generator(1), random.Generator(1)

    @tj.function
    def noisy(x):
        total = g.uniform((4,))
        for _ in range(3):
            total = total + g.normal((4,)) * x
        return total, g.randint((2,), 0, 100)

    def plain(x):
        total = h.uniform((4,))
        for _ in range(3):
            total = total + h.normal((4,)) * x
        return total, h.randint((2,), 0, 100)
    for x in (1.0, 2.0):
        for a, b in zip(noisy(x), plain(x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)
    assert len(noisy.traces) == 1
    np.testing.assert_array_equal(g.state.numpy(), h.state.numpy())


def test_compiled_functions_draw_from_the_generator_of_the_call():
    g = random.Generator(1)

    @tj.function
    def draw(given):
        return g.normal(()), given.normal(())
    first = draw(random.Generator(2))
    g = random.Generator(1)
    assert draw(random.Generator(2)) == first and len(draw.traces) == 1


def test_a_draw_in_a_branch_moves_the_state_only_there():
    g = random.Generator(2)
    before = g.state.numpy()

    @tj.function
    def maybe(x):
        return g.normal((2,)) if x > 0 else np.zeros(2)
    maybe(-1.0)
    np.testing.assert_array_equal(g.state.numpy(), before)
    maybe(1.0)
    assert not np.array_equal(g.state.numpy(), before)


def test_the_state_is_saved_and_restored():
    g = random.Generator(3)
    g.normal(())
    saved, copied, loaded = g.state.numpy(), copy.deepcopy(g), pickle.loads(pickle.dumps(g))
    first = g.gamma(2.0, (3,))
    g.state.assign(saved)
    for other in (g, copied, loaded):
        np.testing.assert_array_equal(other.gamma(2.0, (3,)), first)


def test_split_generators_are_independent():
    parts = random.Generator(4).split(3)
    drawn = np.array([p.normal((20_000,)) for p in parts])
    assert abs(np.corrcoef(drawn)[np.triu_indices(3, 1)]).max() < 0.03
    assert random.Generator(4).keys(5).shape == (5, 2)


def test_threads_never_get_the_same_numbers():
    g = random.Generator(5)
    with ThreadPoolExecutor(4) as pool:
        compiled = tj.function(lambda: g.uniform(()))
        compiled()
        drawn = list(pool.map(lambda k: float(compiled() if k % 2 else g.uniform(())), range(400)))
    assert len(set(drawn)) == 400


@pytest.mark.parametrize("draw", [
    lambda g: g.bernoulli(0.5, (4,)), lambda g: g.beta(1.0, 2.0), lambda g: g.bits((2,)),
    lambda g: g.categorical(np.zeros(3)), lambda g: g.choice(np.arange(5), (2,)), lambda g: g.dirichlet(np.ones(3)),
    lambda g: g.exponential((2,)), lambda g: g.gumbel((2,)), lambda g: g.laplace((2,)),
    lambda g: g.permutation(np.arange(9)), lambda g: g.poisson(4.0, (3,)), lambda g: g.shuffle(np.arange(9)),
    lambda g: g.truncated_normal(-1.0, 1.0, (2,))])
def test_every_distribution_is_a_method(draw):
    np.testing.assert_array_equal(draw(random.Generator(6)), draw(random.Generator(random.key(6))))
