"""Writes the statements of a kernel: open blocks, loops, names, and each value as far outside as it may be.

Flows in:  expressions and loop extents from the generators.
Flows out: nested statements. A `let` goes to the outermost open block in which all its names are known, and equal
           expressions in one block share a name: what does not depend on a loop is computed before it.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tracejit.base.dtypes import I64, DType
from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Apply,
    Buffer,
    Combine,
    Const,
    Expr,
    If,
    Let,
    Loop,
    LoopKind,
    Name,
    Space,
    Statement,
    Store,
)


@dataclass(slots=True)
class Block:
    """One open block. guarded: it may not run, so loads stay inside. memo: what generators remember here.

    lanes: it is the body of a vector loop.
    """

    guarded: bool = False
    lanes: bool = False
    statements: list[Statement] = field(default_factory=list)
    known: dict[Expr, Name] = field(default_factory=dict)
    memo: dict[object, object] = field(default_factory=dict)


class Writer:
    """The kernel being written."""

    def __init__(self) -> None:
        self.blocks = [Block()]
        self.depth: dict[str, int] = {}     # name -> depth of the block that defines it; parameters are at 0
        self.ready: dict[str, int] = {}     # buffer -> depth from which on its content is final
        self.arm = 0                        # depth of the innermost branch around; 0: none
        self.counter = 0

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}.{self.counter}"

    # ---- values -----------------------------------------------------------------------------------

    def depth_of(self, e: Expr) -> int:
        """The shallowest block in which `e` may be computed."""
        if isinstance(e, Name):
            return self.depth.get(e.name, 0)
        if isinstance(e, Const):
            return 0
        if isinstance(e, Apply):
            return max((self.arm, *map(self.depth_of, e.args)))
        inner = max(map(self.depth_of, e.index), default=0)
        guard = max((d for d, b in enumerate(self.blocks) if b.guarded), default=0)
        return max(inner, self.ready.get(e.buffer, 0), guard)

    def let(self, e: Expr) -> Expr:
        """A name for `e`; names and constants are themselves."""
        if isinstance(e, (Name, Const)):
            return e
        depth = self.depth_of(e)
        block = self.blocks[depth]
        if (name := block.known.get(e)) is None:
            name = block.known[e] = Name(self.fresh("v"), e.dtype)
            self.depth[name.name] = depth
            block.statements.append(Let(name.name, e))
        return name

    def let_here(self, e: Expr) -> Name:
        """A new name in the innermost block: for loads of buffers that change."""
        name = Name(self.fresh("v"), e.dtype)
        self.depth[name.name] = len(self.blocks) - 1
        self.emit(Let(name.name, e))
        return name

    # ---- statements -------------------------------------------------------------------------------

    def emit(self, s: Statement) -> None:
        self.blocks[-1].statements.append(s)

    def store(self, buffer: str, index: tuple[Expr, ...], value: Expr) -> None:
        self.emit(Store(buffer, index, value))

    def buffer(self, prefix: str, dtype: DType, shape: tuple[Expr, ...] = (), space: Space = "local") -> str:
        name = self.fresh(prefix)
        self.emit(Buffer(name, dtype, shape, space))
        self.ready[name] = len(self.blocks) - 1
        return name

    def uniform(self, prefix: str, dtype: DType) -> str:
        """A register that all lanes of the vector loop around share: they store the same value to it."""
        outside = next((d - 1 for d, b in enumerate(self.blocks) if b.lanes), len(self.blocks) - 1)
        name = self.fresh(prefix)
        self.blocks[outside].statements.append(Buffer(name, dtype, (), "local"))
        self.ready[name] = len(self.blocks) - 1
        return name

    def accumulate(self, buffers: tuple[str, ...], index: tuple[Expr, ...], combine: Combine,
                   values: tuple[Expr, ...]) -> None:
        self.emit(Accumulate(buffers, index, combine, values))

    @contextmanager
    def loop(self, extent: Expr, kind: LoopKind = "serial", prefix: str = "i",
             work: Expr | None = None) -> Iterator[Name]:
        """`with writer.loop(n) as i:`; a loop of one iteration is no loop."""
        if isinstance(extent, Const) and extent.value == 1 and kind != "vector":
            yield Const(0)  # type: ignore[misc]
            return
        index = Name(self.fresh(prefix), I64)
        self.depth[index.name] = len(self.blocks)
        self.blocks.append(Block(lanes=kind == "vector"))
        yield index
        body = tuple(self.blocks.pop().statements)
        if body:
            self.emit(Loop(index.name, extent, body, kind, work))

    @contextmanager
    def block(self, guarded: bool = True, arm: bool = False) -> Iterator[Block]:
        """A block whose statements the caller takes, for `While`. arm: of a branch, which keeps what it computes."""
        block, outer = Block(guarded=guarded), self.arm
        if arm:
            self.arm = len(self.blocks)
        self.blocks.append(block)
        yield block
        self.blocks.pop()
        self.arm = outer

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """Statements that run only where `condition` holds."""
        self.blocks.append(Block(guarded=True))
        yield
        body = tuple(self.blocks.pop().statements)
        if body:
            self.emit(If(condition, body))

    def finish(self) -> tuple[Statement, ...]:
        assert len(self.blocks) == 1
        return tuple(self.blocks[0].statements)
