"""tracejit: trace Python/NumPy functions into fused native kernels."""
from tracejit.api.function import function
from tracejit.base import errors
from tracejit.base import trees as tree
from tracejit.base.options import config, options
from tracejit.base.types import ArrayType
from tracejit.tracing.implements import LOADERS


def _load_numpy() -> None:
    import tracejit.numpy.implementations  # noqa: F401


LOADERS.append(_load_numpy)

__version__ = "0.1.0"
__all__ = ["ArrayType", "config", "errors", "function", "options", "tree"]
