"""Cumulative ops: every prefix of a fold along one axis.

Flows in:  the vocabulary of `declare`, the folds of `reductions`.
Flows out: ops of kind `cumulative`.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracejit.ops.declare import ANY, FLOAT, NUMBER, cumulative
from tracejit.ops.reductions import MAXIMUM, MINIMUM, PRODUCT, SUM, folding
from tracejit.ops.references import in_single

Array = NDArray[Any]


def _accumulate(ufunc: Any) -> Any:
    def computed(x: Array, axis: int, reverse: bool) -> Array:
        x = np.flip(x, axis) if reverse else np.asarray(x)
        out = ufunc.accumulate(x, axis=axis, dtype=x.dtype)
        return np.flip(out, axis) if reverse else np.asarray(out)

    return in_single(computed)


LOG_SUM_EXP = folding(lambda dtype: -math.inf, lambda b, x, y: b.call("logaddexp", x, y))

cumulative_sum = cumulative("cumulative_sum", dtypes=NUMBER, numpy=_accumulate(np.add), combine=SUM, exact=False)
cumulative_prod = cumulative("cumulative_prod", dtypes=NUMBER, numpy=_accumulate(np.multiply), combine=PRODUCT,
                             exact=False)
cumulative_min = cumulative("cumulative_min", dtypes=ANY, numpy=_accumulate(np.minimum), combine=MINIMUM)
cumulative_max = cumulative("cumulative_max", dtypes=ANY, numpy=_accumulate(np.maximum), combine=MAXIMUM)
cumulative_logsumexp = cumulative("cumulative_logsumexp", dtypes=FLOAT, numpy=_accumulate(np.logaddexp),
                                  combine=LOG_SUM_EXP, exact=False, ulps=16.0, cost=30)
