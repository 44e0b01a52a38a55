"""Kernel IR: what code generation is told, and all that it is told. Backends see nothing else.

Flows in:  the generators of this package.
Flows out: `Program`: kernels and a `main` that calls them; `printer` prints, `interpreter` runs, `cpu` emits it.

Only real scalars exist here: generators split complex numbers into two parts, and 16-bit floats appear in loads,
stores and conversions alone. Every index and extent is an i64 expression; every loop starts at 0.

Statements
    Buffer      memory in scope until the end of the block; rank 0 and local = a mutable register
    Loop        serial, parallel (iterations in any order, on any thread), vector (one program over lanes), unroll
    While       before; leave unless condition; body; again
    If Let Store Accumulate Call Fail
    Attempt     body; a `Fail` in it that names a handler goes on there, behind the memory that it declared
    TileMatmul  a block of a matrix product, in registers;  TileTranspose  a block of a matrix, turned
Inside a vector loop statements run for every lane: local buffers are per lane, `If` and `While` mask lanes, a store
whose index does not depend on the loop's index is an error, an `Accumulate` into such an element combines all lanes.
A register (local, rank 0) declared outside takes values that are the same in all lanes.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tracejit.base.dtypes import BOOL, F64, I64, DType
from tracejit.base.records import record

RAISED = -1    # status: a Python exception is set
NO_MEMORY = -2 # status: an allocation failed

LoopKind = Literal["serial", "parallel", "vector", "unroll"]
Space = Literal["global", "local", "heap", "stacks", "at", "output"]


@record
class Const:
    """A number. Python ints for integer types, bool for bool, float for floats (inf and nan too)."""

    value: bool | int | float
    dtype: DType = I64


@record
class Name:
    """A loop index, a `Let`, or a scalar parameter."""

    name: str
    dtype: DType = I64


@record
class Load:
    """buffer[index]; one index per axis, in elements; none for rank 0."""

    buffer: str
    index: tuple[Expr, ...]
    dtype: DType


@record
class Apply:
    """A scalar function of scalars.

    fn: add subtract multiply divide negate fma and or xor not shift_left shift_right_logical shift_right_arithmetic
        eq ne lt le gt ge (ordered, ne unordered; unsigned by dtype) select convert bitcast minimum maximum (integers
        only) or an elementary function of `kernels/elementary`, or floor_divide remainder power gcd of integers.
    dtype: of the result.
    """

    fn: str
    args: tuple[Expr, ...]
    dtype: DType


Expr = Const | Name | Load | Apply


@record
class Combine:
    """An associative step over a tuple of states: results(left, right), with its identity.

    left, right: the names that stand for the two states in `results`.
    """

    name: str
    left: tuple[Name, ...]
    right: tuple[Name, ...]
    results: tuple[Expr, ...]
    identity: tuple[Const, ...]


@record
class Buffer:
    """Memory. strides: in elements, None = row major without gaps.

    space: `local` lives in registers or on the stack while it is small, per iteration of the parallel loop around it;
           `heap` is allocated here and freed at the end of the block.
           `stacks` is a word that growing stacks hang on; they are freed at the end of the block.
           `at` is memory of such a stack, at the address `offset`; all of it counts as one piece of memory.
           `output` is allocated here and belongs to the caller, who finds its address in the first word of `of`, an
           i64 buffer.
    of, offset: else a view of another buffer from a byte offset, instead of memory of its own.
    """

    name: str
    dtype: DType
    shape: tuple[Expr, ...]
    space: Space = "local"
    strides: tuple[Expr, ...] | None = None
    of: str | None = None
    offset: Expr = Const(0)


@record
class Loop:
    """for index in range(extent). work: of a parallel loop, additions-worth of all iterations together.

    most: a number that the extent never exceeds, if one is known.
    """

    index: str
    extent: Expr
    body: tuple[Statement, ...]
    kind: LoopKind = "serial"
    work: Expr | None = None
    most: int | None = None


@record
class While:
    """Runs `before`, leaves unless `condition`, runs `body`, again. Names of `before` are known in both."""

    before: tuple[Statement, ...]
    condition: Expr
    body: tuple[Statement, ...]


@record
class If:
    condition: Expr
    then: tuple[Statement, ...]
    orelse: tuple[Statement, ...] = ()


@record
class Let:
    """Names a value; assigned once, visible until the end of the block."""

    name: str
    value: Expr


@record
class Store:
    buffer: str
    index: tuple[Expr, ...]
    value: Expr


@record
class Accumulate:
    """buffers[index] = combine(buffers[index], values): one state buffer and one value per component."""

    buffers: tuple[str, ...]
    index: tuple[Expr, ...]
    combine: Combine
    values: tuple[Expr, ...]


@record
class BufferRef:
    """A buffer as an argument of `Call`, from the element at `index` on (whole without an index)."""

    buffer: str
    index: tuple[Expr, ...] = ()


@record
class Call:
    """Calls a kernel of the program, or a C symbol of the runtime (`tj_...`, BLAS) with plain C arguments.

    A buffer argument passes its pointer; sizes a kernel needs are scalar arguments.
    result: name and type of what a C symbol returns, if it is used.
    """

    function: str
    args: tuple[Expr | BufferRef, ...]
    result: Name | None = None


@record
class Fail:
    """Leaves the program with status `site` (from 1) and payload words; allowed in `main` and in kernels that it calls,
    outside parallel and vector loops. site RAISED: a Python exception is set already; NO_MEMORY: none is.

    to: `label:number` of a handler of an `Attempt` around, which runs instead; site 0 and no payload then.
    """

    site: int
    payload: tuple[Expr, ...] = ()
    to: str = ""


@record
class Attempt:
    """Runs `body`; a `Fail` in it may go on in handler number k, as `label:k`. Handlers are not in the attempt.

    What a handler reads of the body it finds in buffers declared before.
    """

    label: str
    body: tuple[Statement, ...]
    handlers: tuple[tuple[Statement, ...], ...]

    def targets(self) -> list[str]:
        """What failures call the handlers."""
        return [f"{self.label}:{k}" for k in range(len(self.handlers))]


@record
class TileMatmul:
    """target[i, j] = sum over k < depth of x[i, k] * y[k, j], for i < rows, j < columns; added to what it is if `add`.

    target, x, y: the first element of each block, which goes along the last two axes; none overlaps the target.
    turned: x[k, i] is meant. Products of one element are added in the order of k, each by a fused multiply and add.
    """

    target: BufferRef
    x: BufferRef
    y: BufferRef
    rows: Expr
    columns: Expr
    depth: Expr
    turned: bool = False
    add: Expr = Const(False, BOOL)


@record
class TileTranspose:
    """target[j, i] = source[i, j] for i < rows, j < columns: blocks along the last two axes of each."""

    target: BufferRef
    source: BufferRef
    rows: Expr
    columns: Expr


Tile = TileMatmul | TileTranspose
Statement = Buffer | Loop | While | If | Let | Store | Accumulate | Call | Fail | Attempt | Tile


@record
class BufferParam:
    """A buffer that the caller owns. written: this kernel stores to it. alone: no other parameter overlaps it."""

    name: str
    dtype: DType
    shape: tuple[Expr, ...]
    strides: tuple[Expr, ...] | None = None
    written: bool = False
    alone: bool = True


@record
class ScalarParam:
    name: str
    dtype: DType


Param = BufferParam | ScalarParam


@record
class Kernel:
    """One function. contract: multiply and add may be fused (default precision).

    polls: loops of single lanes may run without end, and look at pending signals.
    """

    name: str
    params: tuple[Param, ...]
    body: tuple[Statement, ...]
    contract: bool = True
    polls: bool = False


@record
class Binding:
    """Where `main` finds one parameter: word `index` of the slots or of the output pointers.

    slot: the word is the scalar (floats as f64 bits, everything else as i64) or the data pointer of a buffer.
    out: the word is the pointer of an output buffer.  slots: the buffer is the slot array itself, i64[n].
    """

    param: str
    source: Literal["slot", "out", "slots"]
    index: int = 0


@record
class Program:
    """Everything of one compiled function.

    main: entry `i32 main(i64* slots, ptr* outs)`; status 0, a `Fail` site, or -1 with a Python exception set.
    prepare: computes output sizes into slots before outputs are allocated; None if none is needed.
    """

    kernels: tuple[Kernel, ...]
    main: Kernel
    bindings: tuple[Binding, ...]
    prepare: Kernel | None = None
    prepare_bindings: tuple[Binding, ...] = ()


TRUE, FALSE = Const(True, BOOL), Const(False, BOOL)
ZERO, ONE = Const(0), Const(1)


def is_zero(e: Expr) -> bool:
    return isinstance(e, Const) and e.value == 0 and e.dtype is not F64





def blocks_of(s: Tile) -> tuple[BufferRef, ...]:
    """The blocks of a tile statement, the target first."""
    return (s.target, s.x, s.y) if isinstance(s, TileMatmul) else (s.target, s.source)


def sizes_of(s: Tile) -> tuple[Expr, ...]:
    """The expressions of a tile statement beside the places of its blocks."""
    return (s.rows, s.columns, s.depth, s.add) if isinstance(s, TileMatmul) else (s.rows, s.columns)


def walk(e: Expr) -> Iterator[Expr]:
    """`e` and everything in it, outermost first."""
    todo = [e]
    while todo:
        e = todo.pop()
        yield e
        if isinstance(e, Apply):
            todo.extend(reversed(e.args))
        elif isinstance(e, Load):
            todo.extend(reversed(e.index))


def statements(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Every statement of a block and of the blocks in it, in order."""
    for s in body:
        yield s
        if isinstance(s, Loop):
            yield from statements(s.body)
        elif isinstance(s, While):
            yield from statements(s.before)
            yield from statements(s.body)
        elif isinstance(s, If):
            yield from statements(s.then)
            yield from statements(s.orelse)
        elif isinstance(s, Attempt):
            yield from statements(s.body)
            for handler in s.handlers:
                yield from statements(handler)
