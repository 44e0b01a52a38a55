"""Exponential moving averages of parameters, which often predict better than the last ones.

Flows in:  parameters after each step: trees or Variables.
Flows out: averages: trees of the same structure, or Variables.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.api.attributes import input_attribute
from tracejit.api.library import library
from tracejit.api.variable import Variable
from tracejit.base.errors import SignatureError
from tracejit.base.trees import tree_map
from tracejit.optim.slots import Slots
from tracejit.tracing.building import convert, lift
from tracejit.tracing.spans import current_span


@library()
def moving_average(average: Any, params: Any, decay: float, step: Any = None) -> Any:
    """decay * average + (1 - decay) * params, over trees; a step keeps the decay below (1 + step) / (10 + step)."""
    def moved(a: Any, p: Any) -> Any:
        dtype = lift(a).type.dtype
        return a + convert(lift(1 - limit), dtype) * (convert(lift(p), dtype) - a)

    limit: Any = decay if step is None else np.minimum(decay, (1 + step) / (10 + step))
    return tree_map(moved, average, params)


class ExponentialMovingAverage:
    """Averages of Variables, held in Variables. decay: the part of the average that stays at each update.

    warm: the decay of the first updates is kept below (1 + step) / (10 + step), so that the start is soon forgotten.
    """

    def __init__(self, decay: float = 0.999, warm: bool = False):
        self.decay, self.warm = decay, warm
        self.slots = Slots()

    def update(self, variables: Sequence[Variable]) -> None:
        """Moves the averages towards the Variables. An average begins with the value at its first update."""
        slots: Slots = input_attribute(self, "slots")
        state = slots.state(variables, ("average",), lambda array, _: array)
        _move(list(variables), state["average"], state["step"], input_attribute(self, "decay"), self.warm)

    def average(self, variable: Variable) -> Variable:
        """The Variable that holds the average of another one."""
        found = self.slots.of(variable, "average")
        if found is None:
            raise SignatureError(f"{variable.name} has no average yet", span=current_span(2),
                                 fix="call update with it first")
        return found

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The step and all averages."""
        return self.slots.variables()


@library(static=("warm",))
def _move(variables: list[Variable], averages: list[Variable], step: Variable, decay: Any, warm: bool) -> None:
    held, now = [a.value for a in averages], [v.value for v in variables]
    moved = moving_average(held, now, decay, step.value if warm else None)
    for variable, value in zip(averages, moved, strict=True):
        variable.assign(value)
    step.assign(step.value + 1)
