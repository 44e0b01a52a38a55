"""Globals, closure cells and attributes are read at every call; what is assigned to them arrives after the call.

Flows in: functions that read and write names of their surroundings.
"""

import dataclasses
import operator
import types
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import tracejit as tj

ARRAY = np.array([1.0, 2.0])
NUMBER = 2.0
COUNT = 3
FLAG = True
TEXT = "double"
TABLE = {"gain": np.array([1.0, 10.0]), "offset": 0.5, "steps": [1, 2]}
ORDERED = OrderedDict(a=np.ones(2), b=2.0)
settings = types.ModuleType("settings")
settings.rate = 0.5    # type: ignore[attr-defined]
calls = 0


def helper(x: Any) -> Any:
    return x * NUMBER


def test_a_global_array_is_read_by_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    f = tj.function(lambda x: x + ARRAY)
    array = np.array([1.0, 2.0])
    monkeypatch.setitem(globals(), "ARRAY", array)
    np.testing.assert_array_equal(f(np.zeros(2)), [1, 2])
    array[0] = 5
    np.testing.assert_array_equal(f(np.zeros(2)), [5, 2])
    monkeypatch.setitem(globals(), "ARRAY", np.array([7.0, 8.0]))
    np.testing.assert_array_equal(f(np.zeros(2)), [7, 8])
    assert len(f.traces) == 1


def test_a_global_number_is_a_run_time_scalar(monkeypatch: pytest.MonkeyPatch) -> None:
    f = tj.function(lambda x: helper(x))
    for value in (2.0, 3.0, 4.5):
        monkeypatch.setitem(globals(), "NUMBER", value)
        np.testing.assert_array_equal(f(np.ones(2)), [value, value])
    assert len(f.traces) == 1
    monkeypatch.setitem(globals(), "NUMBER", 2)
    assert f(np.ones(2, np.int64)).dtype == np.int64


def test_a_global_int_that_python_needs_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    @tj.function
    def f(x: Any) -> Any:
        return x + len("." * int(COUNT))

    assert f(np.zeros(1))[0] == 3
    monkeypatch.setitem(globals(), "COUNT", 5)
    assert f(np.zeros(1))[0] == 5
    assert "COUNT" in str(f.explain()) and "3 -> 5" in str(f.explain())
    monkeypatch.setitem(globals(), "COUNT", 3)
    assert f(np.zeros(1))[0] == 3
    assert len(f.traces) == 2


def test_static_globals_and_functions_are_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    @tj.function
    def f(x: Any) -> Any:
        y = helper(x) if FLAG else x
        return y if TEXT == "double" else -y

    assert f(np.ones(1))[0] == 2
    monkeypatch.setitem(globals(), "FLAG", False)
    assert f(np.ones(1))[0] == 1
    monkeypatch.setitem(globals(), "TEXT", "other")
    assert f(np.ones(1))[0] == -1
    monkeypatch.setitem(globals(), "FLAG", True)
    monkeypatch.setitem(globals(), "helper", lambda x: x * 100)
    assert f(np.ones(1))[0] == -100


def test_a_global_container_is_a_pytree_guarded_by_its_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"gain": np.array([1.0, 10.0]), "offset": 0.5, "steps": [1, 2]}
    monkeypatch.setitem(globals(), "TABLE", table)
    f = tj.function(lambda x: x * TABLE["gain"] + TABLE["offset"] + sum(TABLE["steps"]) + len(TABLE))
    np.testing.assert_array_equal(f(np.ones(2)), [7.5, 16.5])
    table["gain"] = np.array([2.0, 2.0])
    table["offset"] = 0.0
    np.testing.assert_array_equal(f(np.ones(2)), [8, 8])
    assert len(f.traces) == 1
    table["more"] = 1
    np.testing.assert_array_equal(f(np.ones(2)), [9, 9])
    assert len(f.traces) == 2


