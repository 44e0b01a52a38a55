"""TRACEJIT_DEBUG and TRACEJIT_DUMP."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.options import options


def plus_one(x):  # type: ignore[no-untyped-def]
    return x + 1


def test_dump_writes_one_file_per_stage(tmp_path: Path) -> None:
    with options(dump=str(tmp_path / "stages")):
        tj.function(plus_one)(np.ones(3))
    names = sorted(p.name.split("-", 1)[1] for p in (tmp_path / "stages").iterdir())
    assert names == ["plus_one-assembly.s", "plus_one-fused.txt", "plus_one-graph.txt", "plus_one-kernels.txt",
                     "plus_one-llvm.ll"]
    assert all(p.read_text().strip() for p in (tmp_path / "stages").iterdir())


@pytest.mark.parametrize(("level", "shown"), [(1, "trace 1 in"), (2, "because it is the first call"),
                                              (3, "graph(%0: f64[3])"), (4, "kernel main("), (5, "define"),
                                              (6, "tj_main")])
def test_debug_prints_stages_by_level(level: int, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with options(debug=level):
        tj.function(plus_one)(np.ones(3))
    assert shown in capsys.readouterr().err
