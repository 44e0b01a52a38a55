"""Values of a region whose sizes only its run finds out: no carry or result of the region can hold them.

Flows in:  the two halves of a region's derivative, of which the first hands over such values.
Flows out: the same halves; they hand these values over on stacks, element by element, which they get as parameters.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.base.dims import Size
from tracejit.base.dtypes import I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node
from tracejit.ir.terms import Term, apply, size_of


def pushing(forward: Graph, first: int, late: Sequence[bool]) -> Graph:
    """The way forward with a stack for each late value among its outputs from `first` on, which is no output any more.
    """
    made = Graph([p.type for p in forward.params])
    outputs = made.inline(forward, made.params)
    kept = outputs[first:]
    for value, is_late in zip(kept, late, strict=True):
        if is_late:
            flat = flattened(Term(made, value))
            handle = made.add_param(ArrayType(I64))
            made.emit("stack_extend", [handle, size_of(flat, flat.shape[0]).value, flat.value])
    made.outputs = (*outputs[:first], *(v for v, is_late in zip(kept, late, strict=True) if not is_late))
    return made


def flattened(value: Term) -> Term:
    return value if value.rank == 1 else apply("reshape", value, shape=(value.type.size,))


def popping(back: Graph, late: Sequence[bool]) -> Graph:
    """The way back, which gets its first parameters where they are late from stacks: its last parameters."""
    from_stacks = [p for p, is_late in zip(back.params, late, strict=False) if is_late]
    given = [p for p in back.params if p not in from_stacks]
    made = Graph([*(p.type for p in given), *[ArrayType(I64)] * len(from_stacks)])
    env = dict(zip(given, made.params, strict=False))

    def keep(nodes: Sequence[Node]) -> None:
        for node in nodes:
            env.update(zip(node.results, made.keep(node, [env[v] for v in node.operands]), strict=True))

    sizes = [n for n in back.nodes if n.op.name == "bind_dim" and n.operands[0] in env]
    keep(sizes)
    for param, handle in zip(from_stacks, made.params[len(given):], strict=True):
        env[param] = popped(Term(made, handle), param.type).value
    keep([n for n in back.nodes if n not in sizes])
    made.outputs = tuple(env[v] for v in back.outputs)
    return made


def popped(handle: Term, type: ArrayType) -> Term:
    """The last elements of a stack, which go."""
    count: Size = type.size
    types = (ArrayType(type.dtype),)
    start = apply("stack_length", handle) - size_of(handle, count)
    flat = apply("stack_array", handle, start, field=0, types=types, type=ArrayType(type.dtype, (count,)))
    handle.graph.emit("stack_truncate", [handle.value, start.value], {"types": types})
    return flat if len(type.shape) == 1 else apply("reshape", flat, shape=type.shape)
