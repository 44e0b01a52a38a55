"""`tracejit bench`: one function, or the repository's workloads, against NumPy and every system that is installed.

Flows in: command-line arguments.  Flows out: the tables of harness/suite.py.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tracejit.cli.arguments import UsageError, parse_arguments, split_target
from tracejit.cli.harness.suite import SuiteOptions, run_suite
from tracejit.cli.harness.systems import SYSTEMS, add_path


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `tracejit bench`."""
    add = parser.add_argument
    add("target", help="FILE.py:FUNCTION, or a folder with a `workloads` package such as bench/")
    add("--args", default="", help='argument types and values of FUNCTION, as in "f32[n,784], 0.1"')
    add("--size", action="append", default=[], metavar="n=1000", help="the value of a symbolic dimension")
    add("--rtol", type=float, default=1e-4, help="largest relative difference from plain NumPy (%(default)s)")
    add("--only", action="append", default=[], metavar="TEXT", help="workloads whose name contains TEXT")
    add("--systems", default="", metavar="A,B", help=f"of {', '.join(SYSTEMS)}; default: what is installed")
    add("--python", action="append", default=[], metavar="[SYSTEM=]PATH", help="the Python that has a system")
    add("--rounds", type=int, default=5, help="interleaved rounds (%(default)s)")
    add("--seconds", type=float, default=0.15, help="seconds per system, workload and round (%(default)s)")
    add("--repeats", type=int, default=3, help="fresh processes per first-call measurement (%(default)s)")
    add("--threads", type=int, default=2, help="threads of every system (%(default)s)")
    add("--kinds", default="steady,cold,memory", help="any of steady, cold, memory (%(default)s)")
    add("--smoke", action="store_true", help="every workload once, on tiny sizes")
    add("--json", default="", metavar="FILE", help="write everything measured")
    add("--verbose", action="store_true", help="show what the systems print")


def run(options: argparse.Namespace) -> int:
    """Runs `tracejit bench` from parsed arguments."""
    pythons = {"default": sys.executable}
    pythons.update((text.rpartition("=")[0] or "default", text.rpartition("=")[2]) for text in options.python)
    common = SuiteOptions(
        only=tuple(options.only), systems=tuple(filter(None, options.systems.split(","))), rounds=options.rounds,
        seconds=options.seconds, repeats=options.repeats, threads=options.threads, smoke=options.smoke,
        kinds=tuple(options.kinds.split(",")), pythons=pythons, json=options.json, verbose=options.verbose)
    folder = Path(options.target)
    if folder.is_dir():
        return run_suite(common, suite_of_folder(folder))
    return run_function(options, common)


def suite_of_folder(folder: Path) -> str:
    """The importable name of the folder's `workloads` package."""
    if not (folder / "workloads" / "__init__.py").is_file():
        raise UsageError(f"{folder} has no package `workloads`")
    add_path(folder.resolve().parent)
    return f"{folder.resolve().name}.workloads"


def run_function(options: argparse.Namespace, common: SuiteOptions) -> int:
    """Measures FILE.py:FUNCTION; its description travels to the workers in a file."""
    file, name = split_target(options.target)
    parse_arguments(options.args)
    spec = {"file": str(file), "function": name, "args": options.args, "rtol": options.rtol,
            "sizes": {k: int(v) for k, _, v in (text.partition("=") for text in options.size)}}
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="tracejit-bench-") as described:
        json.dump(spec, described)
        described.flush()
        return run_suite(common, described.name)


def main(argv: Sequence[str]) -> int:
    """`python -m bench`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add_options(parser)
    try:
        return run(parser.parse_args(argv))
    except UsageError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
