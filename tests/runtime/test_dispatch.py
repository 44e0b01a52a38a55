"""Dispatch, native and in Python: what hits, what misses, what comes out, who owns what."""

import collections
import functools
import gc
import inspect
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.runtime.helpers import dump_kernel, refuse, specialise
from tracejit.base.options import config
from tracejit.xla_lite.runtime.abi import abi_is_known
from tracejit.xla_lite.runtime.buffers import buffers
from tracejit.xla_lite.runtime.dispatch import install, installed, make_callable, run_specialisation, uninstall_all
from tracejit.xla_lite.runtime.signature import (
    Absent,
    ArrayLeaf,
    Cell,
    Check,
    ComplexLeaf,
    Dict,
    Equal,
    FloatLeaf,
    Global,
    IntLeaf,
    Keyword,
    Node,
    Object,
    OutArray,
    OutConst,
    OutDict,
    OutInput,
    OutLate,
    OutOptional,
    OutPython,
    OutRepeat,
    OutRoot,
    OutScalar,
    OutSeq,
    Positional,
    Roots,
    Same,
    ScalarLeaf,
    Seq,
    Slot,
    Specialisation,
    slot_layout,
)

F4, F8, I8, B1 = (np.dtype(t) for t in ("f4", "f8", "i8", "?"))
VECTOR = ArrayLeaf(F8, ("n",))
SLOW = object()
Point = collections.namedtuple("Point", "x y")


@pytest.fixture(params=["native", "python"], autouse=True)
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "native" and not abi_is_known():
        pytest.skip("unknown memory layout: only the Python dispatch is used")
    before = config.native_dispatch
    config.native_dispatch = request.param == "native"
    yield request.param
    config.native_dispatch = before


class Tensor:
    """A class as the array type of the package has it."""

    __slots__ = ("_data",)

    def __init__(self, data: np.ndarray) -> None:
        self._data = data


class Module:
    def __init__(self, w: Any) -> None:
        self.w = w

    @property
    def broken(self) -> float:
        raise ValueError("no")

    @property
    def interrupted(self) -> float:
        raise KeyboardInterrupt


def one(node: Node) -> Roots:
    return ((Positional(0), node),)


def compiled(*specs: Specialisation) -> Any:
    """A callable with these specialisations; a miss gives SLOW."""
    function = make_callable(lambda *args, **kwargs: SLOW, None)
    for spec in specs:
        install(function, spec)
    return function


def plus_one(node: Node = VECTOR, **settings: Any) -> Specialisation:
    return specialise(one(node), OutArray(F8, ("n",)), "add_one", **settings)


def slots_of(roots: Roots, *args: Any, **kwargs: Any) -> list[int] | None:
    """The slots that a call fills, without the error words; None for a miss."""
    layout = slot_layout(roots)
    library = dump_kernel(layout.words)
    spec = Specialisation(roots, OutArray(I8, (layout.words,)), library["main"], refuse, library=library)
    hit, slots = run_specialisation(spec, args, kwargs)
    return [int(s) for s in slots[8:]] if hit else None


def fits(node: Node, value: Any) -> bool:
    spec = specialise(one(node), OutConst(None), tensor_class=Tensor)
    hit, result = run_specialisation(spec, (value,), {})
    assert result is None
    return hit


# -- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 7, 200_000])
def test_a_hit_gives_a_fresh_array(n: int) -> None:
    f, x = compiled(plus_one()), np.arange(float(n))
    y = f(x)
    assert type(y) is np.ndarray and y.dtype == F8 and y.flags.owndata and y.flags.c_contiguous
    np.testing.assert_array_equal(y, x + 1)


def test_unusual_arrays_miss() -> None:
    x = np.arange(12.0)
    misaligned = np.zeros(97, np.uint8)[1:].view("f8")
    assert not misaligned.flags.aligned
    unusual = (
        x[::2],
        x[::-1],
        x.reshape(3, 4),
        x.astype(">f8"),
        x.astype("f4"),
        x.astype("i8"),
        misaligned,
        np.ma.array(x),
    )
    for bad in (*unusual, x.view(np.recarray), np.array(1.0), np.float64(1), 1.0, None, [1.0], object()):
        assert not fits(VECTOR, bad)
    assert fits(VECTOR, x[2:5])


