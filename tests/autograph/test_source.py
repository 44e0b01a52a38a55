"""What converted code looks like.

Flows in:  small functions.  Flows out: the text of `to_source`.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.autograph import to_source

SCALE = 2.0


def relu(model: Any, x: Any, *, limit: float = 1.0) -> Any:
    """Doc."""
    model.calls += 1
    y = np.maximum(x @ model.w, 0)[1:, None] * SCALE
    if 0 < limit < 5 and not model.off:
        y[0] = limit
    return y if y.ndim else None


EXPECTED = """\
def relu(model, x, *, limit=None):
    'Doc.'
    part_1 = model
    result_2 = ag.load_attribute(part_1, 'calls')
    result_2 += 1
    ag.store_attribute(result_2, part_1, 'calls')
    y = ag.load_item(ag.call(ag.load_attribute(ag.load_global(scope, 'np'), 'maximum'), \
x @ ag.load_attribute(model, 'w'), 0), (ag.slice(1, None), None)) * ag.load_global(scope, 'SCALE')

    def body_3():
        ag.store_item(limit, y, 0)
    ag.if_(ag.and_(ag.compare(('<', '<'), 0, limit, lambda: 5), \
lambda: ag.not_(ag.load_attribute(model, 'off'))), body_3, None, ())
    return ag.if_expression(ag.load_attribute(y, 'ndim'), lambda: y, lambda: None)"""


def test_converted_source_reads_as_the_users_with_operators() -> None:
    assert to_source(relu).replace('"""Doc."""', "'Doc.'") == EXPECTED


def test_the_users_names_are_never_taken() -> None:
    def f(ag: Any, scope: Any, part_1: Any) -> Any:
        part_1.x += ag[scope]
        return part_1
    text = to_source(f)
    assert "part_1_ = part_1" in text and "ag_.load_item(ag, scope)" in text
