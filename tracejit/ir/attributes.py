"""Attribute values of nodes: hashable keys that keep 0.0 and -0.0 apart, and their text.

Flows in:  bool, int, float, complex, str, None, DType, ArrayType, Dim, Graph and tuples of them.
Flows out: `attribute_key` for interning, `print_attribute` and `read_attribute` for the text form.
"""
from __future__ import annotations

import ast
from typing import Any

from tracejit.base.dims import FUNCTIONS, Dim
from tracejit.base.dtypes import DTYPES, DType
from tracejit.base.types import ArrayType


def attribute_key(value: Any) -> Any:
    """Equal exactly for equal attributes: 1, 1.0 and True differ, so do 0.0 and -0.0; nan equals itself."""
    kind = type(value)
    if kind is tuple:
        return tuple(map(attribute_key, value))
    if kind is float or kind is complex:
        return kind, repr(value)
    return (kind, value) if kind in (int, bool) else value


def attributes_key(attributes: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((k, attribute_key(v)) for k, v in sorted(attributes.items()))


def print_attribute(value: Any) -> str:
    """Text that `read_attribute` reads back."""
    if isinstance(value, tuple):
        return f"({', '.join(map(print_attribute, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, complex):
        return f"complex({value.real!r}, {value.imag!r})"
    if isinstance(value, (DType, ArrayType, Dim)):
        return str(value)
    return repr(value)


def read_attribute(node: ast.expr) -> Any:
    """The value of one attribute's syntax tree."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items):
            return tuple(map(read_attribute, items))
        case ast.Subscript(value=ast.Name()):
            return ArrayType.parse(ast.unparse(node).replace("[()]", "[]"))
        case ast.Name(id="inf" | "nan" as name):
            return float(name)
        case ast.Name(id=name) if name in DTYPES:
            return DTYPES[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand) if isinstance(inner := read_attribute(operand), (int, float)):
            return -inner
        case ast.Call(func=ast.Name(id="complex"), args=[real, imag]):
            return complex(read_attribute(real), read_attribute(imag))
        case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
            return Dim.parse(ast.unparse(node))
        case ast.Name() | ast.BinOp() | ast.UnaryOp():
            return Dim.parse(ast.unparse(node))
    raise ValueError(f"not an attribute: {ast.unparse(node)}")