def test_read_only_arrays_fit_unless_they_are_written() -> None:
    x = np.ones(3)
    x.flags.writeable = False
    assert fits(VECTOR, x) and not fits(ArrayLeaf(F8, ("n",), writable=True), x)
    assert fits(ArrayLeaf(F8, ("n",), writable=True), np.ones(3))


def test_dtypes_are_compared_by_meaning() -> None:
    tagged = np.empty(3, np.dtype("f8", metadata={"unit": "m"}))
    assert fits(VECTOR, tagged)
    assert fits(ArrayLeaf(np.dtype("l"), ("n",)), np.ones(3, "q")) == (np.dtype("l") == np.dtype("q"))
    assert not fits(ArrayLeaf(np.dtype("u8"), ("n",)), np.ones(3, "i8"))
    assert not fits(ArrayLeaf(np.dtype("M8[s]"), ("n",)), np.ones(3, "i8"))


def test_named_sizes_agree_and_fixed_ones_hold() -> None:
    roots = ((Positional(0), ArrayLeaf(F8, ("m", "k"))), (Positional(1), ArrayLeaf(F8, ("k", 3))))
    a, b = np.ones((2, 5)), np.ones((5, 3))
    assert slots_of(roots, a, b) == [a.ctypes.data, b.ctypes.data, 2, 5]
    assert slots_of(roots, a, np.ones((4, 3))) is None and slots_of(roots, a, np.ones((5, 4))) is None
    assert slots_of(one(ArrayLeaf(F8, ("n", "n"))), np.ones((3, 3))) is not None
    assert slots_of(one(ArrayLeaf(F8, ("n", "n"))), np.ones((3, 4))) is None


def test_strided_leaves_pass_their_strides() -> None:
    leaf = ArrayLeaf(F8, ("m", "n"), "strided")
    x = np.arange(24.0).reshape(4, 6)
    for view in (x, x.T, x[::-1, ::2], np.broadcast_to(x[0], (3, 6)), x[:0]):
        assert slots_of(one(leaf), view) == [view.ctypes.data, *view.strides, *view.shape]


def test_tensors_are_looked_through() -> None:
    leaf, x = ArrayLeaf(F8, ("n",), tensor=True), np.ones(3)
    spec = specialise(one(leaf), OutArray(F8, ("n",), tensor=True), "add_one", tensor_class=Tensor)
    y = compiled(spec)(Tensor(x))
    assert type(y) is Tensor and (y._data == 2).all()
    subclass = type("Sub", (Tensor,), {})(x)
    empty = object.__new__(Tensor)
    for bad in (x, subclass, empty, Tensor([1.0]), Tensor(x.astype("f4"))):
        assert not fits(leaf, bad)


def test_overlapping_written_arrays_miss() -> None:
    leaf = ArrayLeaf(F8, ("n",), "strided", writable=True)
    spec = specialise(
        ((Positional(0), leaf), (Positional(1), ArrayLeaf(F8, ("m",), "strided"))), OutConst(1), written=(0,)
    )
    f, x = compiled(spec), np.arange(20.0)
    for a, b in ((x[:10], x[10:]), (x[10:], x[:10]), (x, np.ones(5)), (x[::-1][:10], x[:10]), (x[:0], x), (x, x[5:5])):
        assert f(a, b) == 1
    for a, b in ((x, x), (x[:11], x[10:]), (x[9:], x[:10]), (x[::-1][:11], x[:10]), (x[::2], x[1::2])):
        assert f(a, b) is SLOW


# -- scalars ---------------------------------------------------------------------------------------------------------


