"""Branches that write to the same places become straight code that selects what is written.

Flows in:  a condition and the blocks of its branches, simplified.
Flows out: the definitions of both branches, then one store for each place; None if the branches are not like that.

Data decides such branches in comparisons of text or searches for the best, and every wrong guess of the processor costs
more than both branches.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tracejit.xla_lite.kernels.kernel_ir import (
    Apply,
    Buffer,
    Const,
    Expr,
    Let,
    Load,
    Name,
    Statement,
    Store,
    walk,
)

_MOST = 12    # definitions of both branches together that cost less than a wrong guess
CHEAP = frozenset("""add subtract multiply negate fma and or xor not shift_left shift_right_logical
    shift_right_arithmetic eq ne lt le gt ge select convert bitcast minimum maximum abs""".split())

Place = tuple[object, ...]


@dataclass(slots=True)
class _Branch:
    """definitions: what the branch computes, and views of buffers.  stores: by place, in order."""

    definitions: list[Let | Buffer] = field(default_factory=list)
    stores: dict[Place, Store] = field(default_factory=dict)

    @property
    def loads(self) -> list[Load]:
        return [x for s in self.definitions if type(s) is Let for x in walk(s.value) if type(x) is Load]


def merge(condition: Expr, blocks: Sequence[Sequence[Statement]], place: Callable[[Store], Place],
          is_inside: Callable[[Sequence[Let | Buffer], Sequence[Load]], bool]) -> list[Statement] | None:
    """The branches as one block. place: equal for stores to the same element.

    is_inside: whether loads stay inside their buffers when the definitions are made whatever the condition is.
    """
    parts = [_branch(block, place) for block in blocks]
    then, orelse = parts
    if then is None or orelse is None or then.stores.keys() != orelse.stores.keys():
        return None
    definitions = [*then.definitions, *orelse.definitions]
    cost = sum(type(s) is Let and not _is_offset(s.value) for s in definitions)
    if cost > _MOST or not is_inside(definitions, [*then.loads, *orelse.loads]):
        return None
    chosen = [_choose(condition, s, orelse.stores[where]) for where, s in then.stores.items()]
    return [*definitions, *chosen]


def _choose(condition: Expr, x: Store, y: Store) -> Store:
    if x.value == y.value:
        return x
    return Store(x.buffer, x.index, Apply("select", (condition, x.value, y.value), x.value.dtype))


def _branch(block: Sequence[Statement], place: Callable[[Store], Place]) -> _Branch | None:
    """A branch that computes something cheap and stores it; None for any other."""
    made = _Branch()
    for s in block:
        if type(s) is Let and _is_cheap(s.value) and not (made.stores and _loads(s.value)):
            made.definitions.append(s)
        elif type(s) is Buffer and s.of is not None and s.space == "local":
            made.definitions.append(s)
        elif type(s) is Store and _is_cheap(s.value) and not _loads(s.value) and (where := place(s)) not in made.stores:
            made.stores[where] = s
        else:
            return None
    return made


def _is_offset(e: Expr) -> bool:
    """Index arithmetic, which becomes part of an address."""
    return type(e) is Apply and e.fn in ("add", "subtract") and any(type(x) is Const for x in e.args)


def _loads(e: Expr) -> bool:
    return any(type(x) is Load for x in walk(e))


def _is_cheap(e: Expr) -> bool:
    return all(type(x) in (Name, Const, Load) or type(x) is Apply and x.fn in CHEAP for x in walk(e))
