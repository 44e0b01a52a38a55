"""A place in the user's source, and its picture: the line with a caret under the expression.

Flows in:  file, line and columns, from `ast` nodes or frames.
Flows out: `SourceSpan`, kept by every value of the graph and printed by every error.
"""
from __future__ import annotations

import linecache
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """line, end_line: from 1. column, end_column: from 0, in characters; -1 when unknown.

    derivative_of: the op of this place whose derivative the value is part of; empty for what the user wrote.
    """

    file: str
    line: int
    column: int = -1
    end_line: int = -1
    end_column: int = -1
    function: str = ""
    derivative_of: str = ""

    def of_derivative(self, op: str) -> SourceSpan:
        """This place, for what the derivative of `op` is made of."""
        return self if self.derivative_of else SourceSpan(self.file, self.line, self.column, self.end_line,
                                                          self.end_column, self.function, op)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.function}" if self.function else "")

    def picture(self) -> str:
        """The line of source with carets below; empty if the source can't be read."""
        text = linecache.getline(self.file, self.line).rstrip("\n")
        if not text:
            return ""
        number = f"{self.line:>5}"
        row = f"{number} | {text}"
        if self.column < 0:
            return row
        end = self.end_column if self.end_line in (-1, self.line) and self.end_column > self.column else len(text)
        return f"{row}\n{' ' * len(number)} | {' ' * self.column}{'^' * max(1, end - self.column)}"