def test_python_scalars_have_exact_types() -> None:
    assert slots_of(one(FloatLeaf()), -0.0) == [-(2**63)] and slots_of(one(FloatLeaf()), 1.0) == [0x3FF << 52]
    for bad in (1, True, np.float64(1), "1", None, 1j):
        assert not fits(FloatLeaf(), bad)
    for good in (0, 5, -1, 2**63 - 1, -(2**63)):
        assert slots_of(one(IntLeaf()), good) == [good]
    for bad in (True, 2**63, -(2**63) - 1, 10**100, 1.0, np.int64(1), type("I", (int,), {})(3)):
        assert not fits(IntLeaf(), bad)
    assert slots_of(one(ComplexLeaf()), complex(1.0, -0.0)) == [0x3FF << 52, -(2**63)]
    assert not fits(ComplexLeaf(), 1.0) and not fits(ComplexLeaf(), np.complex128(1))


@pytest.mark.parametrize("name", ["?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"])
def test_numpy_scalars_are_passed_as_bytes(name: str) -> None:
    dtype = np.dtype(name)
    value = dtype.type(1.5 if dtype.kind in "fc" else 1)
    raw = value.tobytes()
    words = [int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8)]
    assert slots_of(one(ScalarLeaf(dtype)), value) == words
    for bad in (value.item(), np.array(value), np.float16(1) if name != "f2" else np.float32(1), np.str_("a")):
        assert not fits(ScalarLeaf(dtype), bad)


# -- guards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "good", "bad"),
    [
        ("abc", ["abc", "".join(["a", "bc"])], ["abd", b"abc", None, np.str_("abc")]),
        (3, [3], [3.0, 4, True, np.int64(3)]),
        (1, [1], [True, 1.0]),
        (True, [True], [1, False, np.True_]),
        (0.0, [0.0], [-0.0, 0, False, 1.0]),
        (float("nan"), [float("nan")], [0.0]),
        (None, [None], [False, 0]),
        ((1, ("a", 2.5)), [(1, ("a", 2.5))], [(1.0, ("a", 2.5)), (1, ("a", 2)), (1,), [1, ("a", 2.5)], Point(1, 2)]),
        (F8, [F8, np.dtype("f8")], [F4, np.float64, "f8", F8.newbyteorder()]),
        (slice(1, 2), [slice(1, 2)], [slice(1, 3), (1, 2)]),
        (b"x", [b"x"], ["x", bytearray(b"x")]),
        (2**70, [2**70], [2**70 + 1]),
    ],
    ids=repr,
)
def test_equal_compares_type_and_value(wanted: Any, good: list[Any], bad: list[Any]) -> None:
    assert all(fits(Equal(wanted), v) for v in good) and not any(fits(Equal(wanted), v) for v in bad)


def test_same_is_identity() -> None:
    marker = [1]
    assert fits(Same(marker), marker) and not fits(Same(marker), [1])


def test_an_exception_in_a_check_is_a_miss() -> None:
    assert not fits(Check(lambda v: 1 / v), 0) and fits(Check(lambda v: 1 / v), 2) and not fits(Check(lambda v: v), 0)
    assert not fits(Object(Module, (("broken", FloatLeaf()),)), Module(1))
    assert not fits(Object(Module, (("missing", FloatLeaf()),)), Module(1))
    assert not fits(Check(lambda v: np.ones(2)), 0)


def test_an_interrupt_in_a_check_is_raised() -> None:
    f = compiled(specialise(one(Object(Module, (("interrupted", FloatLeaf()),))), OutConst(1)))
    with pytest.raises(KeyboardInterrupt):
        f(Module(1))


def test_absent_attributes_are_guarded() -> None:
    node, m = Object(Module, (("flag", Absent()),)), Module(1.0)
    assert fits(node, m)
    m.flag = 1
    assert not fits(node, m)


# -- containers ------------------------------------------------------------------------------------------------------


def test_sequences_have_their_class_and_length() -> None:
    pair = (VECTOR, FloatLeaf())
    x = np.ones(2)
    for kind, made in ((list, [x, 1.0]), (tuple, (x, 1.0)), (Point, Point(x, 1.0))):
        assert fits(Seq(kind, pair), made)
        for other in ([x, 1.0], (x, 1.0), Point(x, 1.0)):
            assert fits(Seq(kind, pair), other) == (type(other) is kind)
    assert not fits(Seq(list, pair), [x]) and not fits(Seq(tuple, pair), (x, 1.0, 2.0))
    assert fits(Seq(list, ()), []) and fits(Seq(tuple, ()), ())


