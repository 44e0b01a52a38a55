"""`tj.linalg`: np.linalg's functions, and those that SciPy and JAX have beside them.

Reading order:
    triangular    solve_triangular, cho_solve, lu
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.linalg.triangular import cho_solve, lu, solve_triangular
from tracejit.numpy.namespace import Namespace

__all__ = ["cho_solve", "lu", "solve_triangular"]


def __getattr__(name: str) -> Any:
    """A function of np.linalg."""
    return getattr(Namespace(np.linalg, "linalg"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(n for n in dir(np.linalg) if not n.startswith("_"))})
