"""The native checks and those in Python agree: every node of a corpus over every value of another."""

import collections
from typing import Any

import numpy as np
import pytest

from tests.runtime.helpers import dump_kernel, refuse
from tracejit.base.options import config
from tracejit.xla_lite.runtime.abi import abi_is_known
from tracejit.xla_lite.runtime.dispatch import run_specialisation
from tracejit.xla_lite.runtime.signature import (
    Absent,
    ArrayLeaf,
    Check,
    ComplexLeaf,
    Dict,
    Equal,
    FloatLeaf,
    IntLeaf,
    Node,
    Object,
    OutArray,
    Positional,
    Same,
    ScalarLeaf,
    Seq,
    Specialisation,
    slot_layout,
)

pytestmark = pytest.mark.skipif(not abi_is_known(), reason="unknown memory layout: only the Python dispatch is used")
F8, F4, I8, WORD = np.dtype("f8"), np.dtype("f4"), np.dtype("i8"), np.dtype("i8")
Pair = collections.namedtuple("Pair", "a b")


class Box:
    def __init__(self, w: Any) -> None:
        self.w = w

    @property
    def broken(self) -> Any:
        raise ValueError


MARK = object()
VECTOR = ArrayLeaf(F8, ("n",))
NODES: list[Node] = [
    VECTOR,
    ArrayLeaf(F8, (3,)),
    ArrayLeaf(F8, ("n", "n")),
    ArrayLeaf(F8, ("m", "n"), "strided"),
    ArrayLeaf(F8, ()),
    ArrayLeaf(F8, ("n",), "strided", writable=True),
    ArrayLeaf(F4, ("n",)),
    ArrayLeaf(np.dtype("q"), ("n",)),
    ArrayLeaf(np.dtype("?"), ("n",)),
    ArrayLeaf(np.dtype("c16"), ("n",)),
    FloatLeaf(),
    IntLeaf(),
    ComplexLeaf(),
    *(ScalarLeaf(np.dtype(t)) for t in ("f8", "f4", "l", "q", "u1", "?", "c8", "c16")),
    *map(Same, (None, True, MARK, Box, np.sum)),
    *map(Equal, (1, 1.0, -0.0, "s", (1, "s"), (), True, F8, 2**63, 1j, b"s", frozenset({1}))),
    *(Seq(kind, items) for kind in (list, tuple, Pair) for items in ((VECTOR, FloatLeaf()), (VECTOR, VECTOR))),
    Seq(list, ()),
    Dict((("a", VECTOR),)),
    Dict((("a", VECTOR), ("b", IntLeaf()))),
    Dict((("b", IntLeaf()), ("a", VECTOR))),
    Dict(((1, IntLeaf()),)),
    Object(Box, (("w", VECTOR),)),
    Object(Box, (("w", Object(Box, (("w", FloatLeaf()),))),)),
    Object(Box, (("w", FloatLeaf()), ("v", Absent()))),
    Object(Box, (("broken", FloatLeaf()),)),
    Check(lambda v: v is not None),
    Check(lambda v: v > 0),
]


def values() -> list[Any]:
    x, square = np.arange(3.0), np.arange(9.0).reshape(3, 3)
    locked = np.ones(3)
    locked.flags.writeable = False
    arrays = [x, np.ones(4), np.ones(0), square, square.T, square[:, ::2], square[::-1], np.ones((0, 3)), np.array(2.0)]
    arrays += [locked, x[::-1], x.astype(">f8"), np.zeros(25, np.uint8)[1:].view("f8"), np.ma.array(x), x > 1]
    arrays += [x.astype(t) for t in ("f4", "l", "q", "u8", "c16", "f2")] + [np.array(["a"]), np.array([None])]
    scalars = [
        1,
        0,
        -1,
        2**63 - 1,
        2**63,
        -(2**63),
        True,
        False,
        1.0,
        -0.0,
        0.0,
        float("nan"),
        1j,
        None,
        "s",
        "".join("s"),
        b"s",
    ]
    scalars += [np.dtype(t).type(1) for t in ("f8", "f4", "l", "q", "u1", "?", "c8", "c16", "f2")]
    scalars += [MARK, Box, np.sum, F8, np.dtype(">f8"), frozenset({1}), object()]
    trees = [kind(items) for kind in (list, tuple) for items in ((x, 1.0), (x, x), (x, np.ones(4)), (x,), (), (1, "s"))]
    trees += [
        Pair(x, 1.0),
        Pair(x, x),
        {"a": x},
        {"a": x, "b": 1},
        {"b": 1, "a": x},
        {"a": x, "b": True},
        {1: 2},
        {True: 2},
    ]
    trees += [{}, collections.OrderedDict(a=x), Box(x), Box(1.0), Box(Box(1.0)), Box(None)]
    return arrays + scalars + trees


@pytest.mark.parametrize("node", NODES, ids=[f"{n}-{type(node).__name__}" for n, node in enumerate(NODES)])
def test_native_and_python_checks_agree(node: Node) -> None:
    roots = ((Positional(0), node),)
    words = slot_layout(roots).words
    library = dump_kernel(words)
    spec = Specialisation(roots, OutArray(WORD, (words,)), library["main"], refuse, library=library)
    before = config.native_dispatch
    hits = 0
    try:
        for value in values():
            answers = []
            for native in (True, False):
                config.native_dispatch = native
                hit, slots = run_specialisation(spec, (value,), {})
                answers.append((hit, slots[8:].tolist() if hit else None))
            assert answers[0] == answers[1], value
            hits += answers[0][0]
    finally:
        config.native_dispatch = before
    assert hits or isinstance(node, (Object, Equal))
