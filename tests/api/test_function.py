"""`tj.function`: kinds of results, options, symbols for sizes, reasons, stages.

Flows in: small functions.
"""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import tracejit as tj

# ---- kinds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fn", "args"), [
    (lambda x: x + 1, (np.arange(3),)), (lambda x: x.sum(), (np.arange(3.0),)), (lambda x: x.sum(), (np.arange(3),)),
    (lambda x: x[0], (np.arange(3.0),)), (lambda a, b: a + b, (1, 2.5)), (lambda a, b: a * b, (3, 4)),
    (lambda a: a / 2, (3,)), (lambda a: a // 2, (-3,)), (lambda a: a % 3, (-4,)), (lambda a: a ** 2, (3,)),
    (lambda a: a ** -1, (4,)), (lambda a: 2 ** a, (5,)), (lambda a: abs(a), (-2.5,)), (lambda a: -a, (True,)),
    (lambda a: a > 1, (2,)), (lambda a: not a > 1, (2.0,)), (lambda a: round(a), (2.5,)), (lambda a: int(a), (2.9,)),
    (lambda a: float(a), (2,)), (lambda a: round(a, 1), (2.25,)), (lambda a: divmod(a, 3), (7,)),
    (lambda a: a * 1j, (2.0,)), (lambda a: np.sin(a), (0.5,)), (lambda a: a + np.float32(1), (0.5,)),
    (lambda x: x + 1.5, (np.float32(1),)), (lambda x: (x, None, "text", 3, [True]), (np.arange(2),)),
    (lambda x: x.shape, (np.ones((2, 3)),)), (lambda x: len(x), (np.ones((2, 3)),)),
    (lambda x: x.mean(), (np.arange(4),)), (lambda x: (x > 1).any(), (np.arange(3),)),
    (lambda x: np.array(x), (np.float64(2),)), (lambda x: x[()], (np.array(2.0),)),
    (lambda a, b: max(a, b), (1, 2)), (lambda a, b: min(a, b, 0.5), (1.0, 2.0)), (lambda a: a & 6, (5,)),
    (lambda a: a << 2, (5,)), (lambda x: np.zeros(3), (1.0,)), (lambda x: {"a": x, 3: x}, (np.ones(1),)),
    (lambda x: x.dtype, (np.ones(1),)), (lambda x: x.item(), (np.ones(1),)),
    (lambda x: isinstance(x, np.ndarray), (np.ones(1),)),
    (lambda a: isinstance(a, float), (1.0,)), (lambda x: type(x).__name__, (np.ones(1),))])
def test_results_have_the_kind_that_plain_python_gives(fn: Any, args: Any) -> None:
    expected = fn(*args)
    f = tj.function(fn)
    for _ in range(2):
        actual = f(*args)
        assert type(actual) is type(expected)
        if isinstance(expected, (np.ndarray, np.generic)):
            assert actual.dtype == expected.dtype
        if not isinstance(expected, (tuple, dict)):
            np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected)) if not isinstance(
                expected, (np.dtype, str)) else None
        assert str(actual) == str(expected)


def test_inputs_that_are_returned_are_the_same_objects() -> None:
    x, p = np.arange(3.0), {"a": [np.ones(1)]}
    f = tj.function(lambda x, p: (x, p, p["a"], p["a"][0], x))
    for _ in range(2):
        made = f(x, p)
        assert made[0] is x and made[1] is p and made[2] is p["a"] and made[3] is p["a"][0] and made[4] is x


def test_a_result_twice_is_one_object() -> None:
    a, b = tj.function(lambda x: (y := x + 1, y))(np.ones(2))
    assert a is b


def test_results_never_share_memory_with_arguments() -> None:
    x = np.arange(4.0)
    view = tj.function(lambda x: x[1:])(x)
    view[0] = 9
    assert x[1] == 1


def test_returns_option() -> None:
    tensor = tj.constant([1.0])
    assert type(tj.function(lambda x: x + 1, returns="numpy")(tensor)) is np.ndarray
    assert type(tj.function(lambda x: x + 1, returns="tensor")(np.ones(1))) is tj.Tensor
    assert type(tj.function(lambda x: x + 1)(tensor)) is tj.Tensor


