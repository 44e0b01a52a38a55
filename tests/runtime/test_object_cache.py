"""Objects on disk: found again, never trusted when damaged, harmless when the directory is not usable."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.helpers import run_python
from tracejit.xla_lite.runtime.object_cache import HEADER, ObjectCache, check_private, encode

CODE, META = b"\x7fELF object" * 50, {"exports": ["main"], "n": 1}


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(str(tmp_path / "cache"))


def only_file(cache: ObjectCache) -> Path:
    (path,) = Path(cache.directory).iterdir()
    return path


def test_what_is_stored_is_found_again(cache: ObjectCache) -> None:
    key = cache.key(["graph", b"options"])
    assert cache.get(key) is None
    cache.put(key, CODE, META)
    found = ObjectCache(cache.directory).get(key)
    assert found is not None and found.code == CODE and found.metadata == META
    assert only_file(cache).stat().st_mode & 0o777 == 0o600 and os.stat(cache.directory).st_mode & 0o777 == 0o700
    (entry,) = cache.entries()
    assert entry.key == key and entry.metadata == META and entry.bytes > len(CODE) and time.time() - entry.used < 60
    assert cache.clear() == 1 and cache.entries() == []


def test_keys_are_unambiguous(cache: ObjectCache) -> None:
    keys = {cache.key(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], [b"ab", "d"])}
    assert len(keys) == 5 and cache.key(["x"]) == cache.key([b"x"])


@pytest.mark.parametrize("keep", [0, 1, HEADER.size - 1, HEADER.size, HEADER.size + 5, -1])
def test_truncated_files_are_deleted(cache: ObjectCache, keep: int) -> None:
    key = cache.key(["k"])
    cache.put(key, CODE, META)
    path = only_file(cache)
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.get(key) is None and not path.exists() and cache.rejected == 1


def test_a_flipped_bit_anywhere_is_noticed(cache: ObjectCache) -> None:
    key = cache.key(["k"])
    raw = encode(key, CODE, META)
    for at in range(0, len(raw), 13):
        bad = bytearray(raw)
        bad[at] ^= 4
        path = Path(cache.directory) / f"{key}.tjo"
        path.write_bytes(bad)
        assert cache.get(key) is None and not path.exists()


def test_foreign_files_are_refused(cache: ObjectCache, tmp_path: Path) -> None:
    key, other = cache.key(["k"]), cache.key(["other"])
    path = Path(cache.directory) / f"{key}.tjo"
    path.write_bytes(encode(other, CODE, META))  # renamed
    assert cache.get(key) is None and not path.exists()
    path.write_bytes(encode(key, CODE, META))
    path.chmod(0o666)  # others could have written it
    assert cache.get(key) is None and not path.exists()
    target = tmp_path / "elsewhere"
    target.write_bytes(encode(key, CODE, META))
    path.symlink_to(target)
    assert cache.get(key) is None and target.exists()
    path.unlink(missing_ok=True)
    path.mkdir()
    assert cache.get(key) is None
    cache.put(key, CODE, META)  # can't replace a directory: no error
    assert cache.get(key) is None


def test_unsafe_or_unusable_directories_turn_the_cache_off(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    below = shared / "below"
    below.mkdir(mode=0o700)
    blocked = tmp_path / "file"
    blocked.write_text("")
    for directory in (shared, link, below, blocked, blocked / "sub", Path("/proc/nowhere")):
        cache = ObjectCache(str(directory))
        assert not cache.enabled and cache.reason
        cache.put(cache.key(["k"]), CODE, META)
        assert cache.get(cache.key(["k"])) is None and cache.entries() == [] and cache.clear() == 0
    assert not ObjectCache("").enabled
    check_private(str(tmp_path))


def test_a_directory_that_disappears_is_an_empty_cache(cache: ObjectCache) -> None:
    os.rmdir(cache.directory)
    cache.put(cache.key(["k"]), CODE, META)
    assert cache.get(cache.key(["k"])) is None and cache.entries() == []


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path / "cache"), limit=10_000)
    keys = [cache.key([str(i)]) for i in range(12)]
    for age, key in enumerate(keys):
        cache.put(key, bytes(1000), {})
        path = Path(cache.directory) / f"{key}.tjo"
        if path.exists():
            os.utime(path, (time.time() - 1000 + age,) * 2)
    left = [key in {e.key for e in cache.entries()} for key in keys]
    assert sum(e.bytes for e in cache.entries()) <= 10_000 and left == sorted(left) and 6 <= sum(left) < 10


def test_racing_processes_leave_whole_files(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom tracejit.xla_lite.runtime.object_cache import ObjectCache\n"
        f"c = ObjectCache({str(tmp_path / 'cache')!r})\n"
        "for i in range(60):\n    key = '%064x' % (i % 3)\n    c.put(key, bytes([i % 3]) * 50_000, {})\n"
        "    found = c.get(key)\n    assert found is None or found.code == bytes([i % 3]) * 50_000\n"
        "assert c.rejected == 0\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    racers = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [r.wait(30) for r in racers] == [0, 0, 0]
    assert all(p.suffix == ".tjo" for p in (tmp_path / "cache").iterdir())


def test_the_runtime_works_without_a_cache(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)  # not private, so nothing may be stored below
    code = (
        "from tracejit.xla_lite.runtime.library import native_library\n"
        "from tracejit.xla_lite.runtime.object_cache import object_cache\n"
        "assert native_library()['tj_alloc'] and not object_cache().enabled\n"
    )
    done = run_python(code, TRACEJIT_CACHE_DIR=str(home / "tracejit"))
    assert done.returncode == 0, done.stderr
    assert run_python(code, TRACEJIT_CACHE_DIR="").returncode == 0


def test_a_damaged_runtime_object_is_compiled_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = "from tracejit.xla_lite.runtime.library import native_library\nassert native_library()['tj_alloc']\n"
    for _ in range(2):
        assert run_python(code, TRACEJIT_CACHE_DIR=str(cache)).returncode == 0
        (stored,) = cache.iterdir()
        raw = bytearray(stored.read_bytes())
        raw[len(raw) // 2] ^= 1
        stored.write_bytes(raw)
