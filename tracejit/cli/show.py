"""`tracejit show FILE.py:FN --args "f32[n,784], 0.1" --stage kernels`.

Flows in: a function, argument types.  Flows out: the text of one stage, or of all.
"""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from tracejit.api.function import function
from tracejit.api.stages import Stages
from tracejit.base.types import ArrayType
from tracejit.cli.arguments import load_function, map_types, parse_arguments, random_array, split_target

STAGES = Stages.NAMES


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `tracejit show`."""
    add = parser.add_argument
    add("target", help="FILE.py:FUNCTION")
    add("--args", default="", help='argument types and values, as in "f32[n,784], 0.1"')
    add("--stage", default="all", choices=[*STAGES, "all"], help="what to print (default: all)")
    add("--size", action="append", default=[], metavar="n=1000", help="a size for a symbolic dimension")


def run(options: argparse.Namespace) -> int:
    """Runs `tracejit show`."""
    fn = load_function(*split_target(options.target))
    compiled: Any = fn if hasattr(fn, "stages") else function(fn)
    sizes = {name: int(value) for name, _, value in (text.partition("=") for text in options.size)}
    args, keywords = parse_arguments(options.args)
    stages = compiled.stages(*concrete(args, sizes), **concrete(keywords, sizes))
    for name in STAGES if options.stage == "all" else (options.stage,):
        if options.stage == "all":
            print(f"\n===== {name} =====")
        print(str(getattr(stages, name)).rstrip())
    return 0


def concrete(tree: Any, sizes: Mapping[str, int]) -> Any:
    """Arrays for the types whose sizes are all given; a type with an open size stays a type."""
    generator = np.random.default_rng(0)

    def known(kind: ArrayType) -> Any:
        return random_array(kind, sizes, generator) if kind.symbols() <= sizes.keys() else kind

    return map_types(tree, known)
