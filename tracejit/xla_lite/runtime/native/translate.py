"""Native modules to LLVM text: Python syntax trees of functions on words become one LLVM module.

Flows in:  Python modules written in the vocabulary of `words.py`.
Flows out: LLVM text, the exported names and the names that must be supplied at link time.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tracejit.xla_lite.runtime.native.words import Data, External, Operation

ARITHMETIC = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "ashr", ast.FloorDiv: "sdiv",
}  # fmt: skip
COMPARISON = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}
WEIGHTS = ', !prof !{{!"branch_weights", i32 {}, i32 {}}}'
IS_X86 = os.uname().machine in ("x86_64", "AMD64")


@dataclass(frozen=True, slots=True)
class NativeModule:
    """Translated code and the names at its edges."""

    text: str
    exports: tuple[str, ...]
    imports: tuple[str, ...]


def translate(modules: Iterable[ModuleType]) -> NativeModule:
    """All functions of `modules` as one LLVM module."""
    edges = Edges()
    functions = [text for module in modules for text in _module_functions(module, edges)]
    parts = [*edges.declarations.values(), *functions]
    return NativeModule("\n".join(parts), tuple(edges.exports), tuple(edges.imports))


def _module_functions(module: ModuleType, edges: Edges) -> list[str]:
    path = str(module.__file__)
    tree = ast.parse(Path(path).read_text(encoding="utf8"))
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [Function(node, vars(module), edges, path).text() for node in definitions]


class Edges:
    """What functions need from outside, each declared once."""

    def __init__(self) -> None:
        self.declarations: dict[str, str] = {}
        self.imports: list[str] = []
        self.exports: list[str] = []

    def intrinsic(self, name: str, declaration: str) -> str:
        """Declares an LLVM intrinsic; gives `@name`."""
        self.declarations.setdefault(name, f"declare {declaration}")
        return f"@{name}"

    def function(self, name: str, signature: str) -> None:
        result, parameters = _split_signature(signature)
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


def _split_signature(signature: str) -> tuple[str, list[str]]:
    match = re.fullmatch(r"(\w+)\((.*)\)", signature)
    assert match, signature
    return match[1], [p.strip() for p in match[2].split(",") if p.strip()]


class Function:
    """One function under translation. Locals live in stack slots, which LLVM's sroa pass turns into registers."""

    def __init__(self, node: ast.FunctionDef, names: dict[str, Any], edges: Edges, path: str) -> None:
        self.node, self.names, self.edges, self.path = node, names, edges, path
        self.slots: list[str] = []
        self.lines: list[str] = []
        self.count = 0
        self.loops: list[tuple[str, str]] = []
        self.parameters = [(a.arg, _type_name(a.annotation)) for a in node.args.args]
        self.result = _type_name(node.returns)
        stores = (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        self.locals = dict.fromkeys([name for name, _ in self.parameters] + list(stores))

    def text(self) -> str:
        """The definition."""
        marks = {d.id for d in self.node.decorator_list if isinstance(d, ast.Name)}
        if "export" in marks:
            self.edges.exports.append(self.node.name)
        for name, kind in self.parameters:
            self.emit_line(f"store i64 {self.widen(f'%{name}', kind)}, ptr %slot.{name}")
        self.block(self.node.body)
        self.finish()
        linkage = "" if "export" in marks else "internal "
        attributes = "".join(f" {m}" for m in ("noinline",) if m in marks) + (" alwaysinline" * ("inline" in marks))
        parameters = ", ".join(f"{kind} %{name}" for name, kind in self.parameters)
        slots = [f"  %slot.{name} = alloca i64" for name in self.locals] + self.slots
        head = f"define {linkage}{self.result} @{self.node.name}({parameters}) nounwind{attributes} {{"
        return "\n".join([head, "entry:", *slots, "  br label %start", "start:", *self.lines, "}"])

    def finish(self) -> None:
        """Ends the last block: falling off the end gives nothing, which only functions without a result may."""
        self.emit_line("ret void" if self.result == "void" else f"ret {self.result} 0")

    # -- writing -------------------------------------------------------------------------------------------------

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

    def refuse(self, node: ast.AST, what: str) -> SyntaxError:
        line = getattr(node, "lineno", 0)
        return SyntaxError(f"{self.path}:{line}: {what} is not part of native code")

    # -- statements ----------------------------------------------------------------------------------------------

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            method: Callable[[Any], None] | None = getattr(self, f"do_{type(statement).__name__}", None)
            if method is None:
                raise self.refuse(statement, type(statement).__name__)
            method(statement)

    def do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring otherwise
            self.value(node.value, wanted=False)

    def do_Pass(self, node: ast.Pass) -> None:
        pass

    def do_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.store(target, value)

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        self.store(node.target, self.arithmetic(node.op, self.value(node.target), self.value(node.value), node))

    def store(self, target: ast.expr, value: str) -> None:
        if not isinstance(target, ast.Name):
            raise self.refuse(target, "this assignment")
        self.emit_line(f"store i64 {value}, ptr %slot.{target.id}")

    def do_Return(self, node: ast.Return) -> None:
        if self.result == "void":
            self.emit_line("ret void")
        else:
            assert node.value is not None, self.node.name
            self.emit_line(f"ret {self.result} {self.narrow(self.value(node.value), self.result)}")
        self.label(self.fresh_label())

    def do_If(self, node: ast.If) -> None:
        then, other, done = self.fresh_label(), self.fresh_label(), self.fresh_label()
        self.branch(node.test, then, other)
        self.label(then)
        self.block(node.body)
        self.jump(done)
        self.label(other)
        self.block(node.orelse)
        self.jump(done)
        self.label(done)

    def do_While(self, node: ast.While) -> None:
        test, body, done = self.fresh_label(), self.fresh_label(), self.fresh_label()
        self.jump(test)
        self.label(test)
        self.branch(node.test, body, done)
        self.label(body)
        self.loop_body(node.body, test, done)
        self.jump(test)
        self.label(done)

    def do_For(self, node: ast.For) -> None:
        """`for i in range(stop)` or `range(start, stop)`; the bound is read once."""
        call, target = node.iter, node.target
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
                and isinstance(target, ast.Name) and len(call.args) < 3):  # fmt: skip
            raise self.refuse(node, "a loop over something else than range")
        bounds = [self.value(a) for a in call.args]
        start, stop = bounds if len(bounds) == 2 else ["0", *bounds]
        test, body, step, done = (self.fresh_label() for _ in range(4))
        self.store(target, start)
        self.jump(test)
        self.label(test)
        inside = self.emit(f"icmp slt i64 {self.value(target)}, {stop}")
        self.emit_line(f"br i1 {inside}, label %{body}, label %{done}")
        self.label(body)
        self.loop_body(node.body, step, done)
        self.jump(step)
        self.label(step)
        self.store(target, self.emit(f"add i64 {self.value(target)}, 1"))
        self.jump(test)
        self.label(done)

    def loop_body(self, body: list[ast.stmt], again: str, done: str) -> None:
        self.loops.append((again, done))
        self.block(body)
        self.loops.pop()

    def do_Break(self, node: ast.Break) -> None:
        self.jump(self.loops[-1][1])
        self.label(self.fresh_label())

    def do_Continue(self, node: ast.Continue) -> None:
        self.jump(self.loops[-1][0])
        self.label(self.fresh_label())

    # -- conditions ----------------------------------------------------------------------------------------------

    def branch(self, test: ast.expr, then: str, other: str, weights: str = "") -> None:
        """Jumps to `then` if `test` holds, else to `other`."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.branch(test.operand, other, then)
        if isinstance(test, ast.BoolOp):
            for part in test.values[:-1]:
                rest = self.fresh_label()
                first, second = (rest, other) if isinstance(test.op, ast.And) else (then, rest)
                self.branch(part, first, second, weights)
                self.label(rest)
            return self.branch(test.values[-1], then, other, weights)
        if (hint := self.operation_of(test)) in ("likely", "unlikely"):
            assert isinstance(test, ast.Call)
            odds = (2000, 1) if hint == "likely" else (1, 2000)
            return self.branch(test.args[0], then, other, WEIGHTS.format(*odds))
        self.emit_line(f"br i1 {self.condition(test)}, label %{then}, label %{other}{weights}")
        return None

    def condition(self, node: ast.expr) -> str:
        """An i1."""
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            predicate = COMPARISON[type(node.ops[0])]
            return self.emit(f"icmp {predicate} i64 {self.value(node.left)}, {self.value(node.comparators[0])}")
        return self.emit(f"icmp ne i64 {self.value(node)}, 0")

    # -- values --------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr, wanted: bool = True) -> str:
        """The operand text of an i64."""
        match node:
            case ast.Constant(value=int(number)):
                return str(int(number))
            case ast.Name(id=name):
                return self.name(name, node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.emit(f"sub i64 0, {self.value(operand)}")
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return self.emit(f"xor i64 {self.value(operand)}, -1")
            case ast.BinOp(left=left, op=op, right=right):
                return self.arithmetic(op, self.value(left), self.value(right), node)
            case ast.Call():
                return self.called(node, wanted)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return self.choice(node, "1", "0")
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.choice(test, body, orelse)
        raise self.refuse(node, ast.unparse(node))

    def arithmetic(self, op: ast.operator, left: str, right: str, node: ast.AST) -> str:
        if type(op) not in ARITHMETIC:
            raise self.refuse(node, type(op).__name__)
        return self.emit(f"{ARITHMETIC[type(op)]} i64 {left}, {right}")

    def name(self, name: str, node: ast.AST) -> str:
        """A local, a constant, or the address of a datum or function."""
        if name in self.locals:
            return self.emit(f"load i64, ptr %slot.{name}")
        found = self.names.get(name)
        if isinstance(found, Data):
            self.edges.datum(name, found.words)
        elif isinstance(found, int):
            return str(int(found))
        elif isinstance(found, External):
            self.edges.function(name, found.signature)
        elif not isinstance(found, FunctionType):
            raise self.refuse(node, f"the name {name}")
        return f"ptrtoint (ptr @{name} to i64)"

    def choice(self, test: ast.expr, then: ast.expr | str, other: ast.expr | str) -> str:
        """`then if test else other`, evaluating only what is chosen."""
        self.count += 1
        slot = f"%choice{self.count}"
        self.slots.append(f"  {slot} = alloca i64")
        labels = [self.fresh_label() for _ in range(3)]
        self.branch(test, labels[0], labels[1])
        for label, result in zip(labels, (then, other)):
            self.label(label)
            text = result if isinstance(result, str) else self.value(result)
            self.emit_line(f"store i64 {text}, ptr {slot}")
            self.jump(labels[2])
        self.label(labels[2])
        return self.emit(f"load i64, ptr {slot}")

    # -- calls ---------------------------------------------------------------------------------------------------

    def operation_of(self, node: ast.expr) -> str | None:
        """The name of the operation that `node` calls."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found = self.names.get(node.func.id)
            return found.name if isinstance(found, Operation) else None
        return None

    def called(self, node: ast.Call, wanted: bool) -> str:
        assert isinstance(node.func, ast.Name), ast.unparse(node)
        name = node.func.id
        found = self.names.get(name)
        if isinstance(found, Operation):
            method = getattr(self, f"op_{found.name}")
            return str(method(*(node.args if found.name == "stack" else [self.value(a) for a in node.args])))
        if isinstance(found, External):
            self.edges.function(name, found.signature)
            result, kinds = _split_signature(found.signature)
            variadic = f" ({', '.join(kinds)})" if "..." in kinds else ""
        elif isinstance(found, FunctionType):
            result = _type_name(found.__annotations__.get("return"))
            kinds = [_type_name(found.__annotations__.get(p)) for p in found.__code__.co_varnames]
            variadic = ""
        else:
            raise self.refuse(node, f"a call of {name}")
        kinds = [k for k in kinds if k != "..."] + ["i64"] * (len(node.args) if variadic else 0)
        values = [f"{kind} {self.narrow(self.value(a), kind)}" for kind, a in zip(kinds, node.args)]
        return self.finish_call(result, f"{result}{variadic} @{name}({', '.join(values)})", wanted)

    def finish_call(self, result: str, text: str, wanted: bool) -> str:
        if result == "void":
            self.emit_line(f"call {text}")
            return "0"
        called = self.emit(f"call {text}")
        return self.widen(called, result) if wanted else "0"

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

    # -- operations ----------------------------------------------------------------------------------------------

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

    def op_stack(self, words: ast.expr) -> str:
        count = self.value(words)
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
        if IS_X86:
            self.emit_line(f"call void {self.edges.intrinsic('llvm.x86.sse2.pause', 'void @llvm.x86.sse2.pause()')}()")
        else:
            name = self.edges.intrinsic("llvm.aarch64.hint", "void @llvm.aarch64.hint(i32)")
            self.emit_line(f"call void {name}(i32 1)")
        return "0"

    def op_clock(self) -> str:
        """The time stamp counter; elsewhere LLVM's steady counter, because the cycle counter is privileged on ARM."""
        counter = "llvm.readcyclecounter" if IS_X86 else "llvm.readsteadycounter"
        return self.emit(f"call i64 {self.edges.intrinsic(counter, f'i64 @{counter}()')}()")


def _type_name(annotation: object) -> str:
    """The LLVM type of a parameter or result, from its annotation as a tree or as text."""
    if annotation is None:
        return "i64"
    text = ast.unparse(annotation) if isinstance(annotation, ast.AST) else annotation
    return {"Int32": "i32", "None": "void"}.get(str(text), "i64")
