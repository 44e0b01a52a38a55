"""Scalar functions of values: arithmetic, comparison, selection; every operation for one lane or many.

Flows in:  expressions of the Kernel IR.
Flows out: `Value`s; invariant ones are computed in the outermost place that has their operands.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from tracejit.base.dtypes import BOOL, DType
from tracejit.xla_lite.cpu.emitter_conversions import convert
from tracejit.xla_lite.cpu.places import Places, Value
from tracejit.xla_lite.cpu.target import Target
from tracejit.xla_lite.cpu.text import ModuleText
from tracejit.xla_lite.cpu.types import REGISTER, literal, mangled, vector
from tracejit.xla_lite.cpu.vector_math import Form, emit_integer, emit_math
from tracejit.xla_lite.kernels.elementary.functions import FUNCTIONS
from tracejit.xla_lite.kernels.kernel_ir import Apply, Const, Expr, Load, Name

_INTEGER = {"add": "add", "subtract": "sub", "multiply": "mul", "and": "and", "or": "or", "xor": "xor",
            "shift_left": "shl", "shift_right_logical": "lshr", "shift_right_arithmetic": "ashr"}
_BOOL = {"add": "or", "multiply": "and", "and": "and", "or": "or", "xor": "xor", "minimum": "and", "maximum": "or"}
_FLOAT = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}
_BITS = {"and": "and", "or": "or", "xor": "xor"}
INSTRUCTIONS = {"i": _INTEGER, "u": _INTEGER, "b": _BOOL, "f": _FLOAT}
_SIGNED = {name: f"icmp {name if name in ('eq', 'ne') else 's' + name}"
           for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_UNSIGNED = {name: text.replace(" s", " u") for name, text in _SIGNED.items()}
_ORDERED = {name: f"fcmp {'une' if name == 'ne' else 'o' + name}" for name in _SIGNED}
COMPARISONS = {"i": _SIGNED, "u": _UNSIGNED, "b": _UNSIGNED, "f": _ORDERED}
_INTEGER_FUNCTIONS = frozenset({"floor_divide", "remainder", "power", "gcd"})
_INLINE_USES = 4    # of one elementary function in one kernel; measured by the prototype: then a call costs less


class Expressions(Places, ABC):
    """Evaluates expressions. Loads are the business of the class below this one."""

    def __init__(self, module: ModuleText, target: Target, contract: bool) -> None:
        super().__init__(module, target)
        self.contract = " contract" if contract else ""
        self.loads = 0    # how many loads were emitted: what contains one is never remembered
        self.uses: dict[str, int] = {}

    @abstractmethod
    def load(self, e: Load) -> Value:
        """The element of a buffer."""

    @abstractmethod
    def name(self, e: Name) -> Value:
        """What a name stands for."""

    def value(self, e: Expr) -> Value:
        """The value of an expression, computed once while its place is open."""
        if type(e) is Name:
            return self.names.get(e.name) or self.name(e)
        if type(e) is Const:
            return Value(literal(e.value, e.dtype))
        if type(e) is Load:
            self.loads += 1
            return self.load(e)
        assert type(e) is Apply
        if (found := self.memo.get(id(e))) is not None:
            return found[1]
        before = self.loads
        value = self.apply(e)
        return value if self.loads != before else self.remember(id(e), value, e)

    def apply(self, e: Apply) -> Value:
        """One function of values."""
        dtype = e.args[0].dtype
        fn = e.fn
        if (instruction := INSTRUCTIONS[dtype.kind].get(fn)) is not None:
            if dtype.kind == "f" and fn not in _BITS:
                instruction += self.contract if fn != "divide" else ""
            return self.binary(instruction, dtype, *map(self.value, e.args))
        if (instruction := COMPARISONS[dtype.kind].get(fn)) is not None:
            return self.binary(instruction, dtype, *map(self.value, e.args))
        if (handler := _HANDLERS.get(fn)) is not None:
            return handler(self, e, dtype, [self.value(x) for x in e.args])
        return self.elementary(e, dtype, [self.value(x) for x in e.args])

    def binary(self, instruction: str, dtype: DType, x: Value, y: Value) -> Value:
        """An instruction of two operands of one type."""
        scalar = REGISTER[dtype.name]
        lanes = x.lanes
        if lanes != y.lanes:
            lanes = max(lanes, y.lanes)
            x, y = self.splat(x, scalar, lanes), self.splat(y, scalar, lanes)
        depth = max(x.depth, y.depth, self.floor)
        return self.at(depth, lanes, f"{instruction} {vector(scalar, lanes)} {x.text}, {y.text}")

    def spread(self, scalar: str, values: list[Value]) -> tuple[list[Value], int, int]:
        """Operands of one type brought to the same lanes; the lanes; the depth."""
        lanes = max([v.lanes for v in values])
        depth = max([v.depth for v in values] + [self.floor])
        return [self.splat(v, scalar, lanes) for v in values], lanes, depth

    def unary(self, instruction: str, dtype: DType, x: Value, more: str = "") -> Value:
        """An instruction of one operand; `more` follows it."""
        kind = vector(REGISTER[dtype.name], x.lanes)
        return self.at(max(x.depth, self.floor), x.lanes, f"{instruction} {kind} {x.text}{more}")

    def intrinsic(self, name: str, dtype: DType, values: list[Value]) -> Value:
        """llvm.`name` of operands of one type, which is its result type as well."""
        scalar = REGISTER[dtype.name]
        values, lanes, depth = self.spread(scalar, values)
        kind, full = vector(scalar, lanes), f"llvm.{name}.{mangled(scalar, lanes)}"
        self.module.declare(full, kind, ", ".join([kind] * len(values)))
        arguments = ", ".join([f"{kind} {v.text}" for v in values])
        return self.at(depth, lanes, f"call {kind} @{full}({arguments})")

    def select(self, dtype: DType, condition: Value, x: Value, y: Value) -> Value:
        """x where the condition holds, else y."""
        if x.text == y.text:
            return x
        scalar = REGISTER[dtype.name]
        (x, y), lanes, depth = self.spread(scalar, [x, y])
        if condition.lanes > lanes:
            lanes = condition.lanes
            x, y = self.splat(x, scalar, lanes), self.splat(y, scalar, lanes)
        kind = vector(scalar, lanes)
        mask = vector("i1", condition.lanes)
        return self.at(max(depth, condition.depth), lanes,
                       f"select {mask} {condition.text}, {kind} {x.text}, {kind} {y.text}")

    def both(self, x: Value | None, y: Value) -> Value:
        """The conjunction of two masks; None is all lanes."""
        return y if x is None else self.binary("and", BOOL, x, y)

    def elementary(self, e: Apply, dtype: DType, values: list[Value]) -> Value:
        """A function which `vector_math` knows: inline for the first few uses in a kernel, then by call."""
        values, lanes, depth = self.spread(REGISTER[dtype.name], values)
        texts = tuple(v.text for v in values)
        here = self.enter(depth)
        if e.fn in _INTEGER_FUNCTIONS and dtype.is_integer:
            text = emit_integer(self.body, e.fn, dtype, lanes, texts)    # never traps
        else:
            text = emit_math(self.body, e.fn, dtype, lanes, texts, self.form_of_use(e.fn, dtype))
        self.leave(depth, here)
        return Value(text, lanes, depth)

    def form_of_use(self, fn: str, dtype: DType) -> Form:
        """Counts the uses of an elementary function in this kernel."""
        key = f"{fn}.{dtype.name}"
        self.uses[key] = count = self.uses.get(key, 0) + 1
        return "inline" if count <= (1 if FUNCTIONS[fn].long else _INLINE_USES) else "call"


Handler = Callable[[Expressions, Apply, DType, list[Value]], Value]


def _negate(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    if dtype.is_float:
        return b.unary("fneg", dtype, values[0])
    return b.binary("sub", dtype, Value("0"), values[0])


def _not(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    return b.binary("xor", dtype, values[0], Value("true" if dtype is BOOL else "-1"))


def _fma(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    return b.intrinsic("fma", dtype, values)


def _select(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    return b.select(e.dtype, *values)


def _extremum(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    sign = "s" if dtype.is_signed else "u"
    return b.intrinsic(f"{sign}{e.fn[:3]}", dtype, values)


def _native(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    """Functions that are one instruction of every vector unit."""
    if e.fn != "abs" or dtype.is_float:
        return b.intrinsic(_NATIVE[e.fn], dtype, values)
    if not dtype.is_signed:
        return values[0]
    return b.intrinsic("smax", dtype, [values[0], b.binary("sub", dtype, Value("0"), values[0])])


def _convert(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    depth = max(values[0].depth, b.floor)
    here = b.enter(depth)
    text = convert(b.body, values[0].text, dtype, e.dtype, values[0].lanes)
    b.leave(depth, here)
    return Value(text, values[0].lanes, depth)


def _bitcast(b: Expressions, e: Apply, dtype: DType, values: list[Value]) -> Value:
    """Same width; a bool is 0 or 1 in eight bits."""
    source, result = REGISTER[dtype.name], REGISTER[e.dtype.name]
    x = values[0]
    if source == result:
        return x
    if dtype is BOOL:
        return b.unary("zext", dtype, x, f" to {vector(result, x.lanes)}")
    if e.dtype is BOOL:
        return b.binary("icmp ne", dtype, x, Value("0"))
    return b.unary("bitcast", dtype, x, f" to {vector(result, x.lanes)}")


_NATIVE = {"sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "rint": "roundeven", "trunc": "trunc", "abs": "fabs",
           "copysign": "copysign", "popcount": "ctpop"}
_HANDLERS: dict[str, Handler] = {    # fixed table
    "negate": _negate, "not": _not, "fma": _fma, "select": _select, "minimum": _extremum, "maximum": _extremum,
    "convert": _convert, "bitcast": _bitcast, **dict.fromkeys(_NATIVE, _native)}
