"""Converted functions in a debugger: breakpoints and steps on the user's lines, variables to look at.

Flows in: functions of this file, run under `bdb`.  Flows out: failures.
"""

import bdb
import traceback
from types import FrameType
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.autograph import convert, fold_traceback


def program(x, limit):
    total = 0.0
    for v in x:
        if v > limit:
            total += v
        else:
            total -= 1.0
    count = 0
    while total > 1.0:
        total /= 2
        count += 1
    return total, count


FIRST = program.__code__.co_firstlineno
INPUT = np.array([5.0, -1.0, 9.0])


class Recorder(bdb.Bdb):
    """Steps through everything, or runs from breakpoint to breakpoint; notes lines of this file and their variables."""

    def __init__(self, breaks: tuple[int, ...] = ()) -> None:
        super().__init__(skip=["tracejit.*", "numpy.*"])
        self.stops: list[tuple[int, str, dict[str, Any]]] = []
        self.breaks_only = bool(breaks)
        for line in breaks:
            self.set_break(__file__, FIRST + line)

    def user_line(self, frame: FrameType) -> None:
        if frame.f_code.co_filename == __file__:
            self.stops.append((frame.f_lineno - FIRST, frame.f_code.co_name, dict(frame.f_locals)))
        if self.breaks_only:
            self.set_continue()
        else:
            self.set_step()

    @property
    def lines(self) -> list[int]:
        """Without repetitions: blocks that are functions stop at their first line too."""
        found = [line for line, _, _ in self.stops]
        return [b for a, b in zip([None, *found], found, strict=False) if a != b]


def record(fn: Any, breaks: tuple[int, ...] = ()) -> Recorder:
    debugger = Recorder(breaks)
    debugger.runcall(fn, INPUT, 0.0)
    return debugger


def test_converted_function_steps_over_the_lines_that_plain_python_steps_over() -> None:
    plain, converted = record(program), record(convert(program))
    head_of_for = 2    # Python comes back to it once more to find that there is no next item
    assert [n for n in converted.lines if n != head_of_for] == [n for n in plain.lines if n != head_of_for]
    assert converted.lines.count(head_of_for) == plain.lines.count(head_of_for) - 1
    assert {name for _, name, _ in converted.stops} == {"program"}


def test_traced_function_steps_over_every_line_once_for_each_way() -> None:
    stopped = record(tj.function(program))
    assert set(stopped.lines) == set(range(1, 12)) - {5}
    assert {name for _, name, _ in stopped.stops} == {"program"}


def test_breakpoint_in_a_branch_of_a_loop_stops_in_converted_code_with_the_variables_of_the_round() -> None:
    plain, converted = record(program, (4,)), record(convert(program), (4,))
    at = [[(line, v["v"], v["total"]) for line, _, v in r.stops if line == 4] for r in (plain, converted)]
    assert at[0] == at[1] == [(4, 5.0, 0.0), (4, 9.0, 4.0)]


@pytest.mark.parametrize("line", [1, 3, 4, 6, 9, 10, 11])
def test_breakpoint_on_any_line_stops_while_tracing(line: int) -> None:
    stops = [s for s in record(tj.function(program), (line,)).stops if s[0] == line]
    assert stops
    assert all("total" in variables for _, _, variables in stops if line in (3, 4, 6, 9, 10, 11))


def test_a_traced_value_prints_its_type_in_the_debugger() -> None:
    *_, (_, _, variables) = [s for s in record(tj.function(program), (4,)).stops if s[0] == 4]
    assert "f64" in repr(variables["v"]) and "f64" in repr(variables["total"])


def test_pdb_shows_source_and_frames_of_converted_code() -> None:
    lines: list[str] = []

    class Shower(bdb.Bdb):
        def user_line(self, frame: FrameType) -> None:
            if frame.f_lineno == FIRST + 4 and not lines:
                stack, index = self.get_stack(frame, None)
                lines.extend(self.format_stack_entry(entry) for entry in stack[:index + 1])
            self.set_continue()

    debugger = Shower()
    debugger.set_break(__file__, FIRST + 4)
    debugger.runcall(convert(program), INPUT, 0.0)
    assert lines[-1].startswith(f"{__file__}({FIRST + 4})program") and lines[-1].endswith("total += v")


def fails_while_tracing(x, n):
    for i in range(n):
        if x[i] > 0:
            x.no_such_method(i)
    return x


@pytest.mark.parametrize("make", [convert, tj.function])
def test_traceback_of_an_error_in_nested_blocks_shows_the_users_own_line_and_expression(make: Any) -> None:
    with pytest.raises(AttributeError) as caught:
        make(fails_while_tracing)(INPUT.copy(), 2)
    frames = traceback.extract_tb(fold_traceback(caught.value).__traceback__)
    mine = [f for f in frames if f.filename == __file__ and f.name == "fails_while_tracing"]
    assert mine and mine[-1] is frames[-1]
    assert mine[-1].lineno == fails_while_tracing.__code__.co_firstlineno + 3
    assert mine[-1].line == "x.no_such_method(i)"
