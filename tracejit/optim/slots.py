"""Variables that belong to other Variables: what an optimizer keeps for each.

Flows in:  Variables, when they are met first.
Flows out: Variables of the same shape, made once and then the same ones.
"""
from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.api.attributes import input_attribute
from tracejit.api.variable import Variable
from tracejit.tracing.context import running
from tracejit.tracing.inputs import FIXED_CALLABLES

Fill = Callable[[Any, str], Any]


class Owner:
    """Stands for one Variable, or for one optimizer: a trace that found slots by it fits no other."""


class Slots:
    """The step count, and for every Variable its own ones by name. They are forgotten with the Variable.

    A trace which meets a Variable first makes them too, outside of the traced code: they begin with constants. They are
    looked up while tracing, so that such a trace is for these very Slots and Variables.
    """

    def __init__(self, held: Sequence[tuple[Variable, dict[str, Variable]]] = (), step: Variable | None = None):
        self.owner = Owner()
        self._lock = threading.RLock()
        self._of: dict[int, tuple[weakref.ref[Variable], dict[str, Variable]]] = {}     # by id: == compares elements
        self._step = step
        for variable, slots in held:
            self._slots_of(variable).update(slots)

    def _slots_of(self, variable: Variable) -> dict[str, Variable]:
        key = id(variable)
        vars(variable).setdefault("owner", Owner())
        if key not in self._of:
            self._of[key] = weakref.ref(variable, lambda _: self._of.pop(key, None)), {}
        return self._of[key][1]

    def state(self, variables: Sequence[Variable], names: Sequence[str], fill: Fill) -> dict[str, Any]:
        """The step and, by name, the slots of the Variables. fill(array, name): what a new one holds."""
        with self._lock, running(None):
            if self._step is None:
                self._step = Variable(np.int64(0), trainable=False, name="step")
            every = [self._slots_of(v) for v in variables]
            for variable, slots in zip(variables, every, strict=True):
                for name in names:
                    if name not in slots:
                        slots[name] = Variable(fill(variable.array, name), trainable=False,
                                               name=f"{variable.name}.{name}")
            made = {"step": self._step, **{name: [slots[name] for slots in every] for name in names}}
        for guarded in (self, *variables):
            input_attribute(guarded, "owner")
        return made

    def of(self, variable: Variable, name: str) -> Variable | None:
        """One of a Variable's slots; None if there is none yet."""
        return self._of[id(variable)][1].get(name) if id(variable) in self._of else None

    def variables(self) -> tuple[Variable, ...]:
        """All that were made, in this order."""
        step = () if self._step is None else (self._step,)
        return (*step, *[slot for _, slots in self._of.values() for slot in slots.values()])

    def __reduce__(self) -> Any:
        return Slots, ([(v, slots) for known, slots in self._of.values() if (v := known()) is not None], self._step)


FIXED_CALLABLES.add(Owner)
