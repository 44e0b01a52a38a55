"""tj.optim against the published update rules, written out."""
from __future__ import annotations

import math
import sys
from dataclasses import dataclass

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
         (optim.Adagrad(0.1, start=0.1, epsilon=1e-7), adagrad),
         (optim.Adadelta(0.1, rho=0.95, epsilon=1e-7), adadelta),
         (optim.RMSProp(0.1, rho=0.9, epsilon=1e-7, centered=True, momentum=0.5), rmsprop),
         (optim.Lion(0.1, weight_decay=0.01), lion)]


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
    np.testing.assert_allclose(optim.polynomial(3.0, 4, power=2.0, final=1.0)(steps), [3, 2.125, 1.5, 1.125, 1, 1])
    np.testing.assert_allclose(optim.cosine_restarts(1.0, 2)(np.array([0, 1, 2, 4, 6, 10])), [1, 0.5, 1, 0.5, 1, 0.5])
    np.testing.assert_allclose(optim.cosine_restarts(1.0, 2, factor=1, shrink=0.5)(steps),
                               [1, 0.5, 0.5, 0.25, 0.25, 0.125])
    np.testing.assert_allclose(optim.joined([optim.constant(5.0), optim.exponential(1.0, 1, 0.5)], [2])(steps),
                               [5, 5, 1, 0.5, 0.25, 0.125])
    np.testing.assert_allclose(optim.warmup(3, optim.step_decay(1.0, 2))(steps), [1 / 3, 2 / 3, 1, 1, 1, 0.1])
    with pytest.raises(ValueError, match="one more"):
        optim.piecewise([1], [1.0])
    with pytest.raises(ValueError, match="one more"):
        optim.joined([optim.constant(1.0)], [1])


def test_the_rate_of_a_step_is_that_of_its_schedule():
    def rate(step):
        return 0.5 ** step
    params, state = np.ones(2), optim.SGD(rate).init(np.ones(2))
    for _ in range(3):
        params, state = optim.SGD(rate).update(np.ones(2), state, params)
    np.testing.assert_allclose(params, 1 - 1 - 0.5 - 0.25)


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


@pytest.mark.parametrize("ours, name, options", [
    (optim.SGD(0.1, momentum=0.9, weight_decay=0.1), "SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    (optim.SGD(0.1, momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    (optim.Adam(0.1, weight_decay=0.2), "Adam", {"weight_decay": 0.2}),
    (optim.Adam(0.1, amsgrad=True), "Adam", {"amsgrad": True}),
    (optim.AdamW(0.1, weight_decay=0.3), "AdamW", {"weight_decay": 0.3}), (optim.Adagrad(0.1), "Adagrad", {}),
    (optim.Adadelta(1.0), "Adadelta", {}), (optim.RMSProp(0.1), "RMSprop", {}),
    (optim.RMSProp(0.1, momentum=0.5, centered=True), "RMSprop", {"momentum": 0.5, "centered": True})],
    ids=lambda x: repr(x))
def test_updates_equal_those_of_torch(ours, name, options):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(PARAMS["w"], requires_grad=True), torch.tensor(PARAMS["b"][0], requires_grad=True)]
    optimizer = getattr(torch.optim, name)(theirs, **{"lr": ours.learning_rate, **options})
    params, state = PARAMS, ours.init(PARAMS)
    for g in GRADIENTS:
        params, state = ours.update(g, state, params)
        theirs[0].grad, theirs[1].grad = torch.tensor(g["w"]), torch.tensor(g["b"][0])
        optimizer.step()
    np.testing.assert_allclose(params["w"], theirs[0].detach(), rtol=1e-12)
    np.testing.assert_allclose(params["b"][0], theirs[1].detach(), rtol=1e-12)


def test_only_chosen_parameters_decay():
    params = {"w": np.ones((2, 2)), "b": np.ones(2)}
    zero = {"w": np.zeros((2, 2)), "b": np.zeros(2)}
    for opt in (optim.SGD(0.1, weight_decay=0.5, decays=lambda name, p: "b" not in name),
                optim.AdamW(0.1, weight_decay=0.5, decays=lambda name, p: p.ndim > 1)):
        moved, _ = opt.update(zero, opt.init(params), params)
        np.testing.assert_allclose(moved["w"], 0.95)
        np.testing.assert_allclose(moved["b"], 1.0)