def test_a_captured_container_of_another_class_is_seen_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    ordered = OrderedDict(a=np.ones(2), b=2.0)
    monkeypatch.setitem(globals(), "ORDERED", ordered)
    f = tj.function(lambda x: x * ORDERED["a"] + ORDERED["b"])
    np.testing.assert_array_equal(f(np.ones(2)), [3, 3])
    ordered["a"][0] = 5
    np.testing.assert_array_equal(f(np.ones(2)), [7, 3])
    ordered["b"] = 3.0
    np.testing.assert_array_equal(f(np.ones(2)), [8, 4])


def test_attributes_of_a_module_are_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("module_of_a_user")
    module.__file__ = __file__
    module.rate = 0.5    # type: ignore[attr-defined]
    monkeypatch.setitem(globals(), "settings", module)
    f = tj.function(lambda x: x * settings.rate)    # type: ignore[attr-defined]
    assert f(2.0) == 1.0
    module.rate = 2.0    # type: ignore[attr-defined]
    assert f(2.0) == 4.0
    assert len(f.traces) == 1


def test_a_closure_cell_is_read_at_every_call() -> None:
    bias, name = np.ones(2), "a"

    @tj.function
    def f(x: Any) -> Any:
        return (x + bias, name)

    np.testing.assert_array_equal(f(np.zeros(2))[0], [1, 1])
    bias = np.full(2, 3.0)
    np.testing.assert_array_equal(f(np.zeros(2))[0], [3, 3])
    assert len(f.traces) == 1
    name = "b"
    assert f(np.zeros(2))[1] == "b"


class Model:
    rate_of_class = 3.0

    def __init__(self) -> None:
        self.w, self.lr, self.mode, self.steps = np.ones(2), 0.5, "train", 0
        self.inner: Any = types.SimpleNamespace(scale=2.0)

    @property
    def doubled(self) -> Any:
        return self.w * 2

    @tj.function
    def predict(self, x: Any) -> Any:
        return x * self.w * self.inner.scale if self.mode == "train" else x

    @tj.function
    def step(self, g: Any) -> Any:
        self.steps += 1
        self.w -= self.lr * g
        self.last = g.sum()
        return self.doubled

    @tj.function
    @classmethod
    def of_class(cls, x: Any) -> Any:
        return x * cls.rate_of_class

    @tj.function
    @staticmethod
    def of_nothing(x: Any) -> Any:
        return x + 1

    def __call__(self, x: Any) -> Any:
        return x * self.lr


def test_attributes_are_read_at_every_call() -> None:
    model = Model()
    assert model.predict(np.ones(2)).tolist() == [2, 2]
    model.w = np.array([3.0, 4.0])
    model.inner.scale = 1.0
    assert model.predict(np.ones(2)).tolist() == [3, 4]
    other = Model()
    assert other.predict(np.ones(2)).tolist() == [2, 2]
    assert len(Model.predict.traces) == 1
    model.mode = "eval"
    assert model.predict(np.ones(2)).tolist() == [1, 1]
    assert "attribute self.mode: value 'train' -> 'eval'" in str(Model.predict.explain())
    Model.predict.clear()


def test_assigned_attributes_arrive_after_the_call() -> None:
    model = Model()
    w = model.w
    for i in range(1, 4):
        result = model.step(np.ones(2))
        assert model.steps == i and type(model.steps) is int and model.last == 2.0
        np.testing.assert_array_equal(result, 2 * model.w)
    assert model.w is w
    np.testing.assert_array_equal(w, [-0.5, -0.5])
    assert len(Model.step.traces) == 1
    Model.step.clear()


def test_class_methods_static_methods_callables_partials() -> None:
    from functools import partial
    assert Model.of_class(2.0) == 6.0 and Model.of_nothing(2.0) == 3.0
    model = Model()
    f = tj.function(model)
    assert f(4.0) == 2.0
    model.lr = 2.0
    assert f(4.0) == 8.0
    g = tj.function(partial(np.multiply, 3.0))
    assert g(2.0) == 6.0
    bound = tj.function(Model().predict)
    assert bound(np.ones(2)).tolist() == [2, 2]


