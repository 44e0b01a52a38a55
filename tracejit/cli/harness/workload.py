"""What is timed: a NumPy function, its inputs by size, and versions for the systems that need their own.

Flows in: the modules of bench/workloads, or FILE.py:FN of the command line.  Flows out: `Workload`.
"""

import importlib
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tracejit.cli.arguments import load_function, random_arguments

Builder = Callable[[], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """One size of a workload and what is asked of it: tracejit's time / time of the best peer."""

    label: str
    size: Any
    at_most: float
    strive: float
    moved: float = 0.0    # bytes that must be read and written; for the fraction of copy bandwidth
    flops: float = 0.0    # for the fraction of the FMA peak


@dataclass(frozen=True, slots=True)
class Workload:
    """One function on several systems.

    numpy: the plain function; tracejit decorates it, and it is the reference of every result.
    inputs: (size, generator) -> arguments.
    peers: system -> builder of its version; a system that is not named gets the NumPy text with its own namespace.
    complete: the builders, also that of tracejit, give functions that compile themselves and keep what they update.
    skip: systems which can't run it.
    against: "best" compares with the best peer, a system's name with that system.
    cold_case: the case whose first call is measured too; empty for none.  cold_against, cold_at_most, cold_strive: its
    bounds, as shares of a system's time.
    reference: gives the same results in less time, where plain Python would take minutes.
    memory_cases: the cases whose peak memory is measured too, and its bounds as shares of the leanest peer's.
    many_sizes: a case is a tuple of sizes, and the time of one call for each of them is measured, in a fresh process.
    """

    name: str
    numpy: Callable[..., Any]
    inputs: Callable[[Any, np.random.Generator], tuple[Any, ...]]
    cases: tuple[Case, ...]
    smoke: Any
    peers: Mapping[str, Builder] = field(default_factory=dict)
    complete: bool = False
    skip: frozenset[str] = frozenset()
    against: str = "best"
    rtol: float = 1e-9
    cold_case: str = ""
    cold_against: str = "jax"
    cold_at_most: float = 0.5
    cold_strive: float = 0.3
    memory_cases: tuple[str, ...] = ()
    memory_at_most: float = 1.0
    memory_strive: float = 0.7
    many_sizes: bool = False
    reference: Callable[..., Any] | None = None

    def arguments(self, size: Any) -> tuple[Any, ...]:
        """The same arguments in every process."""
        return self.inputs(size, np.random.default_rng(1234))

    def case(self, label: str) -> Case:
        """The case called `label`; `smoke` is one tiny case."""
        if label == "smoke":
            return Case("smoke", self.smoke, at_most=0, strive=0)
        return next(case for case in self.cases if case.label == label)


def load_suite(package: str) -> dict[str, Workload]:
    """Every workload in the `WORKLOADS` lists of the package's `MODULES`, by name, in order.

    The name of a JSON file stands for the one workload that it describes.
    """
    if package.endswith(".json"):
        workload = workload_of_file(json.loads(Path(package).read_text()))
        return {workload.name: workload}
    modules = [importlib.import_module(f"{package}.{name}") for name in importlib.import_module(package).MODULES]
    return {workload.name: workload for module in modules for workload in module.WORKLOADS}


def workload_of_file(spec: dict[str, Any]) -> Workload:
    """The workload that `tracejit bench FILE.py:FN --args ...` describes."""
    fn = load_function(spec["file"], spec["function"])

    def inputs(size: Any, r: np.random.Generator) -> tuple[Any, ...]:
        return random_arguments(spec["args"], r, spec["sizes"])

    return Workload(spec["function"], getattr(fn, "original", fn), inputs, (Case(spec["args"], None, 0, 0),), None,
                    rtol=spec["rtol"], cold_case=spec["args"])


def rebind(fn: Callable[..., Any], wrap: Callable[..., Any] = lambda helper: helper, **names: Any,
           ) -> Callable[..., Any]:
    """`fn`, and the functions of its module that it calls, with other globals: `rebind(f, np=jax.numpy)`.

    Only names that the module has are replaced; the module itself is left as it is.
    wrap: applied to each function that is called.
    """
    if not isinstance(fn, types.FunctionType):
        return fn
    scope: dict[str, Any] = dict(fn.__globals__)
    scope.update({name: value for name, value in names.items() if name in scope})
    for name, value in fn.__globals__.items():
        if isinstance(value, types.FunctionType) and value.__module__ == fn.__module__:
            scope[name] = wrap(_with_globals(value, scope))
    return _with_globals(fn, scope)


def _with_globals(fn: types.FunctionType, scope: dict[str, Any]) -> types.FunctionType:
    copy = types.FunctionType(fn.__code__, scope, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__kwdefaults__ = fn.__kwdefaults__
    return copy
