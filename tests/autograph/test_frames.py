"""Spans and tracebacks show the user's own expressions.

Flows in:  converted functions with a namespace that asks for the line.  Flows out: facts about `frames`.
"""
from __future__ import annotations

import sys
import traceback
from typing import Any

import numpy as np
import pytest

from tracejit.autograph import PlainNamespace, convert, fold_traceback, span_of_frame
from tracejit.base.errors import TracedBoolError
from tracejit.base.spans import SourceSpan


class Probe:
    """Stands for a traced array: refuses truth, notes where it is used."""

    def __init__(self) -> None:
        self.spans: list[SourceSpan | None] = []

    def note(self, *_: Any) -> Probe:
        self.spans.append(span_of_frame(sys._getframe(1)))
        return self

    __add__ = __radd__ = __mul__ = __getitem__ = __lt__ = __gt__ = __neg__ = __iadd__ = __array_ufunc__ = note

    def __bool__(self) -> bool:
        raise TracedBoolError("no truth", span=span_of_frame(sys._getframe(1)))


class Recorder(PlainNamespace):
    """Refuses truth of probes, as a tracer would."""

    def condition(self, value: Any, /) -> bool:
        if isinstance(value, Probe):
            raise TracedBoolError("the test depends on a traced value", span=span_of_frame(sys._getframe(1)))
        return bool(value)


def text_of(span: SourceSpan | None) -> str:
    assert span is not None
    lines = open(span.file, encoding="utf8").read().splitlines()[span.line - 1:span.end_line]
    lines[-1] = lines[-1][:span.end_column]
    lines[0] = lines[0][span.column:]
    return "\n".join(lines)


def expressions(probe: Any, k: int = 2) -> Any:
    ä = "äöü"; a = probe + 1; b = (probe * k)[0]    # noqa: E702, F841
    if k < 3:
        a += -b
    c = (probe +
         a)
    return np.exp(probe) + c if k else [probe + i for i in range(1)]


def test_every_operation_knows_its_expression() -> None:
    probe = Probe()
    convert(expressions, Recorder())(probe)
    texts = ["probe + 1", "probe * k", "(probe * k)[0]", "-b", "a += -b", "probe +\n         a", "np.exp(probe)",
             "np.exp(probe) + c"]
    assert [text_of(s) for s in probe.spans] == texts
    assert {s.function for s in probe.spans if s} == {"expressions"}


def by_if(p: Any) -> int:
    if p > 0:
        return 1
    return 2


def by_while(p: Any) -> None:
    while p[0] < 1:
        pass


def by_expression(p: Any) -> int:
    return 1 if p < 1 else 2


def by_and(p: Any) -> Any:
    return (p > 1
            and p < 3)


def by_not(p: Any) -> bool:
    return not p


def by_chain(p: Any) -> Any:
    return 0 < p < 3


def by_comprehension(p: Any) -> Any:
    return [1 for _ in range(3) if p + 1]


def by_assert(p: Any) -> None:
    assert p, "message"


def by_callee(p: Any) -> Any:
    return by_if(p + 1)


def by_walrus(p: Any) -> Any:
    return p and (q := 3) and q


@pytest.mark.parametrize(("fn", "text"), [
    (by_if, "p > 0"), (by_while, "p[0] < 1"), (by_expression, "p < 1"), (by_and, "(p > 1\n            and p < 3)"),
    (by_not, "not p"), (by_chain, "0 < p < 3"), (by_comprehension, "p + 1"), (by_assert, "p"), (by_callee, "p > 0"),
    (by_walrus, "p and (q := 3) and q")])
def test_a_branch_on_a_traced_value_names_its_expression(fn: Any, text: str) -> None:
    with pytest.raises(TracedBoolError) as caught:
        convert(fn, Recorder())(Probe())
    assert text_of(caught.value.span).strip("()") == text.strip("()")
    assert caught.value.span is not None and caught.value.span.file == __file__


def fails(n: int) -> int:
    def inner(k: int) -> int:
        return 1 // k
    return n and inner(n - 1)


def test_folded_tracebacks_hold_the_users_frames_alone() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        convert(fails)(1)
    names = [frame.name for frame in traceback.extract_tb(fold_traceback(caught.value).__traceback__)]
    assert names[1:] == ["fails", "inner"]


def test_folding_reaches_causes_and_ends_on_cycles() -> None:
    first, second = ValueError(1), KeyError(2)
    first.__cause__, second.__context__ = second, first
    assert fold_traceback(first) is first


def test_the_span_of_library_code_is_the_users_call() -> None:
    probe = Probe()
    convert(lambda p: sorted([2, 1], key=lambda v: (p + v, v)[1]), Recorder())(probe)
    assert text_of(probe.spans[0]) == "p + v"


def test_no_user_frame_gives_no_span() -> None:
    assert span_of_frame(None) is None