def test_globals_and_nonlocals_are_assigned_after_the_call() -> None:
    total = 0.0

    @tj.function
    def f(x: Any) -> Any:
        global calls
        nonlocal total
        calls += 1
        total = total + x.sum()
        return total

    before = calls
    assert f(np.ones(2)) == 2.0 and f(np.ones(2)) == 4.0
    assert calls == before + 2 and type(calls) is int and total == 4.0
    assert len(f.traces) <= 2


def test_an_error_at_run_time_leaves_what_was_stored_before_it() -> None:
    class State:
        count = 0

    state = State()

    @tj.function
    def f(x: Any, i: int) -> Any:
        state.count += 1
        return x[i]

    f(np.ones(3), 1)
    with pytest.raises(IndexError):
        f(np.ones(3), 9)
    assert state.count == 2


def test_lists_and_dicts_that_are_arguments_get_their_new_contents() -> None:
    @tj.function
    def f(params: Any, log: Any, x: Any) -> Any:
        params["w"] = params["w"] - x
        params["n"] = 1
        log.append(x.sum())
        return params

    params, log = {"w": np.ones(2)}, []    # type: ignore[var-annotated]
    assert f(params, log, np.ones(2)) is params
    assert params["w"].tolist() == [0, 0] and params["n"] == 1 and log == [2.0]


def test_pytrees_of_every_kind_go_in_and_out() -> None:
    class Point(NamedTuple):
        x: Any
        y: Any

    @dataclasses.dataclass
    class Layer:
        w: Any
        name: str

    f = tj.function(lambda t: {"p": Point(t["p"].y, t["p"].x), "l": Layer(t["l"].w * 2, t["l"].name), "n": None,
                               "o": OrderedDict(a=t["o"]["a"] + 1)})
    tree = {"p": Point(np.ones(1), 2.0), "l": Layer(np.ones(2), "first"), "n": None, "o": OrderedDict(a=1)}
    for _ in range(2):
        made = f(tree)
        assert type(made["p"]) is Point and made["p"].y is tree["p"].x and made["p"].x == 2.0
        assert type(made["l"]) is Layer and made["l"].w.tolist() == [2, 2] and made["l"].name == "first"
        assert made["n"] is None and type(made["o"]) is OrderedDict and made["o"]["a"] == 2
    assert len(f.traces) == 1


def test_registered_classes_are_containers() -> None:
    class Pair:
        def __init__(self, a: Any, b: Any) -> None:
            self.a, self.b = a, b

    tj.tree.register_node(Pair, lambda p: ((p.a, p.b), None), lambda meta, c: Pair(*c))
    f = tj.function(lambda p: Pair(p.b, p.a + 1))
    for i in range(3):
        made = f(Pair(np.full(2, float(i)), 2.0))
        assert type(made) is Pair and made.a == 2.0 and made.b.tolist() == [i + 1, i + 1]
    assert len(f.traces) == 1


def test_the_same_object_twice() -> None:
    @tj.function
    def f(a: Any, b: Any) -> Any:
        a.count = a.count + 1
        return b.count

    class Counter:
        def __init__(self) -> None:
            self.count = 0.0

    one, two = Counter(), Counter()
    assert f(one, one) == 1.0
    assert f(one, two) == 0.0
    assert f(one, one) == 3.0 and one.count == 3.0


class Config:
    rate = 0.5
    table = np.ones(2)


def test_attributes_of_a_class_are_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    f = tj.function(lambda x: x * Config.rate + Config.table)
    np.testing.assert_array_equal(f(np.ones(2)), [1.5, 1.5])
    monkeypatch.setattr(Config, "rate", 2.0)
    monkeypatch.setattr(Config, "table", np.zeros(2))
    np.testing.assert_array_equal(f(np.ones(2)), [2, 2])
    assert len(f.traces) == 1