# ---- symbols ---------------------------------------------------------------------------------------------------------


def test_thirty_sizes_cost_two_traces() -> None:
    f = tj.function(lambda x, w: np.maximum(x @ w, 0).sum(axis=1))
    w = np.ones((4, 3))
    for n in range(5, 35):
        assert f(np.ones((n, 4)), w).shape == (n,)
    assert len(f.traces) == 2


def test_axes_that_were_always_equal_share_a_symbol() -> None:
    f = tj.function(lambda x, y: x + y)
    for n in (3, 4, 5):
        f(np.ones(n), np.ones(n))
    assert len(f.traces) == 2 and str(f.traces[1].graph).count("[n]") >= 3
    np.testing.assert_array_equal(f(np.ones(5), np.ones(1)), np.full(5, 2))
    g = tj.function(lambda x, y: (x.sum(), y.sum()))
    for n, m in ((3, 3), (4, 4), (5, 6), (7, 8)):
        assert g(np.ones(n), np.ones(m)) == (n, m)
    assert len(g.traces) == 3


def test_sizes_zero_and_one_have_traces_of_their_own() -> None:
    f = tj.function(lambda x, y: (x + y).sum())
    for n in (3, 4, 1, 0, 7):
        assert f(np.ones(n), np.ones(1)) == 2 * n
    assert len(f.traces) == 4


def test_comparing_sizes_guards() -> None:
    @tj.function
    def f(x: Any) -> Any:
        if x.shape[0] > 5:
            return x.sum()
        return x.sum() * 100

    assert [f(np.ones(n)) for n in (2, 3, 4, 6, 7, 5)] == [200, 300, 400, 6, 7, 500]
    assert "guard" in str(f.explain())


def test_sizes_in_arithmetic_stay_symbolic() -> None:
    f = tj.function(lambda x: (x / len(x), x.shape[0] * 2 + 1, np.zeros(x.shape[0] + 1)))
    for n in (4, 6, 8, 10):
        a, b, c = f(np.ones(n))
        assert a[0] == 1 / n and b == 2 * n + 1 and c.shape == (n + 1,)
    assert len(f.traces) == 2


