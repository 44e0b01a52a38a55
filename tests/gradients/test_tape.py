"""GradientTape and Variables, in compiled functions and outside."""
from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.errors import GradientError, ShapeError, UnsupportedError, UnsupportedTypeError
from tracejit.xla_lite.runtime.host import calls_are_watched


def test_the_known_example():
    x, y = tj.Variable(1.0), tj.Variable(2.0)

    def run():
        with tj.GradientTape() as tape:
            f = 3 * x + x * y + 1
        return (f, *tape.gradient(f, [x, y]))
    assert tuple(map(float, run())) == (6.0, 5.0, 1.0)
    assert tuple(map(float, tj.function(run)())) == (6.0, 5.0, 1.0)


def test_variables_are_trained_in_place():
    rng = np.random.default_rng(0)
    w, b = tj.Variable(np.zeros((3, 2)), name="w"), tj.Variable(np.zeros(2), name="b")
    x = rng.normal(size=(16, 3))
    y = np.tanh(x @ np.ones((3, 2)))
    memory = w.array

    @tj.function
    def step(x, y):
        with tj.GradientTape() as tape:
            loss = ((np.tanh(x @ w + b) - y) ** 2).mean()
        for variable, gradient in zip((w, b), tape.gradient(loss, [w, b]), strict=True):
            variable.assign_sub(0.5 * gradient)
        return loss
    losses = [float(step(x, y)) for _ in range(150)]
    assert w.array is memory and len(step.traces) == 1 and losses[-1] < 1e-3


def test_tapes_go_through_loops():
    @tj.function
    def f(a):
        with tj.GradientTape(persistent=True) as tape:
            tape.watch(a)
            s = 0.0
            for i in range(10):
                s = s * 0.5 + np.sin(a * i).sum()
            r = 1.0
            while abs(r * r - s * s - 1) > 1e-13:
                r = 0.5 * (r + (s * s + 1) / r)
        return r, s, tape.gradient(r, a), tape.gradient(s, a)
    a = np.array([0.3, 0.4])
    r, s, by_root, by_sum = f(a)
    np.testing.assert_allclose(r, np.sqrt(s * s + 1), rtol=1e-10)
    np.testing.assert_allclose(by_root, s / r * by_sum, rtol=1e-8)


def test_nested_tapes():
    @tj.function
    def second(v):
        with tj.GradientTape() as outer:
            outer.watch(v)
            with tj.GradientTape() as inner:
                inner.watch(v)
                y = (v ** 3).sum()
            total = inner.gradient(y, v).sum()
        return outer.gradient(total, v)
    np.testing.assert_allclose(second(np.array([1.0, 2.0])), [6.0, 12.0])


def test_unconnected_sources_and_several_targets():
    x, y = tj.Variable(1.0), tj.Variable([2.0, 3.0])
    with tj.GradientTape(persistent=True) as tape:
        a, b = x * 2, x * x
    assert tape.gradient(a, [x, y])[1] is None
    np.testing.assert_allclose(tape.gradient(a, [y], unconnected_gradients="zero")[0], [0.0, 0.0])
    assert float(tape.gradient([a, b], x)) == 4.0
    assert float(tape.gradient(a, x, output_gradients=tj.constant(3.0))) == 6.0


def test_a_tape_is_asked_once_unless_it_is_persistent():
    x = tj.Variable(1.0)
    with tj.GradientTape() as tape:
        y = x * 2
    tape.gradient(y, x)
    with pytest.raises(GradientError, match="nothing recorded"):
        tape.gradient(y, x)


def test_what_is_not_recorded():
    x = tj.constant([1.0, 2.0])
    with tj.GradientTape() as tape:
        tape.watch(x)
        with tape.stop_recording():
            weight = x * 3
        y = (weight * x).sum()
    np.testing.assert_allclose(tape.gradient(y, x), [3.0, 6.0])
    with tj.GradientTape() as tape, pytest.raises(GradientError, match="can't watch a list|can't watch"):
        tape.watch(tj.constant([1, 2]))


