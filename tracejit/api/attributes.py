"""Attributes that library code reads as inputs of a trace: what the trace depends on, however the object was reached.

Flows in:  objects that hold Variables or settings, such as generators and optimizers.
Flows out: their attributes as the traced code sees them; outside of a trace, as they are.
"""
from __future__ import annotations

from typing import Any

from tracejit.tracing.context import active


def input_attribute(obj: Any, name: str) -> Any:
    """`obj.name`, read again at every call of the compiled function; static values are guarded."""
    context = active()
    if context is None:
        return getattr(obj, name)
    if id(obj) not in context.namespace.reader.objects:     # it came here by no name that tracing sees
        context.namespace.root_of(obj, type(obj).__name__)
    return context.namespace.load_attribute(obj, name)
