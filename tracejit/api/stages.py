"""The texts of every stage between the user's source and machine code.

Flows in:  a function and one of its compiled traces.
Flows out: `Stages`, whose properties print; graphs parse back.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tracejit.autograph.entry import python_function, to_source
from tracejit.base.errors import SourceUnavailableError


class Stages:
    """`.source .converted .graph .fused .kernels .llvm .asm`, each text (graphs: objects that print)."""

    NAMES = ("source", "converted", "graph", "fused", "kernels", "llvm", "asm")

    def __init__(self, fn: Callable[..., Any], compiled: Any):
        self._fn, self._compiled = fn, compiled

    @property
    def source(self) -> str:
        """As the user wrote it."""
        try:
            return inspect.getsource(python_function(self._fn))
        except (OSError, SourceUnavailableError):
            return "(no source)"

    @property
    def converted(self) -> str:
        """After AutoGraph; `ag` is the namespace."""
        try:
            return to_source(self._fn)
        except SourceUnavailableError:
            return "(no source)"

    @property
    def graph(self) -> Any:
        return self._compiled.trace.graph

    @property
    def fused(self) -> Any:
        return self._compiled.executable.fused

    optimized = fused

    @property
    def kernels(self) -> str:
        return str(self._compiled.executable.kernels_text)

    @property
    def llvm(self) -> str:
        return str(self._compiled.executable.llvm_text())

    @property
    def asm(self) -> str:
        return str(self._compiled.executable.assembly())

    def __str__(self) -> str:
        return "\n\n".join(f"== {name} ==\n{str(getattr(self, name)).rstrip()}" for name in self.NAMES)

    __repr__ = __str__
