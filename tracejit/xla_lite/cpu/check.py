"""Check mode: what is in a module that compares every index with its buffer's shape.

Flows in:  the accesses that were emitted, one number each.
Flows out: LLVM text of the report and of the verdict; a sentence for what was found.

The first violation is kept, its access is sent to memory that nobody else uses, and the entry ends with CHECK_FAILED
and the words (access, axis, index, extent) as its payload.
"""
from __future__ import annotations

from collections.abc import Sequence

from tracejit.xla_lite.cpu.text import ModuleText

CHECK_FAILED = -3
HARMLESS = "getelementptr (i8, ptr @tj.harmless, i64 8192)"    # the middle: lanes reach both ways from it

_TEXT = f"""@tj.violation = internal global [5 x i64] zeroinitializer, align 64
@tj.harmless = internal global [16384 x i8] zeroinitializer, align 64
define internal void @tj.report(i64 %access, i64 %axis, i64 %index, i64 %extent) noinline cold #0 {{
  %pair = cmpxchg ptr @tj.violation, i64 0, i64 1 monotonic monotonic
  %first = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %first, label %keep, label %done
keep:
  store i64 %access, ptr getelementptr ([5 x i64], ptr @tj.violation, i64 0, i64 1)
  store i64 %axis, ptr getelementptr ([5 x i64], ptr @tj.violation, i64 0, i64 2)
  store i64 %index, ptr getelementptr ([5 x i64], ptr @tj.violation, i64 0, i64 3)
  store i64 %extent, ptr getelementptr ([5 x i64], ptr @tj.violation, i64 0, i64 4)
  br label %done
done:
  ret void
}}
define internal i32 @tj.verdict(ptr %slots, i32 %status) noinline #0 {{
  %found = load i64, ptr @tj.violation
  %clean = icmp eq i64 %found, 0
  br i1 %clean, label %done, label %fail
fail:
  %words = getelementptr [5 x i64], ptr @tj.violation, i64 0, i64 1
  call void @llvm.memcpy.p0.p0.i64(ptr %slots, ptr %words, i64 32, i1 0)
  store i64 0, ptr @tj.violation
  ret i32 {CHECK_FAILED}
done:
  ret i32 %status
}}"""


def add_check_functions(module: ModuleText) -> None:
    """Puts the report and the verdict into a module."""
    module.functions["tj.report"] = _TEXT
    module.declare("llvm.memcpy.p0.p0.i64", "void", "ptr, ptr, i64, i1")


def describe_violation(accesses: Sequence[tuple[str, str]], words: Sequence[int]) -> str:
    """A sentence for the payload words of CHECK_FAILED. accesses: `EmittedModule.accesses`."""
    access, axis, index, extent = words[:4]
    kernel, buffer = accesses[access]
    return f"kernel {kernel}: index {index} of {buffer} is out of bounds for axis {axis} with size {extent}"
