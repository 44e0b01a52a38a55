"""What a program of the table is: plain NumPy text, how to decorate it, and inputs to run it on.

Flows in: the functions and classes of the modules beside this one.  Flows out: `Program` rows for test_programs.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Inputs = Callable[[np.random.Generator], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Program:
    """One NumPy program: `build(jit)` makes it callable, `inputs(rng)` gives argument tuples, of two sizes at least."""

    name: str
    build: Callable[[Decorator], Callable[..., Any]]
    inputs: Inputs
    rtol: float = 1e-12  # for float64; float32 results are compared with 1e-5 at least


def function(fn: Callable[..., Any], inputs: Inputs, rtol: float = 1e-12) -> Program:
    """A plain function."""
    return Program(fn.__name__, lambda jit: jit(fn), inputs, rtol)


def closure(make: Callable[[], Callable[..., Any]], inputs: Inputs, rtol: float = 1e-12) -> Program:
    """The inner function that `make()` returns."""
    return Program(make.__name__, lambda jit: jit(make()), inputs, rtol)


def method(make: Callable[[], Any], name: str, inputs: Inputs, rtol: float = 1e-12) -> Program:
    """The method `name` of the object that `make()` returns, decorated in its class as a user would."""

    def build(jit: Decorator) -> Callable[..., Any]:
        instance = make()
        cls = type(instance)
        instance.__class__ = type(cls.__name__, (cls,), {name: jit(vars(cls)[name])})
        return getattr(instance, name)

    return Program(f"{make.__qualname__}.{name}", build, inputs, rtol)
