"""Errors which compiled code raises, as if the user's line had raised them.

Flows in:  the status that compiled code returned and the words of its message.
Flows out: a builtin exception whose traceback ends in the user's file and line.
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.base.dtypes import DType
from tracejit.base.errors import InternalError, MemoryLimitError, exception_class
from tracejit.base.spans import SourceSpan
from tracejit.base.tracebacks import traceback_at

OUT_OF_MEMORY = "MemoryError"
NO_MEMORY = -2    # the status where compiled code could not allocate


def error_raiser(sites: Sequence[Any]) -> Callable[[int, tuple[int, ...]], Any]:
    """What dispatch calls when compiled code fails. sites: site k - 1 belongs to status k."""
    def raise_error(status: int, words: tuple[int, ...]) -> None:
        if status == NO_MEMORY:
            raise MemoryLimitError("out of memory: an array which the compiled function makes does not fit")
        if not 0 < status <= len(sites):
            raise InternalError(f"compiled code returned the unknown status {status}")
        site = sites[status - 1]
        raise failure(site.exception, site.message, [value_of(w, d) for w, d in zip(words, site.payload)], site.span)
    return raise_error


def failure(exception: str, message: str, values: Sequence[Any], span: SourceSpan | None) -> BaseException:
    """The exception, with the user's line at the end of its traceback."""
    text = message.format(*values) if message else ""
    if exception == OUT_OF_MEMORY:
        return MemoryLimitError(text or "out of memory", span=span)
    cls: Any = exception_class(exception) or RuntimeError
    error: BaseException = cls(*((text,) if text else ()))
    return error.with_traceback(traceback_at(span)) if span is not None else error


def value_of(word: int, dtype: DType) -> Any:
    """One word of a message (floats as f64) as a NumPy scalar, which is formatted as the Python number would be."""
    raw = struct.pack("<q", word)
    if dtype.is_float:
        return dtype.numpy.type(struct.unpack("<d", raw)[0])
    return np.frombuffer(raw[:dtype.numpy.itemsize], dtype.numpy)[0]
