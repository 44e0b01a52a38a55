"""The user's line, for ops and errors.

Flows in:  the frames of the running thread.
Flows out: the span of the user's innermost expression.
"""
from __future__ import annotations

import sys

from tracejit.autograph.frames import span_of_frame
from tracejit.base.spans import SourceSpan


def current_span(depth: int = 1) -> SourceSpan | None:
    """The place in the user's code that this call comes from; None if no frame is the user's."""
    return span_of_frame(sys._getframe(depth))
