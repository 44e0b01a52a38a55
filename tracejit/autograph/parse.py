"""The tree of a live function, with the line numbers of its file.

Flows in:  a function, method's function or lambda.
Flows out: `ParsedFunction`; SourceUnavailableError when there is no source or it is not the one that runs.
"""
from __future__ import annotations

import ast
import copy
import functools
import linecache
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from tracejit.autograph.codes import inner_codes, is_thunk, same_code
from tracejit.autograph.mangling import mangle_names
from tracejit.base.errors import SourceUnavailableError, UnsupportedError
from tracejit.base.spans import SourceSpan

_PRIVATE = re.compile(r"\b__\w+\b(?<!__)")
_FUTURE_FLAGS = 0x1FE0000    # the compiler's flags of `from __future__`, as code objects carry them in co_flags
_WITHOUT_SOURCE = "pass autograph=False to trace it as it is, or define it in a file"


@dataclass(frozen=True, slots=True)
class ParsedFunction:
    """node: a `FunctionDef` also for lambdas, with true line numbers; private names are spelled out."""

    node: ast.FunctionDef
    file: str


def parse_function(fn: FunctionType) -> ParsedFunction:
    """Finds, parses and checks the source of `fn`."""
    code = fn.__code__
    for attempt in range(2):
        lines = linecache.getlines(code.co_filename, fn.__globals__)
        node = _find(code, lines) if lines else None
        if node is not None and (plain := _checked(node, code, lines)) is not None:
            return ParsedFunction(plain, code.co_filename)
        if attempt == 0:    # the module may have been edited and loaded again since its lines were read
            linecache.checkcache(code.co_filename)
    raise _unavailable(code, bool(lines))


def _unavailable(code: CodeType, has_lines: bool) -> SourceUnavailableError:
    span = SourceSpan(code.co_filename, code.co_firstlineno, function=code.co_name)
    if has_lines:
        return SourceUnavailableError(
            f"the source of {code.co_name!r} is not what runs: the file was edited after import, or the function was "
            "made in another way", span=span, why="the code that runs must be the code that is read",
            fix="import the module again, or pass autograph=False")
    return SourceUnavailableError(f"the source of {code.co_name!r} can't be read", span=span,
                                  why=f"there are no lines for {code.co_filename!r}", fix=_WITHOUT_SOURCE)


def _find(code: CodeType, lines: list[str]) -> Any:
    """The node at the place that the code object names, or None."""
    if not 0 < code.co_firstlineno <= len(lines):
        return None
    return _find_lambda(code, lines) if code.co_name == "<lambda>" else _find_definition(code, lines)


def _find_definition(code: CodeType, lines: list[str]) -> Any:
    """Parses the block that starts at the first decorator or `def`; columns and lines stay true."""
    first = code.co_firstlineno - 1
    indent = _indent(lines[first])
    opening = "\n" * (first - 1) + "if 1:\n" if indent else "\n" * first
    for end in _block_ends(lines, _last_line(code), len(indent)):
        try:
            module = ast.parse(opening + "".join(lines[first:end]))
        except SyntaxError:
            continue
        body = module.body[0].body if indent and isinstance(module.body[0], ast.If) else module.body
        return body[0] if body and _starts_at(body[0], code) else None
    return None


def _starts_at(node: Any, code: CodeType) -> bool:
    decorators = getattr(node, "decorator_list", [])
    first = decorators[0].lineno if decorators else node.lineno
    return getattr(node, "name", None) == code.co_name and first == code.co_firstlineno


def _indent(line: str) -> str:
    return line[:len(line) - len(line.lstrip())]


def _last_line(code: CodeType) -> int:
    """The last line that the code mentions; the block can't end before."""
    return max(line for one in inner_codes(code) for *_, line in one.co_lines() if line)


def _block_ends(lines: list[str], start: int, indent: int) -> Iterator[int]:
    """Places where the block may end: before each line that is not indented more. Strings may contain such lines."""
    for i in range(start, len(lines)):
        text = lines[i].lstrip()
        if text and not text.startswith("#") and len(lines[i]) - len(text) <= indent:
            yield i
    yield len(lines)


