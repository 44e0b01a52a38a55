"""Code for machines that this one is not: text that LLVM accepts and turns into assembly of that machine.

Flows in: the programs of the other tests.  Flows out: assembly.
"""

import pytest

from tests.cpu import test_emitter_programs as programs
from tests.cpu import test_emitter_statements as statements
from tests.cpu.support import assembly, avx2
from tracejit.xla_lite.cpu.target import Target

NEON = Target("aarch64-unknown-linux-gnu", "cortex-a76", frozenset({"neon", "fullfp16"}), 128)
APPLE = Target("arm64-apple-darwin", "apple-m1", frozenset({"neon"}), 128)
SKYLAKE = Target(
    avx2().triple, "skylake-avx512", avx2().features | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, 512
)
PROGRAMS = {
    "softmax": statements.softmax,
    "escape": statements.escape_time,
    "failing": programs.failing,
}


@pytest.mark.parametrize("target", [NEON, APPLE, SKYLAKE, avx2()], ids=lambda t: t.cpu)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_become_assembly(name, target):
    text = assembly(PROGRAMS[name](), target)
    if name == "softmax":
        assert {"skylake-avx512": "%zmm", "x86-64-v3": "%ymm"}.get(target.cpu, ".4s") in text
