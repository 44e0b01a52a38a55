"""Kernel IR as text, for people.

Flows in:  programs, kernels, statements, expressions.
Flows out: text, one statement a line, blocks indented.
"""
from __future__ import annotations

from collections.abc import Iterator

from tracejit.xla_lite.kernels.kernel_ir import (
    Accumulate,
    Apply,
    Attempt,
    Binding,
    Buffer,
    BufferParam,
    BufferRef,
    Call,
    Const,
    Expr,
    Fail,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Name,
    Param,
    Program,
    Statement,
    Store,
    TileMatmul,
    TileTranspose,
    While,
)

_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "and": "&", "or": "|", "xor": "^", "eq": "==",
          "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def print_program(program: Program) -> str:
    """Every kernel, then `prepare` and `main` with where their parameters come from."""
    parts = [print_kernel(k) for k in program.kernels]
    if program.prepare is not None:
        parts.append(print_kernel(program.prepare, program.prepare_bindings))
    return "\n\n".join([*parts, print_kernel(program.main, program.bindings)]) + "\n"


def print_kernel(kernel: Kernel, bindings: tuple[Binding, ...] = ()) -> str:
    """One kernel: head, then its body."""
    found = {b.param: f" = {b.source}" + (f" {b.index}" if b.source != "slots" else "") for b in bindings}
    params = ", ".join(print_param(p) + found.get(p.name, "") for p in kernel.params)
    flags = ("" if kernel.contract else " strict") + (" polls" if kernel.polls else "")
    return "\n".join([f"kernel {kernel.name}({params}){flags}", *_block(kernel.body, "  ")])


def print_param(p: Param) -> str:
    """`x: f32[n,m] written` or `n: i64`."""
    if not isinstance(p, BufferParam):
        return f"{p.name}: {p.dtype}"
    flags = (" written" if p.written else "") + ("" if p.alone else " shared")
    return f"{p.name}: {_shape(p.dtype.name, p.shape, p.strides)}{flags}"


def print_expr(e: Expr) -> str:
    """An expression; deep ones are printed without recursion."""
    done: list[str] = []
    todo: list[Expr | tuple[Expr, int]] = [e]
    while todo:
        item = todo.pop()
        if isinstance(item, tuple):
            whole, count = item
            args = done[len(done) - count:]
            del done[len(done) - count:]
            done.append(_join(whole, args))
            continue
        children = item.args if isinstance(item, Apply) else item.index if isinstance(item, Load) else ()
        todo.append((item, len(children)))
        todo.extend(reversed(children))
    return done[0]


def print_statement(s: Statement, indent: str = "") -> str:
    """One statement and what is in it."""
    return "\n".join(_statement(s, indent))


def _join(e: Expr, args: list[str]) -> str:
    if isinstance(e, Const):
        return str(e.value).lower() if e.dtype.kind == "b" else str(e.value)
    if isinstance(e, Name):
        return e.name
    if isinstance(e, Load):
        return _element(e.buffer, args)
    if e.fn in _INFIX and len(args) == 2:
        return f"({args[0]} {_INFIX[e.fn]} {args[1]})"
    name = f"{e.fn}.{e.dtype}" if e.fn in ("convert", "bitcast") else e.fn
    return f"{name}({', '.join(args)})"


def _element(buffer: str, index: list[str]) -> str:
    return f"{buffer}[{', '.join(index)}]" if index else buffer


def _shape(dtype: str, shape: tuple[Expr, ...], strides: tuple[Expr, ...] | None) -> str:
    text = f"{dtype}[{','.join(map(print_expr, shape))}]"
    return text if strides is None else f"{text} strides ({', '.join(map(print_expr, strides))})"


def _block(body: tuple[Statement, ...], indent: str) -> Iterator[str]:
    for s in body:
        yield from _statement(s, indent)


def _statement(s: Statement, indent: str) -> Iterator[str]:
    if isinstance(s, Loop):
        work = f" work {print_expr(s.work)}" if s.work is not None else ""
        most = f" at most {s.most}" if s.most is not None else ""
        yield f"{indent}loop {s.index} < {print_expr(s.extent)}{most} {s.kind}{work}"
        yield from _block(s.body, indent + "  ")
    elif isinstance(s, If):
        yield f"{indent}if {print_expr(s.condition)}"
        yield from _block(s.then, indent + "  ")
        if s.orelse:
            yield f"{indent}else"
            yield from _block(s.orelse, indent + "  ")
    elif isinstance(s, While):
        yield f"{indent}while"
        yield from _block(s.before, indent + "  ")
        yield f"{indent}do {print_expr(s.condition)}"
        yield from _block(s.body, indent + "  ")
    elif isinstance(s, Attempt):
        yield f"{indent}attempt {s.label}"
        yield from _block(s.body, indent + "  ")
        for target, handler in zip(s.targets(), s.handlers):
            yield f"{indent}handler {target}"
            yield from _block(handler, indent + "  ")
    else:
        yield indent + _simple(s)


def _simple(s: Statement) -> str:
    if isinstance(s, Let):
        return f"let {s.name}: {s.value.dtype} = {print_expr(s.value)}"
    if isinstance(s, Store):
        return f"store {_element(s.buffer, [*map(print_expr, s.index)])} = {print_expr(s.value)}"
    if isinstance(s, Accumulate):
        targets = ", ".join(_element(b, [*map(print_expr, s.index)]) for b in s.buffers)
        return f"accumulate {targets} {s.combine.name}= {', '.join(map(print_expr, s.values))}"
    if isinstance(s, Buffer):
        view = f" of {s.of} + {print_expr(s.offset)}" if s.of is not None else f" {s.space}"
        if s.space in ("at", "output"):
            view = f" at {print_expr(s.offset)}" if s.space == "at" else f" output {s.of}"
        return f"buffer {s.name}: {_shape(s.dtype.name, s.shape, s.strides)}{view}"
    if isinstance(s, Call):
        result = f"{s.result.name} = " if s.result is not None else ""
        return f"{result}call {s.function}({', '.join(map(_argument, s.args))})"
    if isinstance(s, TileMatmul):
        sizes = " ".join(map(print_expr, (s.rows, s.columns, s.depth)))
        x = f"{_argument(s.x)} turned" if s.turned else _argument(s.x)
        return (f"tile_matmul {_argument(s.target)} = {x} @ {_argument(s.y)} "
                f"sizes {sizes} add {print_expr(s.add)}")
    if isinstance(s, TileTranspose):
        return (f"tile_transpose {_argument(s.target)} = {_argument(s.source)} sizes {print_expr(s.rows)} "
                f"{print_expr(s.columns)}")
    assert isinstance(s, Fail)
    if s.to:
        return f"fail to {s.to}"
    return f"fail {s.site}({', '.join(map(print_expr, s.payload))})"


def _argument(a: Expr | BufferRef) -> str:
    return "&" + _element(a.buffer, [*map(print_expr, a.index)]) if isinstance(a, BufferRef) else print_expr(a)