def _find_lambda(code: CodeType, lines: list[str]) -> Any:
    """The innermost lambda whose body holds every instruction of the code."""
    candidates = [node for node in _lambdas("".join(lines)) if _holds(node.body, code)]
    if not candidates:
        return None
    return copy.deepcopy(min(candidates, key=lambda n: (n.end_lineno - n.lineno, n.end_col_offset - n.col_offset)))


@functools.lru_cache(maxsize=16)
def _lambdas(text: str) -> tuple[Any, ...]:
    """All lambdas of a file; parsing it whole is needed, since a lambda may start anywhere in a statement."""
    try:
        module = ast.parse(text)
    except SyntaxError:
        return ()
    return tuple(node for node in ast.walk(module) if isinstance(node, ast.Lambda))


def _holds(body: Any, code: CodeType) -> bool:
    """Whether the positions of all instructions lie in `body`; those of the entry have no width."""
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    spans = [((l, c), (el, ec)) for l, el, c, ec in code.co_positions()
             if l and el and c is not None and ec is not None and (l, c) != (el, ec) and ec > 0]
    spans = [s for s in spans if s[0] != (code.co_firstlineno, 0)] or spans
    return bool(spans) and all(start <= first and last <= end for first, last in spans)


def _checked(node: Any, code: CodeType, lines: list[str]) -> ast.FunctionDef | None:
    """The node as a plain definition if it is what runs, else None."""
    if isinstance(node, ast.AsyncFunctionDef):
        raise UnsupportedError(f"async function {node.name!r} can't be converted",
                               span=SourceSpan(code.co_filename, node.lineno, node.col_offset),
                               why="a compiled function never waits",
                               fix="call the compiled function from the coroutine")
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        return None
    plain = _as_definition(node)
    if any(map(_PRIVATE.search, lines[node.lineno - 1:node.end_lineno])):
        mangle_names(plain, _class_around(code))
    return plain if same_code(compile_function(plain, code.co_freevars, code), code) else None


def _as_definition(node: ast.FunctionDef | ast.Lambda) -> ast.FunctionDef:
    """Decorators and defaults were evaluated when the function was defined."""
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = []
        return node
    body = ast.copy_location(ast.Return(node.body), node.body)
    made = ast.FunctionDef(name="<lambda>", args=node.args, body=[body], decorator_list=[], returns=None)
    return ast.copy_location(made, node)


def _class_around(code: CodeType) -> str:
    """The class whose body contains the function, also through other functions: its private names are mangled."""
    parts = code.co_qualname.split(".")
    at = len(parts) - 1
    while at >= 2 and parts[at - 1] == "<locals>":
        at -= 2
    return parts[at - 1] if at >= 1 else ""


def compile_function(node: ast.FunctionDef, cells: Iterable[str], like: CodeType) -> CodeType:
    """The code of `node` where the names `cells` are closure cells, with the file, flags and name of `like`."""
    inner = copy.copy(node)
    inner.name = "function!"    # under its own name a function that calls itself would find a cell, not the global
    args = [ast.arg(name, lineno=node.lineno, col_offset=0) for name in cells]
    parameters = ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[])
    outer = ast.FunctionDef(name="factory!", args=parameters, body=[inner], decorator_list=[], returns=None,
                            lineno=node.lineno, col_offset=0)
    module = ast.Module([outer], [])
    code = compile(module, like.co_filename, "exec", flags=like.co_flags & _FUTURE_FLAGS, dont_inherit=True)
    for name in (outer.name, inner.name):
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    return _with_qualname(code.replace(co_name=node.name), like.co_qualname)


def _with_qualname(code: CodeType, qualname: str) -> CodeType:
    """`code` and all inside it named as in the user's file; a thunk is named as the function around it."""
    prefix = code.co_qualname

    def renamed(constant: Any) -> Any:
        if isinstance(constant, str):    # the qualified name of a class is a constant of its body
            return qualname + constant.removeprefix(prefix) if constant.startswith(prefix) else constant
        if not isinstance(constant, CodeType):
            return constant
        if is_thunk(constant):
            return _with_qualname(constant.replace(co_name=code.co_name), qualname)
        inner = constant.co_qualname
        return _with_qualname(constant, qualname + inner.removeprefix(prefix) if inner.startswith(prefix) else inner)
    return code.replace(co_qualname=qualname, co_consts=tuple(map(renamed, code.co_consts)))
