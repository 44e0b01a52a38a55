"""Fixtures for every test: golden text, and an object cache of the test run's own.

Flows in: `--update-golden`.  Flows out: the `golden` fixture.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--update-golden`."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden from what the code prints now")


def pytest_configure(config: pytest.Config) -> None:
    """Gives the run a fresh object cache, shared by its workers; the user's own cache is neither read nor filled."""
    os.environ.setdefault("TRACEJIT_VERIFY", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:     # of jobs in the background; processes of tests inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TRACEJIT_CACHE_DIR" in os.environ:
        return
    cache = tempfile.mkdtemp(prefix="tracejit-tests-")
    os.environ["TRACEJIT_CACHE_DIR"] = cache
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("graph/softmax", text)` compares with tests/golden/graph/softmax.txt (or rewrites that file)."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no golden file {path}; run pytest --update-golden and review the diff"
        assert text == path.read_text(), f"differs from {path}; if the change is meant, run pytest --update-golden"

    return check
