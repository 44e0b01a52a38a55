"""What code is emitted for: the vector unit, the caches, and the thresholds measured for them.

Flows in:  the host as LLVM and the operating system describe it, or a triple, CPU and features given by name.
Flows out: `Target`, read by the emitter and by everything that chooses block sizes.
"""
from __future__ import annotations

import os
from dataclasses import dataclass

from tracejit.base.options import config
from tracejit.xla_lite.cpu.text import VectorFeatures
from tracejit.xla_lite.runtime.engine import engine

_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of machine. Sizes in bytes.

    parallel_work: additions-worth of work from which a second thread pays while workers are spinning: 14 microseconds
    of x + 1, 4 of elementary functions.  wake_work: the same where they have to be woken.
    chunk_work: the least work that one claim of a thread should be worth.
    """

    triple: str
    cpu: str
    features: frozenset[str]
    vector_bits: int
    l1: int = 32 << 10
    l2: int = 1 << 20
    llc: int = 32 << 20
    parallel_work: int = 1 << 19
    wake_work: int = 1 << 21
    chunk_work: int = 1 << 16

    @property
    def avx512(self) -> bool:
        return self.features >= _AVX512

    @property
    def x86(self) -> bool:
        return self.triple.startswith("x86_64")

    @property
    def feature_text(self) -> str:
        """As LLVM's `target-features` wants it."""
        return ",".join(f"+{name}" for name in sorted(self.features))

    @property
    def vector_features(self) -> VectorFeatures:
        """For `vector_math`, whose AVX-512 forms keep tables in 512-bit registers."""
        return VectorFeatures(self.vector_bits, self.avx512 and self.vector_bits >= 512)

    @property
    def registers(self) -> int:
        """Vector registers of the machine."""
        return 32 if self.avx512 or not self.x86 else 16

    def masks(self, bits: int) -> bool:
        """Whether memory can be read and written under a lane mask, for elements of this size."""
        return self.avx512 or (self.x86 and "avx2" in self.features and bits >= 32)

    @staticmethod
    def of(triple: str, cpu: str, features: frozenset[str]) -> Target:
        """The target with the widest vectors that its features give, or as wide as `config.vector_bits` says."""
        widest = 512 if features >= _AVX512 else 256 if "avx2" in features else 128
        return Target(triple, cpu, features, config.vector_bits or widest)


_MACHINE: dict[str, tuple[str, str, frozenset[str], dict[str, int]]] = {}    # filled by host(), once


def host() -> Target:
    """This machine."""
    if not _MACHINE:
        machine = engine().host
        features = frozenset(name[1:] for name in machine.features.split(",") if name.startswith("+"))
        _MACHINE["host"] = machine.triple, machine.cpu, features, _cache_sizes()
    triple, cpu, features, caches = _MACHINE["host"]
    found = Target.of(triple, cpu, features)
    return Target(triple, cpu, features, found.vector_bits, **caches)


def _cache_sizes() -> dict[str, int]:
    """What the system knows of the data caches; nothing where it is silent."""
    names = {"l1": "SC_LEVEL1_DCACHE_SIZE", "l2": "SC_LEVEL2_CACHE_SIZE", "llc": "SC_LEVEL3_CACHE_SIZE"}
    known = {key: os.sysconf(name) for key, name in names.items() if name in os.sysconf_names}
    return {key: size for key, size in known.items() if size > 0}
