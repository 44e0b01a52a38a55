"""What an exception that leaves the function leaves behind: what was changed so far of what the caller can see.

Flows in:  the reader's arrays, as they are where something fails.
Flows out: the state that failing ops hand over, each part with the number of its place; for each number, at the end of
           the trace, the output of the graph whose place gets it.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracejit.tracing.arrays import Array
from tracejit.tracing.inputs import ArrayInput, Reader


class Keeper:
    """Numbers places in the order in which failures meet them changed. arrays: arguments whose memory was changed."""

    def __init__(self, reader: Reader):
        self.reader = reader
        self.arrays: list[ArrayInput] = []

    def state(self) -> tuple[list[Array], tuple[int, ...]]:
        """What is changed now, and the numbers of its places."""
        changed = write_backs(self.reader)
        self.arrays += [a for a in changed if a not in self.arrays]
        return [a.tracer.snapshot() for a in changed], tuple([self.arrays.index(a) for a in changed])

    def outputs(self, written: Sequence[ArrayInput], first: int) -> Mapping[int, int]:
        """For each number its output. written: the arrays behind output `first` and those after it."""
        return {number: first + written.index(array) for number, array in enumerate(self.arrays)}


def write_backs(reader: Reader) -> list[ArrayInput]:
    """The inputs whose memory was changed."""
    params = reader.context.root.graph.params
    return [a for a in reader.arrays if a.same_as is None and a.tracer.value is not params[a.param]]