def test_dicts_have_their_keys_in_order() -> None:
    node = Dict((("a", FloatLeaf()), ("b", IntLeaf())))
    assert slots_of(one(node), {"".join("a"): 1.0, "b": 2}) == [0x3FF << 52, 2]
    for bad in (
        {"b": 2, "a": 1.0},
        {"a": 1.0},
        {"a": 1.0, "c": 2},
        {"a": 1.0, "b": 2, "c": 3},
        collections.OrderedDict(a=1.0, b=2),
    ):
        assert not fits(node, bad)
    assert fits(Dict(((1, FloatLeaf()), ((2, "x"), FloatLeaf()))), {1: 1.0, (2, "x"): 2.0})
    assert not fits(Dict(((1, FloatLeaf()),)), {True: 1.0}) and not fits(Dict(((1, FloatLeaf()),)), {1.0: 1.0})


def test_attributes_are_read_at_every_call() -> None:
    f = compiled(specialise(one(Object(Module, (("w", VECTOR),))), OutArray(F8, ("n",)), "add_one"))
    m = Module(np.ones(2))
    assert list(f(m)) == [2, 2]
    m.w = np.full(3, 5.0)
    assert list(f(m)) == [6, 6, 6]
    m.w = 1.0
    assert f(m) is SLOW and f(type("Sub", (Module,), {})(np.ones(2))) is SLOW


def test_a_property_that_changes_what_was_checked_does_no_harm() -> None:
    class Mean:
        @property
        def p(self) -> float:
            items.clear()
            box.clear()
            return 1.0

    x, items, box = np.ones(3), [np.ones(3), None], {"a": np.ones(3), "b": None}
    items[1] = box["b"] = Mean()
    attribute = Object(Mean, (("p", FloatLeaf()),))
    assert fits(Seq(list, (VECTOR, attribute)), items) or not items
    items[:] = [np.ones(3), Mean(), np.ones(3)]
    assert not fits(Seq(list, (VECTOR, attribute, VECTOR)), items)
    assert fits(Dict((("a", VECTOR), ("b", attribute))), box) or not box
    assert fits(VECTOR, x)


# -- captured values and the shape of a call -------------------------------------------------------------------------


def test_globals_are_read_at_every_call() -> None:
    space: dict[str, Any] = {"scale": 2.0}
    roots = (*one(VECTOR), (Global(space, "scale"), FloatLeaf()), (Global(space, "extra"), Absent()))
    x = np.ones(1)
    assert slots_of(roots, x) == [x.ctypes.data, 1 << 62, 1]
    space["scale"] = -2.0
    assert slots_of(roots, x) == [x.ctypes.data, -(1 << 62), 1]
    space["extra"] = 1
    assert slots_of(roots, x) is None
    del space["scale"], space["extra"]
    assert slots_of(roots, x) is None


def test_cells_are_read_at_every_call() -> None:
    cell = types.CellType(5)
    roots = ((Cell(cell), IntLeaf()),)
    assert slots_of(roots) == [5]
    cell.cell_contents = 7
    assert slots_of(roots) == [7]
    del cell.cell_contents
    assert slots_of(roots) is None and slots_of(((Cell(cell), Absent()),)) == []


def test_the_shape_of_the_call_belongs_to_the_signature() -> None:
    f = compiled(
        specialise(((Positional(0), IntLeaf()), (Keyword("b"), IntLeaf()), (Keyword("c"), IntLeaf())), OutConst(1))
    )
    assert f(1, b=2, c=3) == 1 and f(*[1], **{"".join("b"): 2, "c": 3}) == 1
    for miss in (
        lambda: f(1, 2, 3),
        lambda: f(1, c=3, b=2),
        lambda: f(1, b=2),
        lambda: f(),
        lambda: f(1, b=2, c=3, d=4),
    ):
        assert miss() is SLOW


