"""Small compiled kernels for the tests of the run-time layer, written in LLVM text.

Flows in:  LLVM text.  Flows out: linked libraries.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tracejit.xla_lite.runtime.engine import Library, engine
from tracejit.xla_lite.runtime.host import symbols
from tracejit.xla_lite.runtime.signature import OutNode, Roots, Specialisation, Work

CHUNKS = """
declare i32 @tj_parallel_for(ptr, ptr, i64)
define void @count(ptr %context, i64 %i) {
  %cell = getelementptr i64, ptr %context, i64 %i
  %old = load i64, ptr %cell
  %new = add i64 %old, 1
  store i64 %new, ptr %cell
  ret void
}
define void @nested(ptr %context, i64 %i) {
  %first = mul i64 %i, 1000
  %part = getelementptr i64, ptr %context, i64 %first
  %r = call i32 @tj_parallel_for(ptr @count, ptr %part, i64 1000)
  ret void
}
"""


def link(text: str, exports: Iterable[str], imports: Mapping[str, int] | None = None, level: int = 2) -> Library:
    """Compiles and links LLVM text."""
    return engine().link(engine().compile_text(text, level), exports, imports or {})


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in the repository's root."""
    root = Path(__file__).resolve().parents[2]
    settings = {**os.environ, "PYTHONPATH": str(root), **environment}
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    return subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, timeout=60)


KERNELS = """
declare i32 @tj_poll()
declare i32 @tj_host_call(i64, ptr)
declare ptr @tj_alloc(i64)
declare ptr @memcpy(ptr, ptr, i64)

; out[i] = x[i] + 1 for doubles; slot 8: x, slot 9: n
define i32 @add_one(ptr %slots, ptr %outs) {
  %px = getelementptr i64, ptr %slots, i64 8
  %x = load ptr, ptr %px
  %pn = getelementptr i64, ptr %slots, i64 9
  %n = load i64, ptr %pn
  %y = load ptr, ptr %outs
  br label %test
test:
  %i = phi i64 [0, %0], [%next, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %xp = getelementptr double, ptr %x, i64 %i
  %v = load double, ptr %xp
  %r = fadd double %v, 1.0
  %yp = getelementptr double, ptr %y, i64 %i
  store double %r, ptr %yp
  %next = add i64 %i, 1
  br label %test
done:
  ret i32 0
}
; writes nothing
define i32 @nothing(ptr %slots, ptr %outs) {
  ret i32 0
}
; fails with status 3 and the first error word 42
define i32 @fail(ptr %slots, ptr %outs) {
  store i64 42, ptr %slots
  ret i32 3
}
; calls the host function whose number is in slot 8
define i32 @host(ptr %slots, ptr %outs) {
  %p = getelementptr i64, ptr %slots, i64 8
  %number = load i64, ptr %p
  %failed = call i32 @tj_host_call(i64 %number, ptr %slots)
  %status = sub i32 0, %failed
  ret i32 %status
}
; loops until a signal arrives
define i32 @forever(ptr %slots, ptr %outs) {
  br label %again
again:
  %failed = call i32 @tj_poll()
  %stop = icmp ne i32 %failed, 0
  br i1 %stop, label %done, label %again
done:
  ret i32 -1
}
; copies two words from slot 8 on to the first output
define i32 @scalars(ptr %slots, ptr %outs) {
  %p = getelementptr i64, ptr %slots, i64 8
  %out0 = load ptr, ptr %outs
  %a = call ptr @memcpy(ptr %out0, ptr %p, i64 16)
  ret i32 0
}
; allocates half as many elements as x has: slot 10 gets n / 2, out[i] = i; fails at the end if n is 5
define i32 @half(ptr %slots, ptr %outs) {
  %pn = getelementptr i64, ptr %slots, i64 9
  %n = load i64, ptr %pn
  %h = sdiv i64 %n, 2
  %ph = getelementptr i64, ptr %slots, i64 10
  store i64 %h, ptr %ph
  %size = mul i64 %h, 8
  %y = call ptr @tj_alloc(i64 %size)
  %cell = load ptr, ptr %outs
  store ptr %y, ptr %cell
  br label %test
test:
  %i = phi i64 [0, %0], [%next, %body]
  %more = icmp slt i64 %i, %h
  br i1 %more, label %body, label %done
body:
  %f = sitofp i64 %i to double
  %yp = getelementptr double, ptr %y, i64 %i
  store double %f, ptr %yp
  %next = add i64 %i, 1
  br label %test
done:
  %five = icmp eq i64 %n, 5
  %status = zext i1 %five to i32
  ret i32 %status
}
; the same for two outputs
define i32 @half_twice(ptr %slots, ptr %outs) {
  %first = call i32 @half(ptr %slots, ptr %outs)
  %next = getelementptr ptr, ptr %outs, i64 1
  %second = call i32 @half(ptr %slots, ptr %next)
  ret i32 0
}
; prepare: slot 10 = 2 n, a miss if n is 5
define i32 @twice(ptr %slots) {
  %pn = getelementptr i64, ptr %slots, i64 9
  %n = load i64, ptr %pn
  %h = mul i64 %n, 2
  %ph = getelementptr i64, ptr %slots, i64 10
  store i64 %h, ptr %ph
  %five = icmp eq i64 %n, 5
  %miss = zext i1 %five to i32
  ret i32 %miss
}
"""
KERNEL_NAMES = ("add_one", "nothing", "fail", "host", "forever", "scalars", "half", "half_twice", "twice")


@cache
def kernels() -> Library:
    """The toy kernels, linked once."""
    return link(KERNELS, KERNEL_NAMES, symbols())


def dump_kernel(words: int) -> Library:
    """`main` gives all slots back."""
    text = f"""
declare ptr @memcpy(ptr, ptr, i64)
define i32 @main(ptr %slots, ptr %outs) {{
  %out = load ptr, ptr %outs
  %r = call ptr @memcpy(ptr %out, ptr %slots, i64 {8 * words})
  ret i32 0
}}
"""
    return link(text, ["main"], symbols())


def refuse(status: int, words: tuple[int, ...]) -> None:
    """What `on_error` does in these tests."""
    raise ArithmeticError(f"status {status}, words {words}")


def specialise(roots: Roots, outputs: OutNode, kernel: str = "nothing", **settings: Any) -> Specialisation:
    """A specialisation around a toy kernel; short work unless `work` says otherwise."""
    library = kernels()
    settings = {"work": Work(), "on_error": refuse, "library": library} | settings
    return Specialisation(roots, outputs, library[kernel], **settings)


def wait_for(child: int, seconds: float = 20) -> int:
    """The exit status of a child; kills it when it hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")
