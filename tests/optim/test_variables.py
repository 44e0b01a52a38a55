"""tj.optim on Variables: the same numbers as on trees, in place, inside compiled functions and outside."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tracejit as tj
from tracejit import optim

RNG = np.random.default_rng(3)
X = RNG.normal(size=(16, 3))
Y = np.tanh(X @ RNG.normal(size=(3, 2)))
START = {"w": RNG.normal(size=(3, 2)), "b": np.zeros(2)}
OPTIMIZERS = [optim.SGD(0.1, momentum=0.9), optim.AdamW(optim.cosine(0.1, 20)), optim.RMSProp(0.01, centered=True),
              optim.chain(lambda g: optim.clip_by_global_norm(g, 0.1), optim.Adam(0.1, amsgrad=True))]


def loss(p):
    return ((np.tanh(X @ p["w"] + p["b"]) - Y) ** 2).mean()


def model():
    return {name: tj.Variable(value, name=name) for name, value in START.items()}


def on_trees(opt, steps):
    params, state = START, opt.init(START)
    for _ in range(steps):
        params, state = opt.update(tj.grad(loss)(params), state, params)
    return params


@pytest.mark.parametrize("wrap", [lambda f: f, tj.function], ids=["eager", "compiled"])
@pytest.mark.parametrize("opt", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_variables_get_what_trees_get(opt, wrap):
    opt, v = copy.deepcopy(opt), model()
    memory = v["w"].array
    step = wrap(lambda: opt.minimize(lambda: loss(v), list(v.values())))
    losses = [float(step()) for _ in range(4)]
    expected = on_trees(opt, 4)
    for name in START:
        np.testing.assert_allclose(v[name].numpy(), expected[name], rtol=1e-9)
    assert losses[-1] < losses[0] and v["w"].array is memory
    assert opt.variables[0].numpy() == 4 and len(opt.variables) == 1 + 2 * len(opt.names())


def test_tapes_and_apply_gradients():
    v, opt = model(), optim.Adam(0.1)

    @tj.function
    def step():
        with tj.GradientTape() as tape:
            value = loss(v)
        variables = list(v.values())
        opt.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return value
    for _ in range(4):
        step()
    np.testing.assert_allclose(v["w"].numpy(), on_trees(opt, 4)["w"], rtol=1e-9)
    assert len(step.traces) == 1


def test_a_rate_in_a_variable_can_be_changed():
    rate, v = tj.Variable(0.5), tj.Variable(np.ones(2))
    opt = optim.SGD(rate)
    for expected in (0.5, 0.25):
        opt.apply_gradients([(np.ones(2), v)])
        np.testing.assert_allclose(v.numpy(), expected)
        rate.assign(0.25)


def test_variables_without_gradient_are_left_alone():
    v, w = tj.Variable(np.ones(2)), tj.Variable(np.ones(2))
    optim.SGD(0.5).apply_gradients([(None, v), (np.ones(2), w)])
    np.testing.assert_array_equal([v.numpy(), w.numpy()], [[1, 1], [0.5, 0.5]])
    with pytest.raises(tj.errors.GradientError, match="got no gradient"):
        optim.SGD(0.5).apply_gradients([(None, v)])


@pytest.mark.parametrize("wrap", [lambda f: f, tj.function], ids=["eager", "compiled"])
def test_a_gradient_of_another_shape_changes_nothing(wrap):
    v, opt = model(), optim.Adam(0.1)
    pairs = [(np.ones((3, 2)), v["w"]), (np.ones(3), v["b"])]
    with pytest.raises(tj.errors.ShapeError, match="b has the shape"):
        wrap(lambda: opt.apply_gradients(pairs))()
    np.testing.assert_array_equal(v["w"].numpy(), START["w"])
    assert opt.variables == ()


def test_what_is_no_list_of_variables_is_refused():
    v = tj.Variable(np.ones(2), name="v")
    with pytest.raises(tj.errors.SignatureError, match="got v twice"):
        optim.SGD(0.5).apply_gradients([(np.ones(2), v), (np.ones(2), v)])
    with pytest.raises(tj.errors.UnsupportedTypeError, match="got a ndarray to assign to"):
        optim.SGD(0.5).apply_gradients([(np.ones(2), np.ones(2))])
    np.testing.assert_array_equal(v.numpy(), 1.0)


def test_many_steps_in_one_compiled_loop():
    v, opt = tj.Variable(np.array([1.0, 2.0])), optim.Adam(0.1)

    @tj.function
    def many(steps):
        for _ in range(steps):
            opt.minimize(lambda: (v ** 2).sum(), [v])
    many(200)
    assert np.abs(v.numpy()).max() < 1e-3 and opt.variables[0].numpy() == 200


def test_the_state_is_saved_and_restored():
    v, opt = model(), optim.Adam(0.1)
    variables = list(v.values())
    opt.minimize(lambda: loss(v), variables)
    saved = [x.numpy() for x in (*variables, *opt.variables)]
    pickled = pickle.dumps((v, opt))
    opt.minimize(lambda: loss(v), variables)
    w, other = model(), optim.Adam(0.1)
    other.build(list(w.values()))
    for x, value in zip((*w.values(), *other.variables), saved, strict=True):
        x.assign(value)
    other.minimize(lambda: loss(w), list(w.values()))
    np.testing.assert_array_equal(w["w"].numpy(), v["w"].numpy())
    u, third = pickle.loads(pickled)
    third.minimize(lambda: loss(u), list(u.values()))
    np.testing.assert_array_equal(u["w"].numpy(), v["w"].numpy())


def test_averages_of_variables():
    v, average = tj.Variable(np.zeros(2)), optim.ExponentialMovingAverage(0.5)
    with pytest.raises(tj.errors.SignatureError, match="no average yet"):
        average.average(v)
    average.update([v])
    move = tj.function(lambda x: (v.assign(x), average.update([v]))[0].value)
    move(np.ones(2))
    np.testing.assert_allclose(average.average(v).numpy(), 0.5)
    move(np.ones(2))
    np.testing.assert_allclose(average.average(v).numpy(), 0.75)
    warm = optim.ExponentialMovingAverage(0.9, warm=True)
    warm.update([v])
    v.assign(3.0)
    warm.update([v])
    np.testing.assert_allclose(warm.average(v).numpy(), 1 + 2 * (1 - 2 / 11))


def test_the_state_goes_with_its_variable():
    opt, v = optim.Adam(0.1), tj.Variable(np.ones(2))
    opt.build([v])
    assert [x.name for x in opt.variables] == ["step", "Variable.means", "Variable.squares"]
    del v
    assert len(opt.variables) == 1


class Model:
    def __init__(self):
        self.w = tj.Variable(np.zeros(2))


def test_one_compiled_step_serves_several_models_and_optimizers():
    """The state belongs to Variable and optimizer, not to the trace."""
    @tj.function
    def step(model, opt):
        opt.apply_gradients([(np.ones(2), model.w)])
    one, two, opt = Model(), Model(), optim.SGD(1.0, momentum=0.5)
    for model in (one, two, one, two):
        step(model, opt)
    np.testing.assert_array_equal([one.w.numpy(), two.w.numpy()], -2.5)
    assert len(step.traces) == 2
    third = Model()
    step(third, optim.SGD(1.0, momentum=0.5))
    step(third, optim.SGD(1.0, momentum=0.5))
    np.testing.assert_array_equal(third.w.numpy(), -2.0)


def test_another_optimizer_or_average_under_the_same_name_is_noticed():
    v = tj.Variable(np.zeros(2))
    opt, average = optim.SGD(1.0, momentum=0.5), optim.ExponentialMovingAverage(0.5)

    @tj.function
    def step():
        opt.apply_gradients([(np.ones(2), v)])
        average.update([v])
    step()
    opt, average = optim.SGD(1.0, momentum=0.5), optim.ExponentialMovingAverage(0.5)
    step()
    np.testing.assert_array_equal(v.numpy(), -2.0)
    assert opt.variables[0].numpy() == 1 and float(average.average(v)[0]) == -1.5


def test_equal_optimizers_share_what_is_compiled():
    """Outside of compiled functions too the state is each optimizer's own."""
    v, one, two = tj.Variable(np.zeros(2)), optim.SGD(1.0, momentum=0.5), optim.SGD(1.0, momentum=0.5)
    for opt in (one, two, one):
        opt.apply_gradients([(np.ones(2), v)])
    np.testing.assert_array_equal(v.numpy(), -3.5)
