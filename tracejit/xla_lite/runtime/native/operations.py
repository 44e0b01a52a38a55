"""The operations of native code as LLVM instructions, one method each, and the writing of instructions.

Flows in:  operands as text, each an i64.
Flows out: lines of LLVM text; results as text.
"""

from __future__ import annotations

import re


class Edges:
    """What functions need from outside, each declared once."""

    def __init__(self, x86: bool) -> None:
        self.x86 = x86
        self.declarations: dict[str, str] = {}
        self.imports: list[str] = []
        self.exports: list[str] = []

    def intrinsic(self, name: str, declaration: str) -> str:
        """Declares an LLVM intrinsic; gives `@name`."""
        self.declarations.setdefault(name, f"declare {declaration}")
        return f"@{name}"

    def function(self, name: str, signature: str) -> None:
        result, parameters = split_signature(signature)
        self._declare(name, f"declare {result} @{name}({', '.join(parameters)})")

    def datum(self, name: str, words: int) -> None:
        if words:
            self.declarations.setdefault(name, f"@{name} = global [{words} x i64] zeroinitializer, align 64")
            if name not in self.exports:
                self.exports.append(name)
        else:
            self._declare(name, f"@{name} = external global i8")

    def _declare(self, name: str, text: str) -> None:
        if name not in self.declarations:
            self.declarations[name] = text
            self.imports.append(name)


def split_signature(signature: str) -> tuple[str, list[str]]:
    match = re.fullmatch(r"(\w+)\((.*)\)", signature)
    assert match, signature
    return match[1], [p.strip() for p in match[2].split(",") if p.strip()]