def test_variables_in_control_flow():
    v, count = tj.Variable(np.zeros(3)), tj.Variable(0)

    @tj.function
    def f(x):
        before = v.value
        for i in range(len(x)):
            if x[i] > 1:
                v.assign_add(x * i)
                count.assign_add(1)
        v[0] = -1.0
        return before, v.sum()
    before, total = f(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(before, 0.0)
    np.testing.assert_array_equal(v.numpy(), [-1.0, 6.0, 9.0])
    assert total == 14.0 and int(count) == 2


def test_variables_of_objects_are_read_at_every_call():
    class Model:
        def __init__(self, value):
            self.w = tj.Variable(value)

        @tj.function
        def __call__(self, x):
            self.w.assign_add(1.0)
            return self.w * x
    one, two = Model(1.0), Model(10.0)
    assert [float(one(2.0)), float(two(2.0)), float(one(2.0))] == [4.0, 22.0, 6.0]


def test_variables_keep_dtype_and_shape():
    v = tj.Variable(np.zeros(3, np.float32), name="v")
    with pytest.raises(ShapeError, match="v has the shape"):
        v.assign(np.zeros(4))
    with pytest.raises(UnsupportedTypeError, match="v holds float32"):
        v.assign(np.zeros(3, complex))
    assert v.assign(2).numpy().dtype == np.float32
    f = tj.function(lambda x: tj.Variable(x, name="w").value)
    f(1.0)
    with pytest.raises(UnsupportedError, match="creates w again"):
        f(1.0)


def test_copies_of_variables():
    v = tj.Variable([1.0, 2.0], name="v", trainable=False)
    for made in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        made.assign([5.0, 6.0])
        assert made.name == "v" and not made.trainable
    np.testing.assert_array_equal(v.numpy(), [1.0, 2.0])


EAGER = {
    "T": (lambda x: x.T, lambda x: x.T), "mT": (lambda x: x.mT, lambda x: np.swapaxes(x, -1, -2)),
    "real": (lambda x: x.real, lambda x: x), "conj": (lambda x: x.conj(), lambda x: x),
    "round": (lambda x: round(x.sum(), 1) + x, lambda x: x), "getitem": (lambda x: x[:, 1:], lambda x: x[:, 1:]),
    "at": (lambda x: x.at[0, 1].set(2 * x[1, 0]), None), "numpy function": (lambda x: np.cumsum(x, axis=0), None),
    "reflected": (lambda x: 2.0 / x, None), "matmul": (lambda x: x @ x.T, None),
    "method": (lambda x: x.clip(0, 2), None),
}


@pytest.mark.parametrize("name", EAGER)
def test_every_eager_operation_is_recorded(name):
    fn, plain = EAGER[name]
    weight = np.arange(1.0, 5).reshape(2, 2)
    for source in (tj.constant(weight), tj.Variable(weight)):
        with tj.GradientTape() as tape:
            tape.watch(source)
            made = fn(source.value if isinstance(source, tj.Variable) and name == "at" else source)
            y = (made * made).sum()
        expected = tj.grad(lambda x, f=plain or fn: (f(x) * f(x)).sum())(weight if plain else tj.constant(weight))
        if name != "round":
            np.testing.assert_allclose(tape.gradient(y, source), expected, rtol=1e-12)
        else:
            assert tape.gradient(y, source) is not None


def test_imaginary_parts_are_recorded():
    z = tj.constant(np.array([1.0 + 2.0j, -3.0 + 0.5j]))
    with tj.GradientTape() as tape:
        tape.watch(z)
        y = (z.imag ** 2).sum()
    np.testing.assert_allclose(tape.gradient(y, z), tj.grad(lambda z: (z.imag ** 2).sum())(z))


def _parts(a):
    s = 1.0
    for i in range(10):
        s = np.tanh(s * 1.5 + np.sin(a * i).sum()) * s
    t = s * a.sum()
    return t, (t * a).sum(), s


@pytest.mark.parametrize("inside", [True, False])
def test_a_persistent_tape_over_a_loop_is_asked_for_several_targets(inside):
    @tj.function
    def f(a):
        with tj.GradientTape(persistent=True) as tape:
            tape.watch(a)
            parts = _parts(a)
            if inside:
                return [tape.gradient(part, a) for part in parts]
        return [tape.gradient(part, a) for part in parts]
    a = np.array([0.3, 0.4])
    for k, found in enumerate(f(a)):
        np.testing.assert_allclose(found, tj.grad(lambda a, k=k: _parts(a)[k])(a), rtol=1e-12)


def test_an_outer_tape_asked_while_an_inner_one_records():
    @tj.function
    def f(a):
        with tj.GradientTape(persistent=True) as outer:
            outer.watch(a)
            with outer.stop_recording():
                weight = _parts(a)[2]
            s = _parts(a)[0]
            with tj.GradientTape() as inner:
                inner.watch(s)
                first = outer.gradient(s, a)
                y = s * s * weight
        return first, outer.gradient(y, a), inner.gradient(y, s)
    a = np.array([0.3, 0.4])
    s, _, weight = _parts(a)
    by_a = tj.grad(lambda a: _parts(a)[0])(a)
    for made, expected in zip(f(a), (by_a, 2 * s * weight * by_a, 2 * s * weight), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-12)


def test_derivatives_by_what_is_computed_on_the_way():
    def f(a):
        with tj.GradientTape() as tape:
            tape.watch(a)
            s = np.sin(a)
            tape.watch(s)
            y = (s * s * a).sum()
        return tape.gradient(y, [a, s])
    a = np.array([0.3, 0.4])
    for made in (tj.function(f)(a), f(tj.constant(a))):
        np.testing.assert_allclose(made[0], np.sin(a) ** 2 + 2 * np.sin(a) * np.cos(a) * a, rtol=1e-12)
        np.testing.assert_allclose(made[1], 2 * np.sin(a) * a, rtol=1e-12)


def test_what_was_computed_before_the_tape_is_recorded_when_it_is_computed_again():
    @tj.function
    def f(a):
        before = np.sin(a).sum()
        with tj.GradientTape() as tape:
            tape.watch(a)
            y = np.sin(a).sum()
        return before, tape.gradient(y, a)
    before, made = f(np.array([0.3, 0.4]))
    np.testing.assert_allclose(made, np.cos([0.3, 0.4]), rtol=1e-12)


def _scaled(x):
    return (x * x).sum()


OUTSIDE = {
    "function": tj.function(_scaled), "library": lambda x: tj.nn.softplus(x).sum(),
    "checkpoint": tj.checkpoint(_scaled),
    "grad": lambda x: tj.grad(_scaled)(x).sum(), "vmap": lambda x: tj.vmap(lambda t: np.sin(t) * t)(x).sum(),
    "custom": lambda x: tj.custom_gradient(lambda t: (_scaled(t), lambda ct: 5 * ct * t))(x),
    "vjp": lambda x: tj.vjp(_scaled, x)[1](tj.constant(2.0))[0].sum(), "linalg": lambda x: np.linalg.norm(x),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_calls_of_compiled_functions_are_recorded(name):
    x = tj.constant([0.3, -0.4])
    for _ in range(2):
        with tj.GradientTape() as tape:
            tape.watch(x)
            y = OUTSIDE[name](x * 2.0) * 1.5
        np.testing.assert_allclose(tape.gradient(y, x), tj.grad(lambda x: OUTSIDE[name](x * 2.0) * 1.5)(x), rtol=1e-12)


def test_what_a_recorded_call_changes_and_prints_is_done_once(capsys):
    v, w, seen = tj.Variable([1.0, 2.0], name="v"), tj.Variable(0, name="w"), []

    class Model:
        last = None

    model = Model()

    @tj.function
    def f(x):
        print("called")
        seen.append(x.shape[0])
        v.assign_add(1.0)
        w.assign_add(1)
        model.last = x * 3
        return (v * x * x).sum()
    x = tj.constant([3.0, 4.0])
    with tj.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first = f(x)
        second = f(x) + first
    v.assign(100.0)
    np.testing.assert_allclose(tape.gradient(first, [x, v])[0], [12.0, 24.0])
    np.testing.assert_allclose(tape.gradient(second, v), [18.0, 32.0])
    np.testing.assert_allclose(tape.gradient(second, x), [30.0, 56.0])
    assert capsys.readouterr().out == "called\n" * 2 and seen == [2, 2] and int(w) == 2
    assert np.asarray(model.last).tolist() == [9, 12] and v.numpy().tolist() == [100, 100]


def test_a_model_that_is_made_in_its_first_call_is_trained_by_an_eager_tape():
    class Dense:
        w = None

        @tj.function
        def __call__(self, x):
            if self.w is None:
                self.w = tj.Variable(np.zeros(x.shape[1]), name="w")
            return x @ self.w
    rng = np.random.default_rng(0)
    x, model = rng.normal(size=(32, 3)), Dense()
    y = x @ [1.0, 2.0, 3.0]
    for _ in range(60):
        with tj.GradientTape() as tape:
            loss = ((model(tj.constant(x)) - y) ** 2).mean()
        model.w.assign_sub(0.3 * tape.gradient(loss, model.w))
    np.testing.assert_allclose(model.w.numpy(), [1.0, 2.0, 3.0], atol=1e-6)


def test_arguments_that_change_before_the_gradient_is_asked():
    v, x = tj.Variable(2.0), np.array([1.0, 2.0])
    f = tj.function(lambda x: (v * x).sum())
    with tj.GradientTape() as tape:
        y = f(x)
    x[:] = 100.0
    assert float(tape.gradient(y, v)) == 3.0


def test_eager_tapes_nest():
    x = tj.constant([1.0, 2.0])
    with tj.GradientTape() as outer:
        outer.watch(x)
        with tj.GradientTape() as inner:
            inner.watch(x)
            y = (x ** 3).sum()
        slope = inner.gradient(y, x)
    np.testing.assert_allclose(slope, [3.0, 12.0])
    np.testing.assert_allclose(outer.gradient(slope, x), [6.0, 12.0])


def test_native_dispatch_is_back_when_no_tape_records():
    f = tj.function(lambda x: x + 1)
    f(np.ones(2))
    tape = tj.GradientTape()
    with tape:
        f(np.ones(2))
        tape.reset()
        with tape.stop_recording():
            f(np.ones(2))
        with pytest.raises(ZeroDivisionError), tj.GradientTape():
            raise ZeroDivisionError
    assert not calls_are_watched() and len(f.traces) == 1


def test_numbers_that_differ_from_step_to_step_share_a_compiled_gradient():
    x = tj.constant([1.0, 2.0])
    made = set()
    for scale in (0.5, 0.25, 0.125):
        with tj.GradientTape() as tape:
            tape.watch(x)
            y = (x * scale).sum()
        program = tape._tape.program([y], [x])
        made.add(program.steps_key)
        np.testing.assert_allclose(tape.gradient(y, x), [scale, scale])
    assert len(made) == 1


def test_nan_in_the_gradient_of_an_eager_tape_is_named_by_the_line_of_the_operation():
    x = tj.constant([1.0, 0.0])
    with tj.options(debug_nans=True):
        with tj.GradientTape() as tape:
            tape.watch(x)
            root = np.sqrt(np.abs(x * x))
            y = root.sum()
        with pytest.raises(FloatingPointError, match=r"derivative of `abs`[\s\S]*root = np\.sqrt\(np\.abs\(x \* x\)\)"):
            tape.gradient(y, x)


def test_what_an_eager_tape_held_is_freed_with_it():
    x = tj.constant(np.ones(1000))
    gone = weakref.ref(x)
    with tj.GradientTape() as tape:
        tape.watch(x)
        y = (x * x * 1.25).sum()
    tape.gradient(y, x)
    del x, y
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("count", [5, None])
def test_tapes_go_through_lists(count):
    def f(x, n):
        with tj.GradientTape(persistent=True) as tape:
            tape.watch(x)
            rows = []
            for i in range(count or n):
                rows.append(np.sin(x) * i)
            total = 0.0
            for row in rows:
                total = total + (row * row).sum()
            double = 2 * total
        return tape.gradient(total, x), tape.gradient(double, x)
    x = np.array([0.3, 0.4])
    expected = 60 * np.sin(x) * np.cos(x)
    for made, factor in zip(tj.function(f)(x, 5), (1, 2), strict=True):
        np.testing.assert_allclose(made, factor * expected, rtol=1e-12)


def grown(parts, x, least):
    s = 0.2
    while s < x.sum() + least:
        parts.append(s * x[0])
        s = s * 1.7 + 0.1
    return parts


def test_a_list_from_before_the_tape_is_changed_once_and_is_no_source():
    @tj.function
    def f(x):
        parts, log = grown([], x, 1), grown([], x, 2)
        with tj.GradientTape() as tape:
            tape.watch(x)
            parts.append(x[1] * x[1])
            parts[0] = x[2] * 3
            y = sum(parts) * parts[-1]
            log.append(y)
        parts.append(5.0)
        return y, tape.gradient(y, x), len(parts), len(log)
    x = np.array([0.3, 0.8, 0.5])
    before = grown([], x, 1)
    rest = sum(before[1:]) + 1.5
    y, gradient, parts, log = f(x)
    assert (parts, log) == (len(before) + 2, len(grown([], x, 2)) + 1)
    assert y == pytest.approx((rest + 0.64) * 0.64)
    np.testing.assert_allclose(gradient, [0, 1.6 * (rest + 2 * 0.64), 3 * 0.64], rtol=1e-12)


def test_tapes_see_what_goes_into_a_list_by_another_name():
    @tj.function
    def f(x):
        with tj.GradientTape() as tape:
            tape.watch(x)
            a, b = grown([], x, 1), grown([], x, 2)
            c = a if x[0] > 0.1 else b
            a.append(x[2] * 100)
            y = sum(c)
        return tape.gradient(y, x)
    assert f(np.array([0.3, 0.8, 0.5]))[2] == 100


def test_tapes_in_tapes_go_through_lists_that_shrink():
    def h(x):
        a, b = grown([], x, 1), []
        while len(a) > 0:
            b.append(a.pop() * x[2] * x[2])
        return sum(b) * x[1]

    @tj.function
    def f(x):
        with tj.GradientTape() as outer:
            outer.watch(x)
            with tj.GradientTape() as tape:
                tape.watch(x)
                y = h(x)
            w = (tape.gradient(y, x) ** 2).sum()
        return outer.gradient(w, x)
    x = np.array([0.3, 0.8, 0.5])
    np.testing.assert_allclose(f(x), tj.grad(lambda x: (tj.grad(h)(x) ** 2).sum())(x), rtol=1e-10)


def test_steps_of_training_in_a_native_loop():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3))
    y = x @ [1.0, 2.0, 3.0]
    w, m = tj.Variable(np.zeros(3), name="w"), tj.Variable(np.zeros(3), name="m")

    def train(x, y, least):
        k, loss = 0, 1e9
        while loss > least:
            with tj.GradientTape() as tape:
                loss = ((x @ w - y) ** 2).mean()
            gradient = tape.gradient(loss, w)
            if k % 2 == 0:
                m.assign(0.5 * m + gradient)
            else:
                m.assign_sub(0.5 * m - gradient)
            w.assign_sub(0.1 * m)
            k += 1
        return k
    compiled = tj.function(train)
    steps = compiled(x, y, 1e-6)
    np.testing.assert_allclose(w.numpy(), [1.0, 2.0, 3.0], atol=1e-2)
    held = w.numpy()
    w.assign(0.0), m.assign(0.0)
    assert train(tj.constant(x), tj.constant(y), 1e-6) == steps and len(compiled.traces) == 1
    np.testing.assert_allclose(w.numpy(), held, rtol=1e-9)


def test_results_of_functions_that_read_variables_are_recorded_further():
    v = tj.Variable([1.0, -2.0, 3.0])
    f = tj.function(lambda x: {"loss": (v * x).sum(), "count": len(x)})
    with tj.GradientTape() as tape:
        made = f(np.array([1.0, 2.0, 3.0]))
        y = made["loss"] * 2.0 + (tj.nn.relu(v) * 3.0).sum()
    assert made["count"] == 3
    np.testing.assert_array_equal(tape.gradient(y, v), [5.0, 4.0, 9.0])
    assert isinstance(f(np.ones(3))["loss"], np.float64)


def test_functions_of_the_library_that_assign_are_called_while_a_tape_records():
    v, average = tj.Variable([1.0, 2.0]), tj.optim.ExponentialMovingAverage(0.5)
    with tj.GradientTape() as tape:
        y = (v * v).sum()
        average.update([v])
        v.assign_add(1.0)
        average.update([v])
    np.testing.assert_array_equal(tape.gradient(y, v), [2.0, 4.0])
    np.testing.assert_array_equal(average.average(v).numpy(), [1.5, 2.5])
