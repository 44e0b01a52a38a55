"""Live functions from converted trees.

Flows in:  a user's function and a namespace.
Flows out: `convert_function`: a function with the user's file, lines, globals, closure cells, defaults and names, whose
           code is converted; the code is made once per code object, whatever the namespace.
"""
from __future__ import annotations

from types import CellType, CodeType, FunctionType

from tracejit.autograph.codes import CodeMap, inner_codes
from tracejit.autograph.converter import convert_tree
from tracejit.autograph.namespace import Namespace, Scope
from tracejit.autograph.parse import compile_function, parse_function
from tracejit.autograph.policy import mark_converted
from tracejit.autograph.rewriting import NAMESPACE, SCOPE
from tracejit.base.deep import with_deep_stack
from tracejit.base.errors import SourceUnavailableError

_CODES: CodeMap[CodeType | SourceUnavailableError] = CodeMap()    # by original code; written by converted_code


def convert_function(fn: FunctionType, namespace: Namespace) -> FunctionType:
    """`fn` with its operators taken from `namespace`. Raises SourceUnavailableError or UnsupportedError."""
    code = converted_code(fn)
    cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
    known = {NAMESPACE: CellType(namespace), SCOPE: CellType(Scope(fn, cells)), **cells}
    made = FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, tuple(known[n] for n in code.co_freevars))
    made.__kwdefaults__, made.__qualname__ = fn.__kwdefaults__, fn.__qualname__
    made.__annotations__, made.__doc__, made.__module__ = fn.__annotations__, fn.__doc__, fn.__module__
    made.__dict__.update(fn.__dict__)
    return made


def converted_code(fn: FunctionType) -> CodeType:
    """The converted code of `fn`, made at the first request."""
    original = fn.__code__
    known = _CODES.get(original)
    if known is None:
        known = _CODES.set(original, with_deep_stack(lambda: _convert(fn), fn.__name__))
    if isinstance(known, SourceUnavailableError):
        raise known.with_traceback(None)
    return known


def _convert(fn: FunctionType) -> CodeType | SourceUnavailableError:
    """A missing source is a result as well: looking for it again and again is slow."""
    original = fn.__code__
    try:
        parsed = parse_function(fn)
    except SourceUnavailableError as error:
        return error
    tree = convert_tree(parsed.node, original.co_freevars, parsed.file)
    code = compile_function(tree, (NAMESPACE, SCOPE, *original.co_freevars), original)
    mark_converted(inner_codes(code))
    return code