def test_default_arrays_and_lists_keep_their_changes() -> None:
    def count(x: Any, total: Any = np.zeros(1), seen: Any = []) -> Any:    # noqa: B006, B008
        total += x
        seen.append(x)
        return total + 0, len(seen)

    expected = [([1.0], 1), ([3.0], 2), ([6.0], 3)]
    f = tj.function(count)
    assert [(a.tolist(), n) for a, n in (f(v) for v in (1.0, 2.0, 3.0))] == expected


BUFFER = np.zeros(3)


def test_a_global_array_can_be_written() -> None:
    @tj.function
    def f(x: Any) -> None:
        BUFFER[0] += x
        BUFFER[1:] = x

    f(1.0)
    f(2.0)
    assert BUFFER.tolist() == [3, 2, 2]
    view = BUFFER[1:]

    @tj.function
    def g(y: Any) -> None:
        y += BUFFER[:2]

    g(view)
    assert BUFFER.tolist() == [3, 5, 4]


def test_a_static_argument_may_be_unhashable() -> None:
    f = tj.function(lambda x, options: x * options["k"], static="options")
    assert f(2.0, {"k": 3}) == 6.0 and f(2.0, {"k": 4}) == 8.0 and f(2.0, {"k": 3}) == 6.0
    assert len(f.traces) == 2


def _squares(x: Any) -> Any:
    return (x * x).sum()


def _triples(x: Any) -> Any:
    return (3 * x).sum()


def _with_rule(fn: Any) -> Any:
    return tj.custom_gradient(lambda x: (fn(x), lambda ct: ct * x))


CALLABLES = {"function": tj.function, "grad": tj.grad, "value_and_grad": tj.value_and_grad, "vmap": tj.vmap,
             "checkpoint": tj.checkpoint, "jacobian": tj.jacobian, "custom_gradient": _with_rule}
held: Any = None


class Holder:
    def __init__(self, call: Any) -> None:
        self.call = call


def _by_global(call: Any) -> tuple[Any, Any]:
    return tj.function(lambda x: held(x)), lambda new: globals().__setitem__("held", new)


def _by_cell(call: Any) -> tuple[Any, Any]:
    inner = call

    def rebind(new: Any) -> None:
        nonlocal inner
        inner = new

    return tj.function(lambda x: inner(x)), rebind


def _by_attribute(call: Any) -> tuple[Any, Any]:
    holder = Holder(call)
    return tj.function(lambda x: holder.call(x)), lambda new: setattr(holder, "call", new)


def _by_dict(call: Any) -> tuple[Any, Any]:
    table = {"call": call}
    return tj.function(lambda x: table["call"](x)), lambda new: table.__setitem__("call", new)


def _by_list(call: Any) -> tuple[Any, Any]:
    row = [call]
    return tj.function(lambda x: row[0](x)), lambda new: row.__setitem__(0, new)


@pytest.mark.parametrize("way", [_by_global, _by_cell, _by_attribute, _by_dict, _by_list])
@pytest.mark.parametrize("kind", CALLABLES)
def test_another_callable_in_the_place_of_one_is_noticed(kind: str, way: Any) -> None:
    first, second = CALLABLES[kind](_squares), CALLABLES[kind](_triples)
    f, rebind = way(first)
    rebind(first)
    x = np.array([1.0, 2.0])
    np.testing.assert_equal(f(x), first(x))
    rebind(second)
    np.testing.assert_equal(f(x), second(x))
    place = {_by_global: "held", _by_cell: "inner", _by_attribute: "holder.call", _by_dict: "table['call']",
             _by_list: "row[0]"}[way]
    assert place in f.traces[1].reasons[0]
    rebind(first)
    np.testing.assert_equal(f(x), first(x))
    assert len(f.traces) == 2


def test_callables_of_native_classes_are_guarded_by_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    f = tj.function(lambda x: held((x, 2 * x)))
    for k in (0, 1):
        monkeypatch.setitem(globals(), "held", operator.itemgetter(k))
        np.testing.assert_array_equal(f(np.ones(2)), [k + 1.0, k + 1.0])
