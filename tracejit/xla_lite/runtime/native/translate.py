"""Native modules to LLVM text: Python syntax trees of functions on words become one LLVM module.

Flows in:  Python modules written in the vocabulary of `words.py`.
Flows out: LLVM text, the exported names and the names that must be supplied at link time.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tracejit.xla_lite.runtime.native.operations import Edges, Operations, split_signature
from tracejit.xla_lite.runtime.native.words import Data, External, Operation

ARITHMETIC = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "ashr", ast.FloorDiv: "sdiv",
}  # fmt: skip
COMPARISON = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}
WEIGHTS = ', !prof !{{!"branch_weights", i32 {}, i32 {}}}'
X86 = ("x86_64", "AMD64")


@dataclass(frozen=True, slots=True)
class NativeModule:
    """Translated code and the names at its edges."""

    text: str
    exports: tuple[str, ...]
    imports: tuple[str, ...]


def translate(modules: Iterable[ModuleType], machine: str = os.uname().machine) -> NativeModule:
    """All functions of `modules` as one LLVM module for a kind of processor."""
    edges = Edges(x86=machine in X86)
    functions = [text for module in modules for text in _module_functions(module, edges)]
    parts = [*edges.declarations.values(), *functions]
    return NativeModule("\n".join(parts), tuple(edges.exports), tuple(edges.imports))


def _module_functions(module: ModuleType, edges: Edges) -> list[str]:
    path = str(module.__file__)
    tree = ast.parse(Path(path).read_text(encoding="utf8"))
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [Function(node, vars(module), edges, path).text() for node in definitions]


class Function(Operations):
    """One function under translation. Locals live in stack slots, which LLVM's sroa pass turns into registers."""

    def __init__(self, node: ast.FunctionDef, names: dict[str, Any], edges: Edges, path: str) -> None:
        super().__init__(edges)
        self.node, self.names, self.path = node, names, path
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
            return str(getattr(self, f"op_{found.name}")(*[self.value(a) for a in node.args]))
        if isinstance(found, External):
            self.edges.function(name, found.signature)
            result, kinds = split_signature(found.signature)
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


def _type_name(annotation: object) -> str:
    """The LLVM type of a parameter or result, from its annotation as a tree or as text."""
    if annotation is None:
        return "i64"
    text = ast.unparse(annotation) if isinstance(annotation, ast.AST) else annotation
    return {"Int32": "i32", "None": "void"}.get(str(text), "i64")
