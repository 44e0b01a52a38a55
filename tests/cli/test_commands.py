"""The commands print what they promise and exit with the right status.

Flows in: command lines.  Flows out: text and status.
"""

from pathlib import Path

import pytest

from tracejit.cli.main import main

PROGRAM = '''
import numpy as np

def step(w, x, rate):
    return x - rate * np.tanh(x * w)
'''


@pytest.fixture
def program(tmp_path: Path) -> str:
    file = tmp_path / "program_for_cli.py"
    file.write_text(PROGRAM)
    return f"{file}:step"


def test_info_names_processor_threads_cache_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("processor", "vectors", "threads", "object cache", "LLVM", "numpy"))


def test_options_prints_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options"]) == 0
    assert "TRACEJIT_NUM_THREADS" in capsys.readouterr().out


def test_cache_is_listed_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    from tracejit.base.options import options
    from tracejit.xla_lite.runtime.object_cache import object_cache

    with options(cache_dir=str(tmp_path / "cache")):
        cache = object_cache()
        cache.put(cache.key(["a kernel"]), b"code", {"name": "softmax"})
        assert main(["cache", "list"]) == 0
        assert "softmax" in (text := capsys.readouterr().out) and "1 objects" in text
        assert main(["cache", "clear"]) == 0
        assert "deleted" in capsys.readouterr().out and not cache.entries()


def test_a_cache_that_is_off_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from tracejit.base.options import options

    with options(cache_dir=""):
        assert main(["cache", "list"]) == 0
    assert "no cache: turned off" in capsys.readouterr().out


@pytest.mark.parametrize(("stage", "word"), [
    ("source", "def step"), ("graph", "tanh"), ("fused", "fusion"), ("kernels", "kernel "), ("llvm", "define"),
])
def test_show_prints_a_stage(program: str, stage: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", program, "--args", "f32[3], f32[n,3], 0.1", "--stage", stage]) == 0
    assert word in capsys.readouterr().out


def test_mistakes_on_the_command_line_exit_with_2(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", program.replace("step", "stop"), "--args", ""]) == 2
    assert "has no stop; it has step" in capsys.readouterr().err
    assert main(["bench", "nowhere.py:f"]) == 2
    assert "there is no file nowhere.py" in capsys.readouterr().err


@pytest.mark.slow
def test_bench_of_a_function_compares_with_numpy(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["bench", program, "--args", "f32[3], f32[8,3], 0.1", "--systems", "numpy,tracejit", "--rounds", "1",
                   "--seconds", "0", "--repeats", "1", "--kinds", "steady"])
    assert status == 0 and "step" in capsys.readouterr().out
