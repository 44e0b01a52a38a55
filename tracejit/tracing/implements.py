"""The table of NumPy functions: what each NumPy callable, builtin and array method means on tracers.

Flows in:  implementations, declared with `@implements(np.add)` by the NumPy front end while it is imported.
Flows out: `NUMPY`, looked up by operators, methods, NumPy's protocols and converted call sites.
"""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from tracejit.base.errors import UnsupportedError
from tracejit.tracing.spans import current_span

F = TypeVar("F", bound=Callable[..., Any])


class Table(dict[Any, Callable[..., Any]]):
    """Look-up of something without an implementation is the user's error, at the user's line."""

    def __missing__(self, key: Any) -> NoReturn:
        raise unsupported(key)


def unsupported(key: Any) -> UnsupportedError:
    """The error for a NumPy function that has no compiled meaning."""
    parts = key if isinstance(key, tuple) else (key,)
    name = ".".join(getattr(part, "__name__", str(part)) for part in parts)
    module = getattr(parts[0], "__module__", None) or "numpy"
    return UnsupportedError(f"{module}.{name} is not supported in a compiled function", span=current_span(3),
                            why="it has no compiled meaning yet",
                            fix="write it with supported functions, or call it outside")


# Keys: NumPy callables, builtins (abs, sum, len, ...), pairs such as (np.add, "reduce") for methods of ufuncs, texts
# such as "ndarray.astype" for methods of arrays without a function, and the two keys of indexing below.
NUMPY: dict[Any, Callable[..., Any]] = Table()    # written by `implements` while the front end is imported

# READ(x, index) -> Array: `x[index]`; basic indexing of a mutable array makes a `building.view`.
READ = operator.getitem
# UPDATE(x, index, value, combine="set") -> Array: `x` with some elements replaced; pure, nothing is mutated.
# combine: set add multiply minimum maximum; duplicates in an index accumulate, as `np.add.at` does.
UPDATE = operator.setitem
# CHOSEN_READ(x): computes the content of an array which is one of several, in the running scope.
CHOSEN_READ = "content of one of several arrays"
# CHOSEN_WRITE(x, write): does `write(memory)` for the one of several arrays that `x` is, or is a view of.
CHOSEN_WRITE = "write to one of several arrays"


def implements(*keys: Any) -> Callable[[F], F]:
    """Declares the decorated function as the meaning of each key."""
    def declare(function: F) -> F:
        for key in keys:
            NUMPY[key] = function
        return function
    return declare


def implementation(key: Any) -> Callable[..., Any] | None:
    """The meaning of a callable on tracers; None if there is none (or the key can't be hashed)."""
    try:
        return NUMPY.get(key)
    except TypeError:
        return None


LOADERS: list[Callable[[], object]] = []    # imports of front ends, written at import, run before the first trace


def load_front_end() -> None:
    """Fills the table. Importing the front ends is left to the first trace, so that importing the package is quick."""
    for loader in tuple(LOADERS):
        loader()
    LOADERS.clear()
