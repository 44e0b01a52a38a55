"""A traceback that ends at a place in the user's source although no Python code ran there.

Flows in:  a span.
Flows out: a traceback of one frame.
"""
from __future__ import annotations

from types import CodeType, TracebackType

from tracejit.base.spans import SourceSpan


def traceback_at(span: SourceSpan) -> TracebackType | None:
    """A traceback of one frame, at the place of `span`."""
    source = "\n" * (span.line - 1) + "raise _Here"
    code: CodeType = compile(source, span.file, "exec").replace(co_name=span.function or "<module>")
    try:
        exec(code, {"_Here": _Here, "__name__": span.file})
    except _Here as here:
        traceback = here.__traceback__
        return traceback.tb_next if traceback is not None else None
    return None


class _Here(Exception):
    """Raised and caught above."""
