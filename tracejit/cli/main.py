"""`tracejit`: reads the command line and calls one of the commands.

Flows in: `sys.argv`.  Flows out: text on standard output, an exit status; 2 where the command line is at fault.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from tracejit.cli import bench, cache, info, show
from tracejit.cli.arguments import UsageError

Command = Callable[[argparse.Namespace], int]

COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Command]] = {
    "show": ("print a stage of a function, from its source to assembly", show.add_options, show.run),
    "bench": ("time a function or a folder of workloads against NumPy and other systems", bench.add_options, bench.run),
    "info": ("print processor, features, threads, cache and versions", info.add_options, info.run),
    "cache": ("list or clear the compiled objects on disk", cache.add_options, cache.run),
    "options": ("print every setting, its variable and its value", info.add_options, info.run_options),
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="tracejit", description="A just-in-time compiler for NumPy functions.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (doc, add_options, run) in COMMANDS.items():
        command = commands.add_parser(name, help=doc, description=doc[0].upper() + doc[1:] + ".")
        add_options(command)
        command.set_defaults(run=run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status."""
    options = build_parser().parse_args(argv)
    try:
        status: int = options.run(options)
        return status
    except UsageError as error:
        print(f"tracejit {options.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:    # the reader, such as `head`, has enough
        sys.stderr.close()
        return 0
