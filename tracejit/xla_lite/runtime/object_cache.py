"""Compiled objects on disk: private, atomic, bounded, and never trusted further than their checksum.

Flows in:  the parts of a key (graph text, options, ...), object bytes, a small JSON-able dict.
Flows out: the same bytes and dict in a later process on the same machine, LLVM and tracejit; or nothing.

File: magic, key, SHA-256 of the rest, lengths, metadata as JSON, object. Any mismatch: the file is deleted and the
caller compiles. Loading an object means running it, so nobody else may be able to write to the directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import stat
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tracejit.base.options import config
from tracejit.xla_lite.runtime.engine import engine
from tracejit.xla_lite.runtime.locks import runtime_lock

RUNTIME_VERSION = "1"  # changes with the contract between generated code and this package
MAGIC = b"TRACEJO1"
HEADER = struct.Struct("<8s32s32sQQ")  # magic, key, digest of the payload, bytes of metadata, bytes of object
SUFFIX = ".tjo"
TEMPORARY = "tmp-"
DEFAULT_LIMIT = 512 << 20
STALE_SECONDS = 3600.0  # age of abandoned temporary files; also the resolution of the LRU clock


@dataclass(frozen=True, slots=True)
class CachedObject:
    """What was stored under a key."""

    code: bytes
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One file of the cache. used: seconds since the epoch of the last use, to the hour."""

    key: str
    bytes: int
    used: float
    metadata: dict[str, Any]


class UnsafeDirectory(Exception):
    """Others could replace files in the directory."""


class ObjectCache:
    """A directory of objects. An unusable directory is an empty cache that stores nothing; `reason` says why."""

    def __init__(self, directory: str, limit: int = DEFAULT_LIMIT) -> None:
        self.directory, self.limit = directory, limit
        self.hits = self.misses = self.rejected = self.evicted = 0
        self.reason = "" if directory else "turned off"
        self._bytes: int | None = None  # an estimate; None before the first scan
        self._names = itertools.count()
        if directory:
            try:
                os.makedirs(directory, mode=0o700, exist_ok=True)
                check_private(directory)
            except (OSError, UnsafeDirectory) as error:
                self.reason = str(error)

    @property
    def enabled(self) -> bool:
        return not self.reason

    def key(self, parts: Iterable[str | bytes]) -> str:
        """The name of what `parts` make with this runtime, LLVM and processor. Parts are length-prefixed."""
        host, (llvmlite_version, llvm_version) = engine().host, engine().versions
        digest = hashlib.sha256()
        for part in (RUNTIME_VERSION, llvmlite_version, llvm_version, host.triple, host.cpu, host.features, *parts):
            raw = part if isinstance(part, bytes) else part.encode()
            digest.update(struct.pack("<Q", len(raw)) + raw)
        return digest.hexdigest()

    def get(self, key: str) -> CachedObject | None:
        """What was stored under `key`, or None. A damaged or foreign file is deleted."""
        found = self._read(key) if self.enabled else None
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def put(self, key: str, code: bytes, metadata: dict[str, Any]) -> None:
        """Stores; readers see the old file or the new one. A full or read-only disk is not an error."""
        if not self.enabled:
            return
        raw = encode(key, code, metadata)
        name = f"{TEMPORARY}{os.getpid()}-{threading.get_ident()}-{next(self._names)}"
        temporary = os.path.join(self.directory, name)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(raw)
            os.replace(temporary, self._path(key))
        except OSError:
            _unlink(temporary)
            return
        self._account(len(raw))

    def entries(self) -> list[CacheEntry]:
        """All usable files, most recently used first."""
        found = []
        for path, status in self._files():
            key = os.path.basename(path).removesuffix(SUFFIX)
            if not path.endswith(SUFFIX) or (stored := self._read(key, touch=False)) is None:
                continue
            found.append(CacheEntry(key, status.st_size, status.st_mtime, stored.metadata))
        return sorted(found, key=lambda e: e.used, reverse=True)

    def clear(self) -> int:
        """Deletes every file; gives how many."""
        return sum(_unlink(path) for path, _ in self._files()) if self.enabled else 0

    def _path(self, key: str) -> str:
        return os.path.join(self.directory, key + SUFFIX)

    def _read(self, key: str, touch: bool = True) -> CachedObject | None:
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                raw = file.read() if _is_private(status) else b""
        except FileNotFoundError:
            return None
        except OSError:
            raw, status = b"", None
        if (found := decode(key, raw)) is None:
            self.rejected += 1
            _unlink(path)
        elif touch and status is not None and time.time() - status.st_mtime > STALE_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path)
        return found

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Our files; another process may remove any of them at any time."""
        if not self.enabled:
            return
        try:
            with os.scandir(self.directory) as scan:
                listed = [e for e in scan if e.name.endswith(SUFFIX) or e.name.startswith(TEMPORARY)]
        except OSError:
            return
        for entry in listed:
            with contextlib.suppress(OSError):
                yield entry.path, entry.stat(follow_symlinks=False)

    def _account(self, added: int) -> None:
        with runtime_lock:
            total = sum(s.st_size for _, s in self._files()) if self._bytes is None else self._bytes + added
            self._bytes = self._evict() if total > self.limit else total

    def _evict(self) -> int:
        """Deletes abandoned temporaries and the least recently used files, down to 80 % so that it is rare."""
        files = list(self._files())
        total, now = sum(status.st_size for _, status in files), time.time()
        for path, status in sorted(files, key=lambda f: f[1].st_mtime_ns):
            temporary = not path.endswith(SUFFIX)
            wanted = now - status.st_mtime > STALE_SECONDS if temporary else total > 0.8 * self.limit
            if wanted and _unlink(path):
                total -= status.st_size
                self.evicted += 1
        return total


def encode(key: str, code: bytes, metadata: dict[str, Any]) -> bytes:
    """The content of a file."""
    text = json.dumps(metadata, separators=(",", ":")).encode()
    digest = hashlib.sha256(text + code).digest()
    return HEADER.pack(MAGIC, bytes.fromhex(key), digest, len(text), len(code)) + text + code


def decode(key: str, raw: bytes) -> CachedObject | None:
    """The content of a file named `key`, or None unless every byte is as it was written."""
    if len(raw) < HEADER.size:
        return None
    magic, stored_key, digest, text_bytes, code_bytes = HEADER.unpack_from(raw)
    payload = raw[HEADER.size :]
    sound = magic == MAGIC and stored_key.hex() == key and text_bytes + code_bytes == len(payload)
    if not sound or hashlib.sha256(payload).digest() != digest:
        return None
    return CachedObject(payload[text_bytes:], json.loads(payload[:text_bytes]))


def check_private(directory: str) -> None:
    """Raises UnsafeDirectory if another user could write to `directory` or replace it."""
    if not _is_private(status := os.lstat(directory)) or not stat.S_ISDIR(status.st_mode):
        raise UnsafeDirectory("the cache directory is a link, belongs to somebody else, or others may write to it")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UnsafeDirectory("the cache directory is read-only")
    above = os.path.dirname(os.path.realpath(directory))
    while True:
        status = os.stat(above)
        open_to_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or open_to_others:
            raise UnsafeDirectory("others may replace a directory above the cache directory")
        if above == (up := os.path.dirname(above)):
            return
        above = up


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


_caches: dict[str, ObjectCache] = {}  # written by object_cache(), one for each directory in use


def object_cache() -> ObjectCache:
    """The cache in `config.cache_dir`."""
    directory = config.cache_dir
    if (cache := _caches.get(directory)) is None:
        with runtime_lock:
            cache = _caches.setdefault(directory, ObjectCache(directory))
    return cache

