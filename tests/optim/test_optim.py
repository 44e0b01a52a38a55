"""tj.optim against the published update rules, written out."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tracejit import optim

RNG = np.random.default_rng(5)
PARAMS = {"w": RNG.normal(size=(3, 2)), "b": (RNG.normal(size=2),)}
GRADIENTS = [{"w": RNG.normal(size=(3, 2)), "b": (RNG.normal(size=2),)} for _ in range(4)]


def sgd(p, g, s, t, momentum=0.9):
    s["v"] = momentum * s.get("v", 0) + g
    return p - 0.1 * s["v"]


def nesterov(p, g, s, t):
    s["v"] = 0.9 * s.get("v", 0) + g
    return p - 0.1 * (g + 0.9 * s["v"])


def adam(p, g, s, t, decay=0.0):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    step = s["m"] / (1 - 0.9 ** t) / (np.sqrt(s["v"] / (1 - 0.999 ** t)) + 1e-8)
    return p - 0.1 * (step + decay * p)


def nadam(p, g, s, t):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    ahead = 0.9 * s["m"] / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9 ** t)
    return p - 0.1 * ahead / (np.sqrt(s["v"] / (1 - 0.999 ** t)) + 1e-8)


def adagrad(p, g, s, t):
    s["v"] = s.get("v", 0.1) + g * g
    return p - 0.1 * g / (np.sqrt(s["v"]) + 1e-7)


def adadelta(p, g, s, t):
    s["v"] = 0.95 * s.get("v", 0) + 0.05 * g * g
    step = np.sqrt(s.get("d", 0) + 1e-7) / np.sqrt(s["v"] + 1e-7) * g
    s["d"] = 0.95 * s.get("d", 0) + 0.05 * step * step
    return p - 0.1 * step


def rmsprop(p, g, s, t):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g * g
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = 0.5 * s.get("u", 0) + 0.1 * g / (np.sqrt(s["v"] - s["m"] ** 2) + 1e-7)
    return p - s["u"]


def lion(p, g, s, t):
    m = s.get("m", 0 * g)
    s["m"] = 0.99 * m + 0.01 * g
    return p - 0.1 * (np.sign(0.9 * m + 0.1 * g) + 0.01 * p)


CASES = [(optim.SGD(0.1), lambda p, g, s, t: p - 0.1 * g), (optim.SGD(0.1, momentum=0.9), sgd),
         (optim.SGD(0.1, momentum=0.9, nesterov=True), nesterov),
         (optim.SGD(0.1, weight_decay=0.5), lambda p, g, s, t: p - 0.1 * (g + 0.5 * p)), (optim.Adam(0.1), adam),
         (optim.AdamW(0.1, weight_decay=0.3), lambda *a: adam(*a, decay=0.3)), (optim.Nadam(0.1), nadam),
         (optim.Adagrad(0.1), adagrad), (optim.Adadelta(0.1), adadelta),
         (optim.RMSProp(0.1, centered=True, momentum=0.5), rmsprop), (optim.Lion(0.1, weight_decay=0.01), lion)]


@pytest.mark.parametrize("opt, rule", CASES, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("wrap", [lambda f: f, tj.function], ids=["plain", "compiled"])
def test_updates_follow_the_published_rules(opt, rule, wrap):
    update = wrap(lambda g, s, p: opt.update(g, s, p))
    params, state = PARAMS, opt.init(PARAMS)
    leaves, slots = [PARAMS["w"], PARAMS["b"][0]], [{}, {}]
    for t, g in enumerate(GRADIENTS, 1):
        params, state = update(g, state, params)
        leaves = [rule(p, d, s, t) for p, d, s in zip(leaves, (g["w"], g["b"][0]), slots, strict=True)]
    np.testing.assert_allclose(params["w"], leaves[0], rtol=1e-12)
    np.testing.assert_allclose(params["b"][0], leaves[1], rtol=1e-12)
    assert state["step"] == 4


def test_parameters_keep_their_dtype():
    params = {"w": np.ones(3, np.float32)}
    for opt, _ in CASES:
        moved, state = opt.update({"w": np.ones(3, np.float32)}, opt.init(params), params)
        assert moved["w"].dtype == np.float32
        assert all(v["w"].dtype == np.float32 for k, v in state.items() if k != "step")


def test_schedules():
    steps = np.arange(6)
    np.testing.assert_allclose(optim.step_decay(1.0, 2)(steps), [1, 1, 0.1, 0.1, 0.01, 0.01])
    np.testing.assert_allclose(optim.exponential(1.0, 2, 0.25)(steps), 0.5 ** steps)
    np.testing.assert_allclose(optim.cosine(2.0, 4)(steps), [1 + math.cos(math.pi * k / 4) for k in range(4)] + [0, 0],
                               atol=1e-12)
    np.testing.assert_allclose(optim.piecewise([2, 4], [3.0, 2.0, 1.0])(steps), [3, 3, 2, 2, 1, 1])
    np.testing.assert_allclose(optim.warmup(3, optim.step_decay(1.0, 2))(steps), [1 / 3, 2 / 3, 1, 1, 1, 0.1])
    with pytest.raises(ValueError, match="one more"):
        optim.piecewise([1], [1.0])


def test_clipping():
    tree = {"a": np.array([3.0, 4.0]), "b": np.array([12.0])}
    assert optim.global_norm(tree) == 13.0
    np.testing.assert_allclose(optim.clip_by_global_norm(tree, 6.5)["b"], 6.0)
    np.testing.assert_allclose(optim.clip_by_global_norm(tree, 50.0)["b"], 12.0)
    np.testing.assert_allclose(optim.clip_by_norm(tree, 2.5)["a"], [1.5, 2.0])
    np.testing.assert_allclose(optim.clip_by_value(tree, -1.0, 3.5)["a"], [3.0, 3.5])


def test_moving_averages():
    np.testing.assert_allclose(optim.moving_average({"w": 1.0}, {"w": 3.0}, 0.9)["w"], 1.2)
    np.testing.assert_allclose(optim.moving_average({"w": 1.0}, {"w": 3.0}, 0.9, step=0)["w"], 2.8)


def test_other_structures_are_refused():
    opt = optim.Adam(0.1)
    with pytest.raises(tj.errors.SignatureError, match="gradients have the structure"):
        opt.update({"w": np.ones(3)}, opt.init(PARAMS), PARAMS)
    with pytest.raises(tj.errors.SignatureError, match="state"):
        opt.update(GRADIENTS[0], opt.init({"w": np.ones(3)}), PARAMS)
