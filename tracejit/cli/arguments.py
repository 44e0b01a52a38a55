"""What the command line names: a function in a file, and arguments by type.

Flows in: `FILE.py:FN`, `"{'w': f32[784,10]}, f32[n,784], lr=0.1"`.  Flows out: the function; argument trees with
`ArrayType` leaves; random arguments of these types.
"""

import ast
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracejit.base.types import ArrayType

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
DEFAULT_SIZE = 256


class UsageError(Exception):
    """What the user typed can't be understood; the message says what to type instead."""


def split_target(target: str) -> tuple[Path, str]:
    """`model.py:forward` to file and name."""
    file, _, name = target.rpartition(":")
    if not file or not name:
        raise UsageError(f"{target!r} names no function; write FILE.py:FUNCTION")
    if not Path(file).is_file():
        raise UsageError(f"there is no file {file}")
    return Path(file).resolve(), name


def load_function(file: str | Path, name: str) -> Callable[..., Any]:
    """Runs the file as a module (not as `__main__`) and takes `name`, which may be dotted, from it."""
    path = Path(file).resolve()
    sys.path += [str(path.parent), os.getcwd()]    # last: a file called statistics.py must not hide Python's own
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise UsageError(f"{path.name} has no {name}; it has {', '.join(functions) or 'no functions'}")
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def parse_arguments(text: str) -> Arguments:
    """Positional and keyword arguments: array types, Python literals, and containers of them."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
    except SyntaxError as error:
        raise UsageError(f"--args {text!r}: {error.msg}; write for example \"f32[n,784], 0.1\"") from None
    assert isinstance(call, ast.Call)
    return tuple(map(_value, call.args)), {k.arg or "": _value(k.value) for k in call.keywords}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(k): _value(v) for k, v in zip(node.keys, node.values) if k is not None}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Name | ast.Subscript):
        try:
            return ArrayType.parse(ast.unparse(node).replace("(", "").replace(")", ""))
        except ValueError as error:
            raise UsageError(f"--args: {error}") from None
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise UsageError(f"--args: {ast.unparse(node)} is neither an array type nor a literal") from None


def random_array(kind: ArrayType, sizes: Mapping[str, int], r: np.random.Generator) -> Any:
    """An array of the type: normal floats, integers from 0 to 9, fair booleans; a NumPy scalar for rank 0."""
    bound = {name: sizes.get(name, DEFAULT_SIZE) for name in kind.symbols()}
    shape, dtype = kind.concrete_shape(bound), kind.dtype.numpy
    if kind.dtype.is_complex:
        values = r.normal(size=shape) + 1j * r.normal(size=shape)
    elif kind.dtype.is_float:
        values = r.normal(size=shape)
    else:
        values = r.integers(0, 2 if kind.dtype.kind == "b" else 10, size=shape)
    return np.asarray(values).astype(dtype)[() if not shape else ...]


def random_arguments(text: str, r: np.random.Generator, sizes: Mapping[str, int] | None = None) -> tuple[Any, ...]:
    """Positional arguments drawn for the types in `text`; keywords come last, in a dict, if there are any."""
    args, keywords = parse_arguments(text)
    if keywords:
        raise UsageError("--args of a measurement are positional: write the values in order")

    return tuple(map_types(arg, lambda kind: random_array(kind, sizes or {}, r)) for arg in args)


def map_types(tree: Any, fn: Callable[[ArrayType], Any]) -> Any:
    """`tree` with `fn(kind)` for each array type in its dicts, lists and tuples."""
    if isinstance(tree, ArrayType):
        return fn(tree)
    if isinstance(tree, dict):
        return {key: map_types(value, fn) for key, value in tree.items()}
    return type(tree)(map_types(item, fn) for item in tree) if isinstance(tree, list | tuple) else tree
