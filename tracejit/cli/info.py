"""`tracejit info` and `tracejit options`.

Flows in: target, engine, object cache, settings, installed packages.  Flows out: name and value, a line each.
"""

import argparse
import importlib.metadata
import platform
from collections.abc import Iterator

from tracejit.base.options import config
from tracejit.cli.cache import size
from tracejit.cli.harness.machine import cpu_name
from tracejit.cli.harness.systems import SYSTEMS
from tracejit.xla_lite.cpu.target import host
from tracejit.xla_lite.runtime.engine import engine
from tracejit.xla_lite.runtime.object_cache import object_cache

# The features that decide which code is emitted; LLVM lists a hundred more.
TELLING = ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16", "avx512fp16", "amx-tile", "neon", "sve")


def add_options(parser: argparse.ArgumentParser) -> None:
    """`tracejit info` and `tracejit options` take none."""


def run(options: argparse.Namespace) -> int:
    """Runs `tracejit info`."""
    rows = list(facts())
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return 0


def run_options(options: argparse.Namespace) -> int:
    """Runs `tracejit options`."""
    print(config.describe())
    return 0


def facts() -> Iterator[tuple[str, str]]:
    """Everything that a report of a problem should say."""
    target, cache, (llvmlite, llvm) = host(), object_cache(), engine().versions
    yield "tracejit", package_version("tracejit")
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "numpy", package_version("numpy")
    yield "llvmlite", f"{llvmlite} (LLVM {llvm})"
    yield "processor", f"{cpu_name()}; LLVM calls it {target.cpu}"
    yield "features", ", ".join(name for name in TELLING if name in target.features) or "none of those that matter"
    yield "vectors", f"{target.vector_bits} bits, {target.registers} registers"
    yield "data caches", f"{size(target.l1)}, {size(target.l2)}, {size(target.llc)}"
    yield "threads", str(config.num_threads)
    yield "object cache", cache_facts(cache.directory, cache.reason)
    for name, system in SYSTEMS.items():
        if name not in ("numpy", "tracejit", "torch.compile") and (found := package_version(system.package)):
            yield f"beside it: {name}", found


def cache_facts(directory: str, reason: str) -> str:
    """Where, how many, how large; or why not."""
    if reason:
        return f"none: {reason}"
    entries = object_cache().entries()
    return f"{directory}, {len(entries)} objects, {size(sum(e.bytes for e in entries))}"


def package_version(package: str) -> str:
    """The installed version; empty where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
