"""tracejit: trace Python/NumPy functions into fused native kernels.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracejit import autograph
    from tracejit import linalg as linalg
    from tracejit import nn as nn
    from tracejit import numpy as numpy
    from tracejit import optim as optim
    from tracejit import random as random
    from tracejit import tree as tree
    from tracejit.api.batching import vmap
    from tracejit.api.custom import checkpoint, custom_gradient, stop_gradient
    from tracejit.api.function import function
    from tracejit.api.gradients import grad, jvp, value_and_grad, vjp
    from tracejit.api.jacobians import hessian, jacfwd, jacobian, jacrev
    from tracejit.api.tape import GradientTape
    from tracejit.api.tensor import Tensor, constant
    from tracejit.api.variable import Variable
    from tracejit.base import errors
    from tracejit.base.options import config, options
    from tracejit.base.types import ArrayType
    from tracejit.tracing.host import host_call
    from tracejit.tracing.host import print_values as print

__version__ = "0.1.0"
__all__ = ["ArrayType", "GradientTape", "Tensor", "Variable", "autograph", "checkpoint", "config", "constant",
           "custom_gradient", "errors", "function", "grad", "hessian", "host_call", "jacfwd", "jacobian", "jacrev",
           "jvp", "linalg", "nn", "numpy", "optim", "options", "print", "random", "stop_gradient", "tree",
           "value_and_grad", "vjp", "vmap"]

# Where each name lives: module, attribute (empty: the module itself).
_PLACES = {
    "GradientTape": ("tracejit.api.tape", "GradientTape"),
    "ArrayType": ("tracejit.base.types", "ArrayType"), "autograph": ("tracejit.autograph", ""),
    "checkpoint": ("tracejit.api.custom", "checkpoint"), "config": ("tracejit.base.options", "config"),
    "constant": ("tracejit.api.tensor", "constant"), "custom_gradient": ("tracejit.api.custom", "custom_gradient"),
    "errors": ("tracejit.base.errors", ""), "function": ("tracejit.api.function", "function"),
    "grad": ("tracejit.api.gradients", "grad"), "hessian": ("tracejit.api.jacobians", "hessian"),
    "host_call": ("tracejit.tracing.host", "host_call"), "jacobian": ("tracejit.api.jacobians", "jacobian"),
    "jacfwd": ("tracejit.api.jacobians", "jacfwd"), "jacrev": ("tracejit.api.jacobians", "jacrev"),
    "jvp": ("tracejit.api.gradients", "jvp"), "linalg": ("tracejit.linalg", ""), "nn": ("tracejit.nn", ""),
    "numpy": ("tracejit.numpy", ""),
    "optim": ("tracejit.optim", ""), "options": ("tracejit.base.options", "options"),
    "print": ("tracejit.tracing.host", "print_values"), "random": ("tracejit.random", ""),
    "stop_gradient": ("tracejit.api.custom", "stop_gradient"), "Tensor": ("tracejit.api.tensor", "Tensor"),
    "tree": ("tracejit.tree", ""), "value_and_grad": ("tracejit.api.gradients", "value_and_grad"),
    "Variable": ("tracejit.api.variable", "Variable"), "vjp": ("tracejit.api.gradients", "vjp"),
    "vmap": ("tracejit.api.batching", "vmap")}


def __getattr__(name: str) -> Any:
    """Loads a public name; from then on it is an ordinary attribute."""
    if name not in _PLACES:
        raise AttributeError(f"module 'tracejit' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    found = import_module(module)
    value = globals()[name] = getattr(found, attribute) if attribute else found
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