def test_gradients_go_through_what_is_chained_before():
    opt = optim.chain(lambda g: optim.clip_by_global_norm(g, 1.0), lambda g: tj.tree.map(lambda x: 2 * x, g),
                      optim.SGD(1.0))
    moved, _ = opt.update([np.array([30.0]), np.array([40.0])], opt.init([np.zeros(1)] * 2), [np.zeros(1)] * 2)
    np.testing.assert_allclose(moved, [[-1.2], [-1.6]])
    with pytest.raises(tj.errors.SignatureError, match="an optimizer at the end"):
        optim.chain(optim.SGD(1.0), lambda g: g)


def test_half_precision_is_updated_in_single():
    params = np.ones(3, np.float16)
    opt = optim.Adam(0.01)
    moved, state = opt.update(np.full(3, 1e-4, np.float16), opt.init(params), params)
    assert moved.dtype == np.float16 and state["squares"].dtype == np.float32
    np.testing.assert_allclose(moved, 0.99, rtol=1e-3)


@dataclass(frozen=True)
class Own(optim.Optimizer):
    """A user's rule, with control flow and a global."""

    def change(self, g, p, slots, rate):
        if np.abs(g).max() > LIMIT:
            g = g / np.abs(g).max()
        return rate * g, slots


LIMIT = 5.0


def test_rules_of_users_are_converted(monkeypatch):
    opt, x = Own(0.5), np.zeros(2)
    np.testing.assert_allclose(opt.update(np.array([1.0, 4.0]), opt.init(x), x)[0], [-0.5, -2.0])
    np.testing.assert_allclose(opt.update(np.array([1.0, 10.0]), opt.init(x), x)[0], [-0.05, -0.5])
    monkeypatch.setattr(sys.modules[__name__], "LIMIT", 2.0)
    np.testing.assert_allclose(opt.update(np.array([1.0, 4.0]), opt.init(x), x)[0], [-0.125, -0.5])


def test_other_hyperparameters_are_no_new_trace():
    @tj.function
    def update(opt, grads, state, params):
        return opt.update(grads, state, params)[0]
    state, x = optim.Adam(0.1).init(np.ones(2)), np.ones(2)
    found = [update(optim.Adam(rate), x, state, x)[0] for rate in (0.1, 0.2, 0.3)]
    np.testing.assert_allclose(found, [0.9, 0.8, 0.7])
    assert len(update.traces) == 1


def test_steps_have_derivatives():
    """What three steps lead to, as a function of the learning rate."""
    def after(rate):
        opt, x = optim.SGD(rate, momentum=0.5), np.array([1.0, 2.0])
        state = opt.init(x)
        for _ in range(3):
            x, state = opt.update(2 * x, state, x)
        return (x ** 2).sum()
    np.testing.assert_allclose(tj.grad(after)(0.1), (after(0.1 + 1e-6) - after(0.1 - 1e-6)) / 2e-6, rtol=1e-6)


def test_trees_of_tensors_and_numbers():
    params = {"w": tj.constant(np.ones(3)), "s": 1.0, "e": np.zeros((0, 2))}
    opt = optim.Adam(0.1)
    moved, _ = opt.update({"w": np.ones(3), "s": 2.0, "e": np.zeros((0, 2))}, opt.init(params), params)
    np.testing.assert_allclose(moved["w"], 0.9)
    assert isinstance(moved["w"], tj.Tensor) and float(moved["s"]) == pytest.approx(0.9) and moved["e"].shape == (0, 2)
    assert opt.update([], opt.init([]), [])[0] == []


def test_unusable_parameters_are_refused():
    opt = optim.SGD(0.1)
    with pytest.raises(tj.errors.DtypeError, match="can't change i64"):
        opt.update(np.ones(2), opt.init(np.ones(2)), np.ones(2, int))
    with pytest.raises(tj.errors.ShapeError, match="has the shape"):
        opt.update(np.ones(3), opt.init(np.ones((2, 3))), np.ones((2, 3)))
    adam = optim.Adam(0.1)
    with pytest.raises(tj.errors.ShapeError, match=r"in state\['means'\]"):
        adam.update({"w": np.ones(3)}, adam.init({"w": np.ones(4)}), {"w": np.ones(3)})


def test_other_structures_are_refused():
    opt = optim.Adam(0.1)
    with pytest.raises(tj.errors.SignatureError, match="gradients have the structure"):
        opt.update({"w": np.ones(3)}, opt.init(PARAMS), PARAMS)
    with pytest.raises(tj.errors.SignatureError, match="state"):
        opt.update(GRADIENTS[0], opt.init({"w": np.ones(3)}), PARAMS)
