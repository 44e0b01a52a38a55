"""Every error that users meet: what, where, why, how to fix.

Flows in:  a sentence, the span of the user's line, the reason, the way out.
Flows out: one class per kind of mistake; each is also the builtin that NumPy or Python would raise.
"""
from __future__ import annotations

import builtins

import numpy as np

from tracejit.base.spans import SourceSpan


class TracejitError(Exception):
    """Base of all errors of this package.

    message: what happened, one line.  span: where.  why: the rule that was broken.  fix: code the user can type.
    """

    def __init__(self, message: str, *, span: SourceSpan | None = None, why: str = "", fix: str = ""):
        super().__init__(message)
        self.message, self.span, self.why, self.fix = message, span, why, fix

    def __str__(self) -> str:
        lines = [self.message]
        if self.span is not None:
            lines += [f"  --> {self.span}", *self.span.picture().splitlines()]
        lines += [f"  why: {self.why}"] if self.why else []
        lines += [f"  fix: {self.fix}"] if self.fix else []
        return "\n".join(lines)

    def at(self, span: SourceSpan | None) -> TracejitError:
        """This error with its place filled in, unless it has one."""
        if self.span is None:
            self.span = span
        return self


class TypeRuleError(TracejitError, TypeError):
    """Operands do not fit an op. Raised without a line by the rules of ops; tracing adds the line."""


class ShapeError(TypeRuleError, ValueError):
    """Shapes do not fit together: `np.ones(3) + np.ones(4)`."""


class DtypeError(TypeRuleError):
    """An op has no rule for an element type: `np.sin(x)` of a string, `x & 1` of a float."""


class UnsupportedTypeError(TracejitError, TypeError):
    """An argument or captured value can't become an array and can't be a static value: object or string arrays."""


class UnsupportedError(TracejitError, NotImplementedError):
    """Python or NumPy code that can't be compiled; names the line, the reason and the way out."""


class TracedBoolError(UnsupportedError):
    """A branch or loop condition depends on the data of a traced array where that can't be captured."""


class ConcretizationError(TracejitError, TypeError):
    """Python needs the value of a traced array while tracing: `int(x)`, `list(x)`, `float(x.sum())`."""


class MutationError(TracejitError, TypeError):
    """An immutable array was assigned to: `t[i] = v` of a Tensor; write `t = t.at[i].set(v)`."""


class TracedIndexError(TracejitError, IndexError):
    """An index is out of range, found while tracing or at run time."""


class SourceUnavailableError(TracejitError, OSError):
    """The source of a function can't be read, so it can't be converted; `autograph=False` traces it as it is."""


class SignatureError(TracejitError, TypeError):
    """A call does not fit a declared `signature=` or `static=` names something that is no parameter."""


class GradientError(TracejitError, TypeError):
    """A derivative was asked of something that has none."""


class NaNError(TracejitError, FloatingPointError):
    """A result is NaN while `tj.config.debug_nans` is on: `np.log(x)` of a negative number."""


class RecursionLimitError(TracejitError, RecursionError):
    """A function calls itself without end while it is traced."""


class MemoryLimitError(TracejitError, MemoryError):
    """An array of the compiled function is larger than the memory or the address space."""


class RetraceWarning(UserWarning):
    """A function was traced many times; the message lists the reasons."""


def exception_class(name: str) -> type[BaseException] | None:
    """What compiled code raises by this name: a builtin exception, or NumPy's LinAlgError."""
    found: type[BaseException] | None = getattr(builtins, name, None)
    return np.linalg.LinAlgError if name == "LinAlgError" else found


class InternalError(TracejitError, RuntimeError):
    """A bug in tracejit itself. Names the pass and the reproducer file, which replays it in one command."""