def test_the_newest_specialisation_is_tried_first() -> None:
    f = compiled(*(specialise(one(Equal(i)), OutConst(i)) for i in range(5)))
    assert [f(i) for i in range(6)] == [0, 1, 2, 3, 4, SLOW]
    install(f, newest := specialise(one(IntLeaf()), OutConst("any")))
    assert f(3) == "any" and len(installed(f)) == 6 and installed(f)[0] is newest
    uninstall_all(f)
    assert f(3) is SLOW and installed(f) == ()
    install(f, newest)
    assert f(3) == "any"


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_output() -> None:
    constant = object()
    tree = OutSeq(
        tuple,
        (
            OutArray(F8, ("n",)),
            OutSeq(list, (OutConst(constant), OutInput(0), OutSeq(Point, (OutRoot(1), OutRepeat(0))))),
            OutDict((("k", OutArray(F4, (2, "n"))), (3, OutSeq(tuple, ())))),
        ),
    )
    x, extra = np.arange(3.0), {"a": 1}
    f = compiled(specialise(((Positional(0), VECTOR), (Positional(1), Dict((("a", IntLeaf()),)))), tree, "nothing"))
    for _ in range(3):
        y, items, table = f(x, extra)
        assert y.shape == (3,) and items[0] is constant and items[1] is x
        assert type(items[2]) is Point and items[2].x is extra and items[2].y is y
        assert table["k"].shape == (2, 3) and table["k"].dtype == F4 and table[3] == () and list(table) == ["k", 3]


@pytest.mark.parametrize(
    ("leaf", "value", "out"),
    [
        (FloatLeaf(), 2.5, OutPython("float")),
        (FloatLeaf(), 2.5, OutScalar(F8)),
        (IntLeaf(), -7, OutPython("int")),
        (IntLeaf(), -7, OutScalar(I8)),
        (ComplexLeaf(), 1 - 2j, OutPython("complex")),
        (ComplexLeaf(), 1 - 2j, OutScalar(np.dtype("c16"))),
        (ScalarLeaf(F4), np.float32(1.5), OutScalar(F4)),
        (ScalarLeaf(B1), np.True_, OutPython("bool")),
        (ScalarLeaf(B1), np.False_, OutScalar(B1)),
        (ScalarLeaf(np.dtype("f2")), np.float16(1.5), OutScalar(np.dtype("f2"))),
    ],
    ids=repr,
)
def test_scalars_come_out_as_they_go_in(leaf: Node, value: Any, out: Any) -> None:
    y = compiled(specialise(one(leaf), out, "scalars"))(value)
    kinds = {"bool": bool, "int": int, "float": float, "complex": complex}
    assert y == value and type(y) is (kinds[out.kind] if isinstance(out, OutPython) else out.dtype.type)


def live_bytes() -> int:
    gc.collect()
    return buffers().statistics.live


