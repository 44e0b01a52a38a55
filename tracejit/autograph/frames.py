"""From a frame to the user's expression, and tracebacks without our own frames.

Flows in:  frames and exceptions.
Flows out: `span_of_frame`, `fold_traceback`. Converted code keeps the positions of the user's nodes, so the position of
           the instruction that runs is the position of the user's expression; no id is passed around.
"""
from __future__ import annotations

import linecache
from dataclasses import dataclass, field
from types import CodeType, FrameType, TracebackType
from typing import TypeVar

from tracejit.autograph.codes import CodeMap, is_thunk
from tracejit.autograph.policy import is_internal_file, is_user_file
from tracejit.autograph.rewriting import NAMESPACE
from tracejit.base.spans import SourceSpan

E = TypeVar("E", bound=BaseException)


@dataclass(slots=True)
class _Positions:
    """Positions of all instructions of a code object, and the spans that were asked for."""

    instructions: list[tuple[int | None, int | None, int | None, int | None]]
    spans: dict[int, SourceSpan] = field(default_factory=dict)


_POSITIONS: CodeMap[_Positions] = CodeMap()    # written by span_of_code


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame, from `frame` outwards, that runs the user's code."""
    while frame is not None:
        code = frame.f_code
        if NAMESPACE in code.co_freevars or is_user_file(code.co_filename):
            return frame
        frame = frame.f_back
    return None


def span_of_frame(frame: FrameType | None) -> SourceSpan | None:
    """The user's expression that runs in the nearest frame of the user's; None if there is no such frame.

    Typical call: `span_of_frame(sys._getframe(1))`.  Cost: under a microsecond when the place was asked for before.
    """
    found = user_frame(frame)
    return None if found is None else span_of_code(found.f_code, found.f_lasti)


def span_of_code(code: CodeType, instruction: int) -> SourceSpan:
    """The expression of the instruction at byte offset `instruction`."""
    known = _POSITIONS.get(code)
    if known is None:
        known = _POSITIONS.set(code, _Positions(list(code.co_positions())))
    span = known.spans.get(instruction)
    if span is None:
        span = known.spans[instruction] = _span(code, known.instructions[max(instruction, 0) // 2])
    return span


def _span(code: CodeType, position: tuple[int | None, int | None, int | None, int | None]) -> SourceSpan:
    line, end_line, start, end = position
    file = code.co_filename
    if line is None or start is None or end is None:
        return SourceSpan(file, line or code.co_firstlineno, function=code.co_name)
    end_line = end_line or line
    return SourceSpan(file, line, _characters(file, line, start), end_line, _characters(file, end_line, end),
                      code.co_name)


def _characters(file: str, line: int, column: int) -> int:
    """A column in UTF-8 bytes as a column in characters."""
    text = linecache.getline(file, line)
    return column if text.isascii() else len(text.encode()[:column].decode(errors="replace"))


def fold_traceback(error: E) -> E:
    """Removes tracejit's own frames from the traceback of `error` and of the errors that caused it, in place."""
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _folded(one.__traceback__)
        pending += [e for e in (one.__cause__, one.__context__) if e is not None]
    return error


def _folded(traceback: TracebackType | None) -> TracebackType | None:
    """The user's frames, each once: of a function and a piece of it, the piece knows the place better."""
    kept: list[TracebackType] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if kept and is_thunk(code):
            kept.pop()
        if not is_internal_file(code.co_filename):
            kept.append(traceback)
        traceback = traceback.tb_next
    result = None
    for one in reversed(kept):
        result = TracebackType(result, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return result