def test_a_reshape_that_fits_some_sizes_only_is_decided_for_each() -> None:
    f = tj.function(lambda x: x.reshape(-1, 2))
    for n in (4, 6, 8):
        assert f(np.ones(n)).shape == (n // 2, 2)
    with pytest.raises(ValueError, match="cannot reshape array of size 5"):
        f(np.ones(5))


def test_a_size_that_python_needs_is_concretised() -> None:
    f = tj.function(lambda x: [x[i] for i in range(x.shape[0])])
    assert [len(f(np.ones(n))) for n in (2, 3, 4)] == [2, 3, 4]


def test_trace_ahead_with_symbolic_types() -> None:
    f = tj.function(lambda x, w: x @ w)
    f.trace(tj.ArrayType.parse("f32[n,4]"), tj.ArrayType.parse("f32[4,2]"))
    for n in (3, 9):
        assert f(np.ones((n, 4), np.float32), np.ones((4, 2), np.float32)).shape == (n, 2)
    assert len(f.traces) == 1


def test_a_declared_signature_is_traced_once() -> None:
    f = tj.function(lambda x: x * 2, signature=["f64[n]"])
    for n in (3, 4, 5):
        f(np.ones(n))
    assert len(f.traces) == 1
    with pytest.raises(tj.errors.SignatureError, match="f64"):
        f(np.ones((2, 2)))
    with pytest.raises(tj.errors.SignatureError, match="f32"):
        f(np.ones(2, np.float32))


# ---- statics and scalars -------------------------------------------------------------------------------------------


def test_numbers_do_not_retrace_and_statics_do() -> None:
    f = tj.function(lambda x, a, mode: x * a if mode == "times" else x + a)
    for a in (1.0, 2.0, -3.5):
        assert f(1.0, a, "times") == a
    assert len(f.traces) == 1
    assert f(1.0, 2.0, "plus") == 3.0 and f(1.0, 2, "plus") == 3.0
    assert len(f.traces) == 3


def test_static_option_makes_numbers_part_of_the_signature() -> None:
    f = tj.function(lambda x, n: x[:n], static="n")
    assert [f(np.ones(5), n).shape for n in (2, 3, 2)] == [(2,), (3,), (2,)]
    assert len(f.traces) == 2
    with pytest.raises(tj.errors.SignatureError, match="'k'"):
        tj.function(lambda x, n: x, static="k")


def test_large_ints_and_int_subclasses_work() -> None:
    import enum

    class Color(enum.IntEnum):
        RED = 2

    f = tj.function(lambda x, n: x * n)
    assert f(np.ones(1), Color.RED)[0] == 2
    assert tj.function(lambda n: n)(1 << 80) == 1 << 80


def test_default_and_keyword_arguments_bind_as_in_python() -> None:
    @tj.function
    def f(x: Any, /, y: Any = 2.0, *rest: Any, scale: Any = 1.0, **more: Any) -> Any:
        return (x + y + sum(rest)) * scale + sum(more.values())

    assert f(1.0) == 3.0 and f(1.0, 1.0) == 2.0 and f(1.0, 1.0, 1.0, 1.0) == 4.0
    assert f(1.0, scale=2.0) == 6.0 and f(1.0, y=5.0, a=1.0, b=2.0) == 9.0


def test_options_without_call_and_metadata() -> None:
    @tj.function(precision="strict", name="special")
    def f(x: Any) -> Any:
        """Doc."""
        return x

    assert f.__name__ == "f" and f.__doc__ == "Doc." and f.__wrapped__ is f.original
    f(1.0)
    assert str(f.explain()).startswith("special: 1 trace")


# ---- explain, stages -----------------------------------------------------------------------------------------------


def reasons(f: Any) -> str:
    return "\n".join(f.explain().reasons)


def test_explain_names_what_changed_with_old_and_new_value() -> None:
    f = tj.function(lambda x, mode="a": x)
    f(np.ones(3))
    f(np.ones(3, np.float32))
    assert "argument x: dtype float64 -> float32" in reasons(f)
    f(np.ones((3, 3)))
    assert "argument x: rank 1 -> 2" in reasons(f)
    f(np.ones(4))
    assert "size of axis 0 3 -> 4" in reasons(f)
    f([np.ones(3)])
    assert "argument x changed" in reasons(f) and "list" in reasons(f)
    g = tj.function(lambda p, mode: p["a"])
    g({"a": np.ones(1)}, "x")
    g({"a": np.ones(1), "b": np.ones(1)}, "x")
    assert "argument p: structure dict ('a',) -> dict ('a', 'b')" in reasons(g)
    g({"a": np.ones(1)}, "y")
    assert "argument mode: value 'x' -> 'y'" in reasons(g)


def test_explain_names_concretised_ints_with_the_line_that_asked() -> None:
    f = tj.function(lambda x, n: x.reshape(n, -1))
    f(np.ones(6), 2)
    f(np.ones(6), 3)
    assert "argument n: value 2 -> 3 (Python needs its value at" in reasons(f) and "test_function.py" in reasons(f)


def test_explain_counts_kernels_and_writes() -> None:
    @tj.function
    def f(x: Any) -> None:
        x += 1

    f(np.ones(3))
    assert "writes x" in str(f.explain()) and "kernels of" in str(f.explain())


def test_stages_print() -> None:
    def double(x: Any) -> Any:
        return x * 2 + 1

    stages = tj.function(double).stages(np.ones(3))
    assert "return x * 2 + 1" in stages.source and "def double" in stages.converted
    assert "multiply" in str(stages.graph) and "fusion" in str(stages.fused)
    assert "kernel" in stages.kernels and "define" in stages.llvm and len(stages.asm) > 100
    assert "== graph ==" in str(stages)


def test_many_traces_warn_with_the_reasons() -> None:
    f = tj.function(lambda x, s: x)
    with tj.options(retrace_limit=2):
        f(1.0, "a")
        f(1.0, "b")
        with pytest.warns(tj.errors.RetraceWarning, match="argument s: value 'b' -> 'c'"):
            f(1.0, "c")


def test_debug_prints_traces_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    f = tj.function(lambda x: x + 1)
    with tj.options(debug=3):
        f(np.ones(2))
    err = capsys.readouterr().err
    assert "trace 1" in err and "it is the first call" in err and "graph(" in err


def test_clear_forgets_traces() -> None:
    f = tj.function(lambda x: x + 1)
    f(1.0)
    f.clear()
    assert not f.traces and f(1.0) == 2.0 and len(f.traces) == 1


def test_a_function_and_what_it_saw_are_collected() -> None:
    class Thing:
        value = 2.0

    thing = Thing()
    f = tj.function(lambda x, t: x * t.value)
    x = np.ones(100)
    f(x, thing)
    seen, array = weakref.ref(thing), weakref.ref(x)
    del thing, x
    gc.collect()
    assert seen() is None and array() is None
    dead = weakref.ref(f.state)
    del f
    gc.collect()
    assert dead() is None


# ---- nesting -------------------------------------------------------------------------------------------------------


def test_nested_functions_are_one_native_call() -> None:
    inner = tj.function(lambda x: x * 2)
    outer = tj.function(lambda x: inner(x) + inner(x + 1))
    assert outer(np.ones(1))[0] == 6.0
    assert len(outer.traces) == 1 and not inner.traces
    mapped = tj.function(lambda xs: list(map(inner, xs)))
    assert mapped([1.0, 2.0]) == [2.0, 4.0]


def test_unconverted_functions_trace_over_the_protocols() -> None:
    f = tj.function(lambda x: np.sin(x) + np.concatenate([x, x])[:3] * 2, autograph=False)
    np.testing.assert_allclose(f(np.arange(3.0)), np.sin(np.arange(3.0)) + np.arange(3.0) * 2)


def test_functions_of_functions() -> None:
    def twice(f: Any, x: Any) -> Any:
        return f(f(x))

    g = tj.function(lambda x, k: twice(lambda y: y * k + 1, x))
    assert g(1.0, 2.0) == 7.0
    h = tj.function(twice)
    assert h(np.sqrt, 16.0) == 2.0


@tj.function
def module_level(x: Any) -> Any:
    return x + 1


def test_functions_pickle_and_copy_by_name_and_show_their_signature() -> None:
    import copy
    import inspect
    import pickle

    assert copy.deepcopy({"f": module_level})["f"] is module_level
    try:
        assert pickle.loads(pickle.dumps(module_level)) is module_level
    except pickle.PicklingError:    # the test module was imported under a name that is not in sys.modules
        pass
    assert list(inspect.signature(module_level).parameters) == ["x"]


def test_generators_and_coroutines_are_refused() -> None:
    def generator(x: Any) -> Any:
        yield x

    async def coroutine(x: Any) -> Any:
        return x

    for fn in (generator, coroutine):
        with pytest.raises(tj.errors.UnsupportedError, match="generator or coroutine"):
            tj.function(fn)


def test_what_a_result_cannot_be_is_refused() -> None:
    class Holder:
        def __init__(self, x: Any) -> None:
            self.x = x

    with pytest.raises(tj.errors.UnsupportedError, match="dataclass"):
        tj.function(lambda x: Holder(x))(np.ones(2))
    with pytest.raises(tj.errors.UnsupportedError, match="return a list"):
        tj.function(lambda x: map(np.sin, [x]))(np.ones(2))


def test_text_and_keys_of_numbers_make_them_static() -> None:
    f = tj.function(lambda x, n: {f"layer{n}": x, n: x + n})
    assert set(f(1.0, 2)) == {"layer2", 2} and set(f(1.0, 3)) == {"layer3", 3} and len(f.traces) == 2
