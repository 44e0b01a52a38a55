"""Checks Kernel IR: scopes, types, the number of indices, what vector loops may contain.

Flows in:  a program or a kernel, from a generator.
Flows out: nothing, or `KernelError` with the kernel's name and the statement.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from tracejit.base.dtypes import BOOL, I64, DType
from tracejit.base.errors import InternalError
from tracejit.xla_lite.kernels.kernel_ir import (
    NO_MEMORY,
    RAISED,
    Accumulate,
    Apply,
    Attempt,
    Buffer,
    BufferParam,
    BufferRef,
    Call,
    Combine,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Name,
    Program,
    Statement,
    Store,
    TileMatmul,
    TileTranspose,
    While,
    blocks_of,
    sizes_of,
    walk,
)
from tracejit.xla_lite.kernels.printer import print_statement

_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
_FREE = frozenset({"convert", "bitcast", "ldexp"})
_STORAGE_ONLY = frozenset({"convert", "bitcast", "select"})    # what 16-bit floats may take part in


class KernelError(InternalError):
    """Kernel IR that means nothing: a bug of a generator."""


@dataclass(slots=True)
class _Buffer:
    dtype: DType
    rank: int
    lane: bool


@dataclass(slots=True)
class _Scope:
    """What is visible. varying: names that differ between the lanes of the vector loop around.

    handlers: what failures may name.
    """

    kernel: str
    names: dict[str, DType]
    buffers: dict[str, _Buffer]
    varying: set[str] = field(default_factory=set)
    vector: bool = False
    fail: bool = True
    handlers: frozenset[str] = frozenset()

    def inner(self) -> _Scope:
        return _Scope(self.kernel, dict(self.names), dict(self.buffers), set(self.varying), self.vector, self.fail,
                      self.handlers)


def verify_program(program: Program) -> None:
    """Raises KernelError at the first mistake."""
    kernels = {k.name: k for k in program.kernels}
    if len(kernels) != len(program.kernels):
        raise KernelError("two kernels of a program share a name")
    for kernel in (*program.kernels, program.main, *([program.prepare] if program.prepare else [])):
        verify_kernel(kernel, kernels)
    for entry, bindings in ((program.main, program.bindings), (program.prepare, program.prepare_bindings)):
        if entry is not None and {p.name for p in entry.params} != {b.param for b in bindings}:
            raise KernelError(f"kernel {entry.name}: bindings and parameters differ")


def verify_kernel(kernel: Kernel, kernels: dict[str, Kernel] | None = None) -> None:
    """Raises KernelError at the first mistake of one kernel."""
    scope = _Scope(kernel.name, {}, {})
    for p in kernel.params:
        if not isinstance(p, BufferParam):
            scope.names[p.name] = p.dtype
    for p in kernel.params:
        if isinstance(p, BufferParam):
            _extents(scope, p.name, (*p.shape, *(p.strides or ())))
            scope.buffers[p.name] = _Buffer(p.dtype, len(p.shape), False)
    _block(kernel.body, scope, kernels or {})


def _block(body: tuple[Statement, ...], scope: _Scope, kernels: dict[str, Kernel]) -> None:
    for s in body:
        try:
            _statement(s, scope, kernels)
        except KernelError:
            raise
        except (AssertionError, KeyError) as error:
            raise KernelError(f"kernel {scope.kernel}: {error}", why=print_statement(s)[:2000]) from None


def _statement(s: Statement, scope: _Scope, kernels: dict[str, Kernel]) -> None:
    if isinstance(s, Let):
        scope.names[s.name] = _expr(s.value, scope)
        if _varies(s.value, scope):
            scope.varying.add(s.name)
    elif isinstance(s, Store):
        _target(s.buffer, s.index, _expr(s.value, scope), scope)
        _own_element(s, scope)
    elif isinstance(s, Accumulate):
        _accumulate(s, scope)
    elif isinstance(s, Buffer):
        _declare(s, scope)
    elif isinstance(s, Loop):
        _loop(s, scope, kernels)
    elif isinstance(s, If):
        assert _expr(s.condition, scope) is BOOL, "the condition is no bool"
        _block(s.then, scope.inner(), kernels)
        _block(s.orelse, scope.inner(), kernels)
    elif isinstance(s, While):
        inner = scope.inner()
        _block(s.before, inner, kernels)
        assert _expr(s.condition, inner) is BOOL, "the condition is no bool"
        _block(s.body, inner.inner(), kernels)
    elif isinstance(s, Call):
        _call(s, scope, kernels)
    elif isinstance(s, (TileMatmul, TileTranspose)):
        _tile(s, scope)
    elif isinstance(s, Attempt):
        inner = scope.inner()
        inner.handlers |= frozenset(s.targets())
        _block(s.body, inner, kernels)
        for handler in s.handlers:
            _block(handler, scope.inner(), kernels)
    else:
        _fail(s, scope)


def _fail(s: Fail, scope: _Scope) -> None:
    assert scope.fail, "fail inside a parallel or vector loop"
    if s.to:
        assert s.to in scope.handlers, f"no handler {s.to} around"
        assert not s.site and not s.payload, "a failure that is handled has no site"
        return
    assert s.site > 0 or s.site in (RAISED, NO_MEMORY), "a failure needs a site from 1"
    assert len(s.payload) <= 8, "more than 8 payload words"
    for e in s.payload:
        _expr(e, scope)


def _loop(s: Loop, scope: _Scope, kernels: dict[str, Kernel]) -> None:
    assert _expr(s.extent, scope) is I64, "the extent is no i64"
    assert s.kind != "unroll" or isinstance(s.extent, Const), "an unrolled loop needs a constant extent"
    inner = scope.inner()
    inner.names[s.index] = I64
    inner.varying.discard(s.index)
    if s.kind == "vector" and not scope.vector:
        inner.vector = True
        inner.varying = {s.index}
    if s.kind in ("vector", "parallel"):
        inner.fail = False
    _block(s.body, inner, kernels)


def _declare(s: Buffer, scope: _Scope) -> None:
    _extents(scope, s.name, (*s.shape, *(s.strides or ()), s.offset))
    assert s.of is None or s.of in scope.buffers, f"view of unknown buffer {s.of}"
    assert s.space != "output" or s.of is not None, "the caller must learn where the output is"
    assert not (scope.vector and s.space in ("heap", "output")), f"{s.space} buffer inside a vector loop"
    scope.buffers[s.name] = _Buffer(s.dtype, len(s.shape), scope.vector and s.of is None)


def _accumulate(s: Accumulate, scope: _Scope) -> None:
    c = s.combine
    n = len(s.buffers)
    assert n == len(s.values) == len(c.left) == len(c.right) == len(c.results) == len(c.identity), \
        "states, values and combine differ in number"
    inner = scope.inner()
    inner.names |= {name.name: name.dtype for name in (*c.left, *c.right)}
    _check_combine(c, inner)
    for name, value in zip(s.buffers, s.values):
        _target(name, s.index, _expr(value, scope), scope)
    for left, name in zip(c.left, s.buffers):
        assert left.dtype is scope.buffers[name].dtype, f"combine {c.name} does not fit {name}"


def _check_combine(c: Combine, scope: _Scope) -> None:
    for left, right, result, identity in zip(c.left, c.right, c.results, c.identity):
        assert left.dtype is right.dtype is _expr(result, scope) is identity.dtype, f"combine {c.name} mixes types"


def _call(s: Call, scope: _Scope, kernels: dict[str, Kernel]) -> None:
    assert not scope.vector, "call inside a vector loop"
    for a in s.args:
        if isinstance(a, BufferRef):
            assert a.buffer in scope.buffers, f"unknown buffer {a.buffer}"
            assert len(a.index) in (0, scope.buffers[a.buffer].rank), f"{a.buffer}: wrong number of indices"
            for e in a.index:
                _expr(e, scope)
        else:
            _expr(a, scope)
    kernel = kernels.get(s.function)
    if kernel is None:
        if s.result is not None:
            scope.names[s.result.name] = s.result.dtype
        return
    assert len(kernel.params) == len(s.args), f"{s.function} takes {len(kernel.params)} arguments"
    for p, a in zip(kernel.params, s.args):
        assert isinstance(p, BufferParam) == isinstance(a, BufferRef), f"{s.function}: {p.name} is of the other kind"
        found = scope.buffers[a.buffer].dtype if isinstance(a, BufferRef) else a.dtype
        assert found is p.dtype, f"{s.function}: {p.name} is {p.dtype}, got {found}"


def _tile(s: TileMatmul | TileTranspose, scope: _Scope) -> None:
    assert not scope.vector, "a tile inside a vector loop"
    for block in blocks_of(s):
        assert block.buffer in scope.buffers, f"unknown buffer {block.buffer}"
        assert len(block.index) == scope.buffers[block.buffer].rank >= 2, f"{block.buffer}: no block of a matrix"
        assert scope.buffers[block.buffer].dtype is scope.buffers[s.target.buffer].dtype, "a tile of two types"
    for e in (*sizes_of(s)[:3], *(i for block in blocks_of(s) for i in block.index)):
        assert _expr(e, scope) is I64, "a size or an index of a tile is no i64"
    if isinstance(s, TileMatmul):
        assert scope.buffers[s.target.buffer].dtype.name in ("f32", "f64"), "tiles are products of f32 or f64"
        assert _expr(s.add, scope) is BOOL, "`add` is no bool"


def _extents(scope: _Scope, name: str, sizes: tuple[Expr, ...]) -> None:
    for e in sizes:
        if _expr(e, scope) is not I64:
            raise KernelError(f"kernel {scope.kernel}: an extent of {name} is no i64")


def _target(name: str, index: tuple[Expr, ...], dtype: DType, scope: _Scope) -> None:
    assert name in scope.buffers, f"unknown buffer {name}"
    assert scope.buffers[name].dtype is dtype, f"{dtype} stored into {scope.buffers[name].dtype} {name}"
    _index(name, index, scope)


def _index(name: str, index: tuple[Expr, ...], scope: _Scope) -> None:
    rank = scope.buffers[name].rank
    assert len(index) == rank, f"{name} has rank {rank}, got {len(index)} indices"
    for e in index:
        assert _expr(e, scope) is I64, f"an index of {name} is no i64"


def _own_element(s: Store, scope: _Scope) -> None:
    """Lanes store to elements of their own, or all the same value to a register outside of their loop."""
    if scope.vector and not scope.buffers[s.buffer].lane:
        if not s.index and not _varies(s.value, scope):
            return
        assert any(_varies(e, scope) for e in s.index), f"all lanes store to one element of {s.buffer}"


def _varies(e: Expr, scope: _Scope) -> bool:
    return scope.vector and any(
        (isinstance(x, Name) and x.name in scope.varying) or (isinstance(x, Load) and scope.buffers[x.buffer].lane)
        for x in walk(e))


def _expr(e: Expr, scope: _Scope) -> DType:
    """The type of an expression whose parts fit."""
    for x in walk(e):
        if isinstance(x, Name):
            assert x.name in scope.names, f"unknown name {x.name}"
            assert scope.names[x.name] is x.dtype, f"{x.name} is {scope.names[x.name]}, used as {x.dtype}"
        elif isinstance(x, Load):
            assert x.buffer in scope.buffers, f"unknown buffer {x.buffer}"
            assert scope.buffers[x.buffer].dtype is x.dtype, f"{x.buffer} is {scope.buffers[x.buffer].dtype}"
            assert len(x.index) == scope.buffers[x.buffer].rank, f"{x.buffer}: wrong number of indices"
            assert all(i.dtype is I64 for i in x.index), f"an index of {x.buffer} is no i64"
        elif isinstance(x, Apply):
            _apply(x)
    return e.dtype


def _apply(e: Apply) -> None:
    types = [x.dtype for x in e.args]
    assert all(not t.is_complex for t in (*types, e.dtype)), f"{e.fn} of complex numbers"
    if any(t.compute is not t for t in types):
        assert e.fn in _STORAGE_ONLY, f"{e.fn} computes in {types[0]}, which is a storage type"
    if e.fn == "select":
        assert types[0] is BOOL and types[1] is types[2] is e.dtype, f"select of {types}"
    elif e.fn == "bitcast":
        assert types[0].bits == e.dtype.bits, f"bitcast of {types[0]} to {e.dtype}"
    elif e.fn not in _FREE:
        assert all(t is types[0] for t in types), f"{e.fn} of {types}"
        assert e.dtype is (BOOL if e.fn in _COMPARISONS else types[0]), f"{e.fn} of {types} gives no {e.dtype}"
