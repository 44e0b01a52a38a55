"""The user's line: the innermost frame that runs neither this package's code nor NumPy's.

Flows in:  the frames of the running thread.
Flows out: `SourceSpan`s, one per (code, instruction), made once and kept.
"""
from __future__ import annotations

import os
import sys
from itertools import islice
from types import CodeType, FrameType

import numpy as np

from tracejit.base.spans import SourceSpan

_OURS = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,
         os.path.dirname(os.path.abspath(np.__file__)) + os.sep, "<frozen", "<__array_function__")
_hidden: dict[int, tuple[CodeType, bool]] = {}    # by id of a code object, which the entry keeps alive
_spans: dict[tuple[int, int], SourceSpan] = {}    # written by span_of_frame; the codes are kept alive by `_hidden`


def current_span(depth: int = 1) -> SourceSpan | None:
    """The place of the innermost user's frame."""
    frame = user_frame(sys._getframe(depth))
    return None if frame is None else span_of_frame(frame)


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame from `frame` outwards that is user's code."""
    while frame is not None and is_hidden(frame.f_code):
        frame = frame.f_back
    return frame


def is_hidden(code: CodeType) -> bool:
    """Whether frames of `code` are this package's or NumPy's."""
    entry = _hidden.get(id(code))
    if entry is None:
        entry = _hidden[id(code)] = code, code.co_filename.startswith(_OURS)
    return entry[1]


def span_of_frame(frame: FrameType) -> SourceSpan:
    """The expression that `frame` is at."""
    key = id(frame.f_code), frame.f_lasti
    span = _spans.get(key)
    if span is None:
        is_hidden(frame.f_code)
        span = _spans[key] = _span_at(frame.f_code, frame.f_lasti, frame.f_lineno)
    return span


def _span_at(code: CodeType, instruction: int, line: int) -> SourceSpan:
    start, end, column, end_column = next(
        islice(code.co_positions(), max(instruction, 0) // 2, None), (line, line, None, None))
    return SourceSpan(code.co_filename, start or line or 0, -1 if column is None else column,
                      end or -1, -1 if end_column is None else end_column, code.co_name)
