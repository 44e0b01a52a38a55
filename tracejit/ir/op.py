"""`Op`: the one record that says everything about an operation.

Flows in:  declarations in `tracejit/ops`.
Flows out: `OPS`, which printer, parser, evaluator, transforms and lowering look names up in.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracejit.base.types import ArrayType

Attributes = Mapping[str, Any]
Case = tuple[tuple[ArrayType, ...], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Op:
    """Everything the compiler knows about one operation; named as in the StableHLO specification.

    kind: what the engines dispatch on: pointwise reduction cumulative view gather scatter contraction
        source control effect library.
    type_rule(*operand types, **attributes) -> result types; raises TypeRuleError.
    numpy(*arrays, **attributes) -> array, or a tuple for several results: the meaning. Regions arrive as callables;
        sizes arrive as ints; each array has exactly the dtype of its type.
    lower: what the kind asks for; see `tracejit/ops/declare.py`.
    cases(full=False) -> operand types and attributes that the generated tests start from; made when asked for,
        so that importing the table stays quick.
    domain: where test inputs of float operands are drawn from, one pair for all or one per operand.
    has_effect: keeps its place in program order, is never merged, moved or dropped.
    cost: rough work per element in units of one addition; engines inline what is cheap.
    facts: what else tests and engines may ask; `sorted_operands`: numbers of operands that must ascend;
        `drawn(*arrays)`: random operands as the op wants them; `routines`: what its kernel calls of BLAS and LAPACK.
    gradient: its derivative, a `tracejit/ops/derivatives.py: Gradient`; None: not differentiable.
    batch: what it does on operands with a new leading axis, see `tracejit/ops/batching.py`; None: as its kind says.
    exact: the compiled result must equal NumPy's bit for bit.  ulps: else, the tolerance.
    """

    name: str
    kind: str
    type_rule: Callable[..., Sequence[ArrayType]]
    numpy: Callable[..., Any]
    lower: Any = None
    cases: Callable[..., Iterable[Case]] = lambda full=False: ()
    domain: Any = (-3.0, 3.0)
    has_effect: bool = False
    cost: int = 1
    exact: bool = True
    ulps: float = 4.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    gradient: Any = None
    batch: Any = None

    def __repr__(self) -> str:
        return f"<op {self.name}>"


OPS: dict[str, Op] = {}    # written once by each module of tracejit/ops while it is imported


def register(op: Op) -> Op:
    """Adds a declaration to the table; a name is declared once."""
    if op.name in OPS:
        raise ValueError(f"op `{op.name}` is declared twice")
    OPS[op.name] = op
    return op