class Operations:
    """A function's lines under construction. `op_<name>` writes the operation of that name in `words.py`."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self.slots: list[str] = []
        self.lines: list[str] = []
        self.count = 0

    def emit_line(self, text: str) -> None:
        self.lines.append("  " + text)

    def emit(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def fresh_label(self) -> str:
        self.count += 1
        return f"l{self.count}"

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def jump(self, target: str) -> None:
        self.emit_line(f"br label %{target}")

    def narrow(self, value: str, kind: str) -> str:
        """A word as a C type; a double is passed as its bits."""
        if kind == "double":
            return self.emit(f"bitcast i64 {value} to double")
        return value if kind == "i64" else self.emit(f"trunc i64 {value} to {kind}")

    def widen(self, value: str, kind: str) -> str:
        return value if kind == "i64" else self.emit(f"sext {kind} {value} to i64")

    def pointer(self, address: str, offset: str = "0") -> str:
        base = self.emit(f"inttoptr i64 {address} to ptr")
        return base if offset == "0" else self.emit(f"getelementptr i8, ptr {base}, i64 {offset}")

    def op_word(self, address: str, offset: str) -> str:
        return self.emit(f"load i64, ptr {self.pointer(address, offset)}, align 8")

    def op_int32(self, address: str, offset: str) -> str:
        return self.widen(self.emit(f"load i32, ptr {self.pointer(address, offset)}, align 4"), "i32")

    def op_byte(self, address: str, offset: str) -> str:
        loaded = self.emit(f"load i8, ptr {self.pointer(address, offset)}, align 1")
        return self.emit(f"zext i8 {loaded} to i64")

    def op_put_word(self, address: str, offset: str, value: str) -> str:
        return self.put("i64", address, offset, value, 8)

    def op_put_int32(self, address: str, offset: str, value: str) -> str:
        return self.put("i32", address, offset, value, 4)

    def op_put_byte(self, address: str, offset: str, value: str) -> str:
        return self.put("i8", address, offset, value, 1)

    def put(self, kind: str, address: str, offset: str, value: str, align: int) -> str:
        text = self.narrow(value, kind)
        self.emit_line(f"store {kind} {text}, ptr {self.pointer(address, offset)}, align {align}")
        return "0"

    def op_stack(self, count: str) -> str:
        if count.isdigit():
            self.count += 1
            made = f"%stack{self.count}"
            self.slots.append(f"  {made} = alloca [{count} x i64], align 16")
        else:
            made = self.emit(f"alloca i64, i64 {count}, align 16")
        return self.emit(f"ptrtoint ptr {made} to i64")

    def op_below(self, left: str, right: str) -> str:
        return self.emit(f"zext i1 {self.emit(f'icmp ult i64 {left}, {right}')} to i64")

    def op_shift_right(self, value: str, count: str) -> str:
        return self.emit(f"lshr i64 {value}, {count}")

    def op_multiply_saturated(self, left: str, right: str) -> str:
        name = self.edges.intrinsic("llvm.smul.with.overflow.i64", "{i64, i1} @llvm.smul.with.overflow.i64(i64, i64)")
        pair = self.emit(f"call {{i64, i1}} {name}(i64 {left}, i64 {right})")
        product = self.emit(f"extractvalue {{i64, i1}} {pair}, 0")
        overflow = self.emit(f"extractvalue {{i64, i1}} {pair}, 1")
        return self.emit(f"select i1 {overflow}, i64 {2**63 - 1}, i64 {product}")

    def op_leading_zeros(self, value: str) -> str:
        name = self.edges.intrinsic("llvm.ctlz.i64", "i64 @llvm.ctlz.i64(i64, i1)")
        return self.emit(f"call i64 {name}(i64 {value}, i1 false)")

    def op_truncate32(self, value: str) -> str:
        return self.widen(self.narrow(value, "i32"), "i32")

    def op_likely(self, value: str) -> str:
        return value

    op_unlikely = op_likely

    def op_call(self, address: str, *operands: str) -> str:
        arguments = ", ".join(f"i64 {o}" for o in operands)
        return self.emit(f"call i64 {self.pointer(address)}({arguments})")

    def op_call_int32(self, address: str, *operands: str) -> str:
        arguments = ", ".join(f"i64 {o}" for o in operands)
        return self.widen(self.emit(f"call i32 {self.pointer(address)}({arguments})"), "i32")

    def op_atomic_load(self, address: str) -> str:
        return self.emit(f"load atomic i64, ptr {self.pointer(address)} seq_cst, align 8")

    def op_atomic_load32(self, address: str) -> str:
        return self.widen(self.emit(f"load atomic i32, ptr {self.pointer(address)} seq_cst, align 4"), "i32")

    def op_atomic_store(self, address: str, value: str) -> str:
        self.emit_line(f"store atomic i64 {value}, ptr {self.pointer(address)} seq_cst, align 8")
        return "0"

    def op_atomic_store32(self, address: str, value: str) -> str:
        text = self.narrow(value, "i32")
        self.emit_line(f"store atomic i32 {text}, ptr {self.pointer(address)} seq_cst, align 4")
        return "0"

    def op_atomic_add32(self, address: str, value: str) -> str:
        text = self.narrow(value, "i32")
        return self.widen(self.emit(f"atomicrmw add ptr {self.pointer(address)}, i32 {text} seq_cst"), "i32")

    def op_compare_swap(self, address: str, expected: str, new: str) -> str:
        return self.exchanged("i64", address, expected, new)

    def op_compare_swap32(self, address: str, expected: str, new: str) -> str:
        return self.exchanged("i32", address, self.narrow(expected, "i32"), self.narrow(new, "i32"))

    def exchanged(self, kind: str, address: str, expected: str, new: str) -> str:
        operands = f"ptr {self.pointer(address)}, {kind} {expected}, {kind} {new}"
        pair = self.emit(f"cmpxchg {operands} seq_cst seq_cst")
        return self.emit(f"zext i1 {self.emit(f'extractvalue {{{kind}, i1}} {pair}, 1')} to i64")

    def op_pause(self) -> str:
        if self.edges.x86:
            self.emit_line(f"call void {self.edges.intrinsic('llvm.x86.sse2.pause', 'void @llvm.x86.sse2.pause()')}()")
        else:
            name = self.edges.intrinsic("llvm.aarch64.hint", "void @llvm.aarch64.hint(i32)")
            self.emit_line(f"call void {name}(i32 1)")
        return "0"

    def op_clock(self) -> str:
        """The time stamp counter; elsewhere LLVM's steady counter, because the cycle counter is privileged on ARM."""
        counter = "llvm.readcyclecounter" if self.edges.x86 else "llvm.readsteadycounter"
        return self.emit(f"call i64 {self.edges.intrinsic(counter, f'i64 @{counter}()')}()")
