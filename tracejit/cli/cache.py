"""`tracejit cache list` and `tracejit cache clear`.

Flows in: the object cache of the runtime.  Flows out: one line per object, or how many were deleted.
"""

import argparse
import time

from tracejit.xla_lite.runtime.object_cache import ObjectCache, object_cache


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `tracejit cache`."""
    parser.add_argument("action", choices=["list", "clear"])


def run(options: argparse.Namespace) -> int:
    """Runs `tracejit cache`."""
    cache = object_cache()
    if not cache.enabled:
        print(f"no cache: {cache.reason}")
        return 0
    if options.action == "clear":
        print(f"deleted {cache.clear()} files of {cache.directory}")
    else:
        print(listing(cache))
    return 0


def listing(cache: ObjectCache) -> str:
    """One object a line, the most recently used first, and the sum."""
    entries = cache.entries()
    lines = [f"{e.key[:12]}  {size(e.bytes):>9}  {age(time.time() - e.used):>9}  {about(e.metadata)}".rstrip()
             for e in entries]
    total = f"{len(entries)} objects, {size(sum(e.bytes for e in entries))}, in {cache.directory}"
    return "\n".join([*lines, total])


def about(metadata: dict[str, object]) -> str:
    """The short entries of an object's metadata."""
    return ", ".join(f"{k} {v}" for k, v in metadata.items() if isinstance(v, str | int) and len(str(v)) < 60)


def size(count: int) -> str:
    """1536 as 1.5 KiB."""
    value, units = float(count), iter(("bytes", "KiB", "MiB", "GiB"))
    unit = next(units)
    while value >= 1024 and unit != "GiB":
        value, unit = value / 1024, next(units)
    return f"{value:.4g} {unit}"


def age(seconds: float) -> str:
    """Hours and days; the clock of the cache has the resolution of an hour."""
    hours = seconds / 3600
    return "this hour" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"
