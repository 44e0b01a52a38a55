"""Graph -> text, one node a line, regions indented.

Flows in:  a `Graph`.
Flows out: text that `parser.parse_graph` reads back; printing twice gives the same text.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracejit.ir.attributes import print_attribute
from tracejit.ir.graph import Graph, Node, Value


def print_graph(graph: Graph, with_spans: bool = False) -> str:
    """The text form. with_spans adds each node's file and line as a comment."""
    return "\n".join(_graph_lines(graph, "", with_spans))


def _graph_lines(graph: Graph, indent: str, with_spans: bool) -> Iterator[str]:
    values = [*graph.params, *(r for n in graph.nodes for r in n.results)]
    name = {v: f"%{i}" for i, v in enumerate(values)}
    yield f"graph({_typed(graph.params, name)}) {{"
    for node in graph.nodes:
        yield from _node_lines(node, name, indent + "  ", with_spans)
    yield f"{indent}  return {', '.join(_name(name, v) for v in graph.outputs)}".rstrip()
    yield f"{indent}}}"


def _node_lines(node: Node, name: dict[Value, str], indent: str, with_spans: bool) -> Iterator[str]:
    regions = dict(node.regions())
    tuples = {k for k in node.attributes if f"{k}0" in regions}
    plain = [f"{k}={print_attribute(v)}" for k, v in sorted(node.attributes.items())
             if k not in regions and k not in tuples]
    operands = [_name(name, v) for v in node.operands]
    results = f"{_typed(node.results, name)} = " if node.results else ""
    comment = f"    # {node.span.file}:{node.span.line}" if with_spans and node.span else ""
    yield f"{indent}{results}{node.op.name}({', '.join(operands + plain)}){comment}"
    for key, region in regions.items():
        first, *rest = _graph_lines(region, indent + "  ", with_spans)
        yield f"{indent}  {key} = {first}"
        yield from rest


def _name(name: dict[Value, str], value: Value) -> str:
    """`%?` for a value that is not of this graph, so that the verifier can print what it refuses."""
    return name.get(value, "%?")


def _typed(values: Sequence[Value], name: dict[Value, str]) -> str:
    return ", ".join(f"{name[v]}: {v.type}" for v in values)
