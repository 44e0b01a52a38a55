"""Text -> graph: reads what `printer.print_graph` writes.

Flows in:  text.
Flows out: a verified `Graph`; raises ValueError with the line that can't be read.
"""
from __future__ import annotations

import ast
import re
from typing import Any

from tracejit.base.types import ArrayType
from tracejit.ir.attributes import read_attribute
from tracejit.ir.graph import Graph, Value
from tracejit.ir.op import OPS
from tracejit.ir.verifier import verify

_TYPED = re.compile(r"(%\d+): (\w+\[[^\]]*\])")
# What is not Python: comments, value names, scalar types. Strings are matched first, so that they stay as they are.
_FOREIGN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\#.*|%\d+|\w+\[\]""")
_REGION = re.compile(r"(\w+?)(\d*) = (graph\(.*)")


def parse_graph(text: str) -> Graph:
    """`parse_graph(str(g)) == g`. Comments after `#` are skipped. Raises ValueError for anything unreadable."""
    lines = [s for line in text.splitlines() if (s := _FOREIGN.sub(_without_comment, line).strip())]
    reader = _Reader(lines)
    graph = reader.graph(reader.take())
    if reader.at != len(lines):
        raise ValueError(f"text after the end of the graph: {lines[reader.at]!r}")
    verify(graph)
    return graph


class _Reader:
    """A cursor over lines."""

    def __init__(self, lines: list[str]):
        self.lines, self.at = lines, 0

    def take(self) -> str:
        if self.at >= len(self.lines):
            raise ValueError("the graph has no end")
        self.at += 1
        return self.lines[self.at - 1]

    def graph(self, header: str) -> Graph:
        if not header.startswith("graph("):
            raise ValueError(f"expected `graph(...) {{`, got {header!r}")
        params = _TYPED.findall(header)
        graph = Graph([ArrayType.parse(t) for _, t in params])
        env: dict[str, Value] = dict(zip((n for n, _ in params), graph.params, strict=True))
        while not (line := self.take()).startswith("return"):
            self.node(graph, env, line)
        graph.outputs = tuple(_lookup(env, n, line) for n in re.findall(r"%\d+", line))
        if self.take() != "}":
            raise ValueError("expected `}` after return")
        return graph

    def node(self, graph: Graph, env: dict[str, Value], line: str) -> None:
        left, right = line.split(" = ", 1) if re.match(r"%\d+:", line) else ("", line)
        name, _, arguments = right.partition("(")
        if name not in OPS:
            raise ValueError(f"unknown op {name!r} in {line!r}")
        try:
            call = ast.parse(f"op({_FOREIGN.sub(_as_python, arguments)}", mode="eval").body
            assert isinstance(call, ast.Call)
            attributes: dict[str, Any] = {k.arg or "": read_attribute(k.value) for k in call.keywords}
            operands = [_lookup(env, f"%{ast.unparse(a)[1:]}", line) for a in call.args]
        except (SyntaxError, AssertionError) as e:
            raise ValueError(f"can't read {line!r}: {e}") from None
        self.regions(attributes)
        results = graph.emit(OPS[name], operands, attributes)
        env.update(zip(re.findall(r"(%\d+):", left), results, strict=True))

    def regions(self, attributes: dict[str, Any]) -> None:
        while self.at < len(self.lines) and (match := _REGION.fullmatch(self.lines[self.at])):
            self.at += 1
            key, number, header = match.groups()
            region = self.graph(header)
            attributes[key] = (*attributes.get(key, ()), region) if number else region


def _without_comment(match: re.Match[str]) -> str:
    return "" if match[0].startswith("#") else match[0]


def _as_python(match: re.Match[str]) -> str:
    """`%3` as `_3`, `f32[]` as `f32[()]`."""
    text = match[0]
    return f"_{text[1:]}" if text.startswith("%") else f"{text[:-2]}[()]" if text.endswith("[]") else text


def _lookup(env: dict[str, Value], name: str, line: str) -> Value:
    if name not in env:
        raise ValueError(f"{name} is not defined before {line!r}")
    return env[name]