@pytest.mark.parametrize("n", [0, 1, 6, 4000, 20_000, 600_000])
def test_late_outputs_own_the_memory_that_main_allocated(n: int) -> None:
    f = compiled(specialise(one(VECTOR), OutLate(F8, (Slot(10),)), "half", extra_words=1))
    before = live_bytes()
    y = f(np.zeros(n))
    np.testing.assert_array_equal(y, np.arange(n // 2))
    assert y.flags.owndata and y.flags.c_contiguous and y.flags.writeable and y.ctypes.data % 16 == 0
    np.testing.assert_array_equal(np.concatenate([y, y])[: n // 2], y)
    for _ in range(20):
        f(np.zeros(n))
    del y
    assert live_bytes() == before


def test_late_matrices_have_the_shape_that_main_tells() -> None:
    f = compiled(specialise(one(VECTOR), OutLate(F8, (1, Slot(10))), "half", extra_words=1))
    y = f(np.zeros(7))
    assert y.shape == (1, 3) and y.flags.c_contiguous and y.flags.f_contiguous and y.tolist() == [[0, 1, 2]]


def test_late_outputs_of_failing_calls_are_freed() -> None:
    f = compiled(specialise(one(VECTOR), OutLate(F8, (Slot(10),)), "half", extra_words=1))
    before = live_bytes()
    for _ in range(50):
        with pytest.raises(ArithmeticError):
            f(np.zeros(5))
    assert live_bytes() == before


def test_late_outputs_that_nobody_can_hold_are_freed() -> None:
    tree = OutSeq(tuple, (OutLate(F8, (2**45, 2**45)), OutLate(F8, (Slot(10),))))
    f = compiled(specialise(one(VECTOR), tree, "half_twice", extra_words=1))
    before = live_bytes()
    for _ in range(5):
        with pytest.raises((MemoryError, ValueError)):
            f(np.zeros(6))
    assert live_bytes() == before


@pytest.mark.parametrize("state", [0, 7])
def test_a_failure_that_left_a_state_is_recovered_from(state: int) -> None:
    left = OutSeq(tuple, (OutRepeat(0), OutLate(F8, (Slot(11),)), OutPython("int"), OutInput(0)))
    seen: list[Any] = []
    settings = {"recover": lambda *made: seen.append(made), "state_slot": 8, "left": left}
    roots = ((Positional(0), IntLeaf()), (Positional(1), VECTOR))
    f = compiled(specialise(roots, OutArray(F8, ("n",)), "fail", **settings))
    before, x = live_bytes(), np.ones(3)
    for _ in range(3):
        with pytest.raises(ArithmeticError, match="status 3, words"):
            f(state, x)
    assert len(seen) == (3 if state else 0) and live_bytes() == before
    for number, (array, late, left, given) in seen:
        assert (number, array.shape, late, left, given) == (7, (3,), None, 0, 7)


def test_an_error_while_recovering_takes_the_place_of_the_error() -> None:
    roots = ((Positional(0), IntLeaf()),)
    f = compiled(specialise(roots, OutConst(1), "fail", left=OutConst(1), recover=lambda state, made: 1 / 0,
                            state_slot=8))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            f(1)


@pytest.mark.parametrize("flag", [True, False])
def test_optional_outputs_are_none_where_their_flag_is_true(flag: bool) -> None:
    tree = OutSeq(
        tuple,
        (
            OutOptional(OutPython("bool"), OutConst("value")),
            OutOptional(OutRepeat(0), OutSeq(list, (OutInput(0), OutOptional(OutRepeat(0), OutConst(1))))),
        ),
    )
    f = compiled(specialise(one(ScalarLeaf(B1)), tree, "scalars"))
    for _ in range(3):
        assert f(np.bool_(flag)) == ((None, None) if flag else ("value", [False, 1]))


def test_prepare_computes_sizes_or_misses() -> None:
    settings = {"extra_words": 1, "prepare_address": specialise(one(VECTOR), OutConst(0), "twice").main_address}
    f = compiled(specialise(one(VECTOR), OutArray(F8, (Slot(10), 3)), **settings))
    assert f(np.ones(4)).shape == (8, 3) and f(np.ones(5)) is SLOW


def test_finish_has_the_last_word() -> None:
    f = compiled(plus_one(finish=lambda y: ("finished", y.sum())))
    assert f(np.ones(2)) == ("finished", 4.0)
    g = compiled(plus_one(finish=lambda y: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        g(np.ones(2))


def test_many_leaves_do_not_fit_the_stack() -> None:
    names = [f"k{i}" for i in range(3000)]
    node = Dict(tuple((k, VECTOR) for k in names))
    f = compiled(specialise(one(node), OutDict(tuple((k, OutArray(F8, ("n",))) for k in names))))
    d = {k: np.ones(2) for k in names}
    assert list(f(d)) == names
    d["k2999"] = np.ones(3)
    assert f(d) is SLOW


# -- errors ----------------------------------------------------------------------------------------------------------


def test_a_failing_kernel_raises_its_error() -> None:
    f = compiled(specialise(one(VECTOR), OutArray(F8, ("n",)), "fail"))
    with pytest.raises(ArithmeticError, match=r"status 3, words \(42, "):
        f(np.ones(200_000))
    g = compiled(specialise((), OutConst(1), "fail", on_error=lambda status, words: None))
    with pytest.raises(SystemError):
        g()


def test_outputs_too_large_for_memory_are_memory_errors() -> None:
    for dims in ((2**59,), (2**40, 2**40), ("n", 2**50)):
        f = compiled(specialise(one(VECTOR), OutSeq(tuple, (OutArray(F8, ("n",)), OutArray(F8, dims)))))
        with pytest.raises((MemoryError, ValueError)):
            f(np.ones(3))


# -- the callable as an object ---------------------------------------------------------------------------------------


def test_callables_look_like_functions() -> None:
    def original(x: Any) -> Any:
        """doc"""

    f = functools.update_wrapper(compiled(plus_one()), original)
    f.tag = 1
    assert f.__name__ == "original" and f.__doc__ == "doc" and f.__wrapped__ is original and f.tag == 1
    assert inspect.signature(f) == inspect.signature(original) and callable(f) and weakref.ref(f)() is f


def test_callables_bind_as_methods() -> None:
    spec = specialise(((Positional(0), Object(Module, (("w", VECTOR),))), (Positional(1), IntLeaf())), OutConst(1))
    cls = type(
        "Owner",
        (Module,),
        {"m": compiled(specialise(((Positional(0), Check(lambda s: True)), (Positional(1), IntLeaf())), OutConst(1)))},
    )
    owner = cls(1)
    assert owner.m(3) == 1 and owner.m("x") is SLOW and cls.m is cls.__dict__["m"]
    bound = owner.m
    assert bound(3) == 1 and bound.__self__ is owner
    assert compiled(spec)(Module(np.ones(1)), 3) == 1


def test_only_callables_take_specialisations() -> None:
    f = make_callable(lambda *args: SLOW, None)
    install(weakref.proxy(f), specialise(one(IntLeaf()), OutConst("hit")))
    assert f(1) == "hit" and len(installed(weakref.proxy(f))) == 1
    for bad in (lambda: None, None, object(), type(f)):
        with pytest.raises(TypeError):
            install(bad, plus_one())
    if type(f).__flags__ & 1 << 7:
        with pytest.raises(TypeError):
            type(f)()


def test_exceptions_of_the_slow_path_pass_through() -> None:
    f = make_callable(lambda *args: 1 / 0, None)
    with pytest.raises(ZeroDivisionError):
        f(1)


def test_callables_in_cycles_are_collected() -> None:
    died = []

    class Token:
        def __del__(self) -> None:
            died.append(1)

    for _ in range(5):
        f = make_callable(lambda *a: SLOW, Token())
        install(f, plus_one(keep=(f,)))
        f.cycle = f
        f(np.ones(1))
        del f
    gc.collect()
    assert len(died) == 5


# -- references ------------------------------------------------------------------------------------------------------


def count_references(objects: list[Any]) -> list[int]:
    gc.collect()
    return [sys.getrefcount(o) for o in objects]


def test_no_reference_is_lost_or_gained(mode: str) -> None:
    x, marker, m = np.ones(2), object(), Module(np.ones(2))
    d, key, big = {"a": x, "b": [x, (x,)]}, "key".upper(), 2.5
    tree = Dict((("a", VECTOR), ("b", Seq(list, (VECTOR, Seq(tuple, (VECTOR,)))))))
    outputs = OutSeq(
        tuple, (OutArray(F8, ("n",)), OutConst(marker), OutInput(0), OutRoot(0), OutDict(((key, OutRepeat(0)),)))
    )
    space = {"g": big}
    roots = (
        (Positional(0), tree),
        (Positional(1), Object(Module, (("w", VECTOR),))),
        (Positional(2), FloatLeaf()),
        (Global(space, "g"), FloatLeaf()),
    )
    hit = compiled(specialise(roots, outputs))
    failing = compiled(specialise(roots, outputs, "fail"))
    plain = compiled(plus_one())
    objects = [x, d, d["b"], d["b"][1], marker, m, m.w, key, big, F8, Module, space]
    bad = np.ones(2, np.int32)

    def calls(n: int) -> None:
        for _ in range(n):
            hit(d, m, 2.5)
            hit(d, m, bad)
            plain(x)
            plain(bad)
            try:
                failing(d, m, 2.5)
            except ArithmeticError:
                pass

    calls(10)
    before = count_references(objects)
    calls(100_000 if mode == "native" else 500)
    after = count_references(objects)
    assert after == before
