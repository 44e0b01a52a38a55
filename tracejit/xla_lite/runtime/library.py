"""The native runtime as linked code: translated and compiled once for each installation, then from the object cache.

Flows in:  the source text of the native modules.
Flows out: `native_library()` with the addresses of their exported functions and data.
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import os
import sys
from pathlib import Path

from tracejit.xla_lite.runtime.abi import c_addresses
from tracejit.xla_lite.runtime.engine import Library, engine
from tracejit.xla_lite.runtime.locks import runtime_lock
from tracejit.xla_lite.runtime.object_cache import CachedObject, object_cache

PACKAGE = "tracejit.xla_lite.runtime.native"
MODULES = ("signals", "pool", "blocks", "stacks", "arrays", "host", "turns", "matching", "results", "entry")
OPTIMISATION = 3
PAGE = 4096
MADV_WIPEONFORK = 18


def wiped_page() -> int:
    """The address of a zeroed page which is zero again in a forked child. Never freed: worker threads use it."""
    page = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(page))
    try:
        if sys.platform != "linux":
            raise OSError
        page.madvise(MADV_WIPEONFORK)
    except OSError:
        os.register_at_fork(after_in_child=lambda: ctypes.memset(address, 0, PAGE))
    return address


def _sources() -> list[bytes]:
    """Everything the native code is made from."""
    here = Path(__file__).parent
    files = [here / "abi.py", *sorted((here / "native").glob("*.py"))]
    return [file.read_bytes() for file in files]


def _compile() -> CachedObject:
    from tracejit.xla_lite.runtime.native.translate import translate

    native = translate(importlib.import_module(f"{PACKAGE}.{name}") for name in MODULES)
    code = engine().compile_text(native.text, OPTIMISATION)
    return CachedObject(code, {"what": "native runtime", "exports": native.exports, "imports": native.imports})


def _load() -> Library:
    cache = object_cache()
    tag = f"{sys.implementation.cache_tag} {sys.platform} {OPTIMISATION}"
    key = cache.key(["native runtime", tag, *_sources()])
    if (stored := cache.get(key)) is None:
        stored = _compile()
        cache.put(key, stored.code, stored.metadata)
    provided = {"pool_page": wiped_page()}
    others = [name for name in stored.metadata["imports"] if name not in provided]
    library = engine().link(stored.code, stored.metadata["exports"], c_addresses(others) | provided).pin()
    library.addresses.update(provided)
    return library


_library: Library | None = None  # written by native_library(), once


def native_library() -> Library:
    """The native runtime, linked at the first call."""
    global _library
    if _library is None:
        with runtime_lock:
            if _library is None:
                _library = _load()
    return _library
