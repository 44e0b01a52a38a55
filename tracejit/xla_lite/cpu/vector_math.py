"""Elementary functions as LLVM IR: the text backend of the elementary builder.

Flows in: a function under construction (`Body`), the name of an elementary function, SSA names of operands.
Flows out: the SSA name of the result; what the function needs is added to the module.

No call of a math library is ever emitted and no fast-math flag set: the algorithms rest on every rounding.
AVX-512 operations are padded or split to the register widths that exist, so any number of lanes works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from tracejit.base.dtypes import DType
from tracejit.xla_lite.cpu.integer_math import emit_integer as emit_integer
from tracejit.xla_lite.cpu.text import (
    Body,
    ModuleText,
    VectorFeatures,
    float_literal,
    metadata_weights,
    splat,
    vector_type,
)
from tracejit.xla_lite.kernels.elementary.builder import F32, F64, Builder, FloatType, Kind, Table, Value
from tracejit.xla_lite.kernels.elementary.functions import FUNCTIONS
from tracejit.xla_lite.kernels.elementary.power import powi

Form = Literal["inline", "call"]
RARE = metadata_weights(1, 2000)
MAGIC_BITS = F64.to_bits(F64.magic)

_BINARY = {
    "fadd": ("fadd", "f"),
    "fsub": ("fsub", "f"),
    "fmul": ("fmul", "f"),
    "fdiv": ("fdiv", "f"),
    "iadd": ("add", "i"),
    "isub": ("sub", "i"),
    "imul": ("mul", "i"),
    "iand": ("and", "i"),
    "ior": ("or", "i"),
    "ixor": ("xor", "i"),
    "ishl": ("shl", "i"),
    "ilshr": ("lshr", "i"),
    "iashr": ("ashr", "i"),
    "mand": ("and", "m"),
    "mor": ("or", "m"),
    "mxor": ("xor", "m"),
    "flt": ("fcmp olt", "f"),
    "fle": ("fcmp ole", "f"),
    "fgt": ("fcmp ogt", "f"),
    "fge": ("fcmp oge", "f"),
    "feq": ("fcmp oeq", "f"),
    "fne": ("fcmp une", "f"),
    "ilt": ("icmp slt", "i"),
    "ile": ("icmp sle", "i"),
    "igt": ("icmp sgt", "i"),
    "ige": ("icmp sge", "i"),
    "ieq": ("icmp eq", "i"),
    "ine": ("icmp ne", "i"),
}
_INTRINSICS = {
    "fsqrt": "sqrt",
    "fabs": "fabs",
    "ffloor": "floor",
    "ftrunc": "trunc",
    "frint": "rint",
    "fma": "fma",
}
_SELECTS: dict[str, Kind] = {"fselect": "f", "iselect": "i", "mselect": "m"}


def scalar_name(type: FloatType) -> str:
    """`float` or `double`."""
    return "float" if type.bits == 32 else "double"


def mangled(type: FloatType, lanes: int) -> str:
    """Suffix of an overloaded intrinsic: `v8f32`, or `f32` for one lane."""
    return f"v{lanes}{type}" if lanes > 1 else str(type)


class TextBuilder(Builder):
    """The builder whose handles are SSA names and constants in the body of a function."""

    def __init__(self, body: Body, type: FloatType, lanes: int) -> None:
        self.body = body
        self.type = type
        self.lanes = lanes
        features = body.module.features
        self.wide = features.avx512 and features.vector_bits >= 512  # tables live in 512-bit registers
        self._converts_i64 = features.avx512
        self._twin: TextBuilder | None = None
        self._scalar = scalar_name(type)
        self._types = {
            "f": vector_type(self._scalar, lanes),
            "i": vector_type(f"i{type.bits}", lanes),
            "m": vector_type("i1", lanes),
        }
        self._prefixes = {name: f"{word} {self._types[kind]} " for name, (word, kind) in _BINARY.items()}

    def type_of(self, kind: Kind) -> str:
        """The LLVM type of a kind of value."""
        return self._types[kind]

    def op(self, name: str, *handles: Any) -> str:
        prefix = self._prefixes.get(name)
        if prefix is not None:
            return self.body.emit(f"{prefix}{handles[0]}, {handles[1]}")
        intrinsic = _INTRINSICS.get(name)
        if intrinsic is not None:
            return self._intrinsic(intrinsic, handles)
        kind = _SELECTS.get(name)
        if kind is not None:
            t = self._types[kind]
            return self.body.emit(f"select {self._types['m']} {handles[0]}, {t} {handles[1]}, {t} {handles[2]}")
        return _RARER[name](self, *handles)

    def _intrinsic(self, name: str, handles: tuple[str, ...]) -> str:
        t = self._types["f"]
        full = f"llvm.{name}.{mangled(self.type, self.lanes)}"
        self.body.module.declare(full, t, ", ".join([t] * len(handles)))
        arguments = ", ".join([f"{t} {handle}" for handle in handles])
        return self.body.emit(f"call {t} @{full}({arguments})")

    def negate(self, x: str) -> str:
        """-x of floats."""
        return self.body.emit(f"fneg {self._types['f']} {x}")

    def invert(self, mask: str) -> str:
        """Complement of a mask."""
        return self.body.emit(f"xor {self._types['m']} {mask}, {splat('i1', 'true', self.lanes)}")

    def bits_of(self, x: str) -> str:
        """Float to bits."""
        return self.body.emit(f"bitcast {self._types['f']} {x} to {self._types['i']}")

    def of_bits(self, x: str) -> str:
        """Bits to float."""
        return self.body.emit(f"bitcast {self._types['i']} {x} to {self._types['f']}")

    def int_to_float(self, x: str) -> str:
        """Conversion; where there is no instruction for i64, x is added to the bits of 1.5 2^52 (|x| < 2^51)."""
        if self.type is F32 or self._converts_i64:
            return self.body.emit(f"sitofp {self._types['i']} {x} to {self._types['f']}")
        biased = self.op("iadd", x, self.int_const(MAGIC_BITS).handle)
        return self.op("fsub", self.of_bits(biased), self.const(F64.magic).handle)

    def const(self, x: float) -> Value:
        literal = float_literal(self.type.round(float(x)))
        return Value(self, splat(self._scalar, literal, self.lanes), "f")

    def int_const(self, n: int) -> Value:
        return Value(self, splat(f"i{self.type.bits}", str(n), self.lanes), "i")

    def twin(self) -> TextBuilder:
        if self._twin is None:
            self._twin = TextBuilder(self.body, F64 if self.type is F32 else F32, self.lanes)
            self._twin._twin = self
        return self._twin

    def _convert(self, x: Value, words: tuple[str, str]) -> Value:
        other = self.twin()
        word = words[0] if x.kind == "f" else words[1]
        text = f"{word} {self._types[x.kind]} {x.handle} to {other._types[x.kind]}"
        return Value(other, self.body.emit(text), x.kind)

    def widen(self, x: Value) -> Value:
        return self._convert(x, ("fpext", "sext"))

    def narrow(self, x: Value) -> Value:
        return self._convert(x, ("fptrunc", "trunc"))

    def _table(self, table: Table) -> str:
        literals = [float_literal(self.type.round(value)) for value in table[1]]
        return self.body.module.table(f"tj_table_{table[0]}_{self.type}", self._scalar, literals)

    def gather(self, table: Table, index: Value) -> Value:
        body, lanes, scalar = self.body, self.lanes, self._scalar
        place = f"[{len(table[1])} x {scalar}], ptr {self._table(table)}, i64 0, {self._types['i']} {index.handle}"
        pointers = body.emit(f"getelementptr inbounds {place}")
        if lanes == 1:
            return Value(self, body.emit(f"load {scalar}, ptr {pointers}"), "f")
        t, mask = self._types["f"], self._types["m"]
        name = f"llvm.masked.gather.{mangled(self.type, lanes)}.v{lanes}p0"
        kinds = (f"<{lanes} x ptr>", "i32", mask, t)
        values = (pointers, str(self.type.bits // 8), splat("i1", "true", lanes), "poison")
        return Value(self, body.intrinsic(t, name, kinds, values), "f")

    def lookup(self, table: Table, index: Value) -> Value:
        scalar, bits = self._scalar, self.type.bits
        items = [f"{scalar} {float_literal(self.type.round(value))}" for value in table[1]]
        if bits == 32:
            literal = f"<{', '.join(items)}>"

            def permute(idx: str) -> str:
                kinds = ("<16 x float>", "<16 x i32>")
                return self.body.intrinsic(kinds[0], "llvm.x86.avx512.permvar.sf.512", kinds, (literal, idx))

        else:
            low, high = f"<{', '.join(items[:8])}>", f"<{', '.join(items[8:])}>"

            def permute(idx: str) -> str:
                kinds = ("<8 x double>", "<8 x i64>", "<8 x double>")
                name = "llvm.x86.avx512.vpermi2var.pd.512"
                return self.body.intrinsic(kinds[0], name, kinds, (low, idx, high))

        return Value(self, _by_registers(self, (("i", index.handle),), (512 // bits,), lambda n, v: permute(v[0])), "f")

    def if_any(
        self, mask: Value, slow: Callable[[], tuple[Value, ...]], fast: tuple[Value, ...]
    ) -> tuple[Value, ...]:
        body = self.body
        some = body.any_lane(mask.handle, self.lanes)
        rare, join = body.fresh_label("rare"), body.fresh_label("join")
        body.branch_if(some, rare, join, RARE)
        head = body.block
        body.label(rare)
        mixed = [self.select(mask, s, f) for s, f in zip(slow(), fast, strict=True)]
        tail = body.block
        body.branch(join)
        body.label(join)
        results = []
        for f, s in zip(fast, mixed, strict=True):
            phi = f"phi {self._types[f.kind]} [ {f.handle}, %{head} ], [ {s.handle}, %{tail} ]"
            results.append(Value(self, body.emit(phi), f.kind))
        return tuple(results)

    def while_any(
        self,
        condition: Callable[..., Value],
        step: Callable[..., tuple[Value, ...]],
        state: tuple[Value, ...],
    ) -> tuple[Value, ...]:
        body = self.body
        head, inside, done = body.fresh_label("while"), body.fresh_label("do"), body.fresh_label("done")
        before = body.block
        body.branch(head)
        body.label(head)
        place = body.hole()
        current = tuple(Value(self, body.fresh(), v.kind) for v in state)
        active = condition(*current)
        body.branch_if(body.any_lane(active.handle, self.lanes), inside, done)
        body.label(inside)
        following = [self.select(active, n, o) for n, o in zip(step(*current), current, strict=True)]
        tail = body.block
        body.branch(head)
        body.fill(
            place,
            [
                f"{c.handle} = phi {self._types[c.kind]} [ {s.handle}, %{before} ], [ {f.handle}, %{tail} ]"
                for c, s, f in zip(current, state, following, strict=True)
            ],
        )
        body.label(done)
        return current

    def outlined(self, name: str, function: Callable[..., tuple[Value, ...]], *arguments: Value) -> tuple[Value, ...]:
        return call_shared(self, name, function, arguments, "noinline cold")


def _native_suffix(type: FloatType, lanes: int) -> str:
    return f"{'ps' if type is F32 else 'pd'}.{lanes * type.bits}"


def _by_registers(
    b: TextBuilder,
    operands: tuple[tuple[Kind, str], ...],
    widths: tuple[int, ...],
    emit: Callable[[int, tuple[str, ...]], str],
) -> str:
    """emit(lanes, operands) on vectors of one of the `widths` (ascending), padded or split; a float vector."""
    body, lanes = b.body, b.lanes
    if lanes in widths:
        return emit(lanes, tuple(value for _, value in operands))
    if lanes < widths[-1]:
        width = next(w for w in widths if w > lanes)
        padded = tuple(_padded(b, kind, value, width) for kind, value in operands)
        result = emit(width, padded)
        scalar = scalar_name(b.type)
        if lanes == 1:
            return body.emit(f"extractelement <{width} x {scalar}> {result}, i64 0")
        return _shuffle(body, f"<{width} x {scalar}>", result, "poison", range(lanes))
    width = widths[-1]
    assert lanes % width == 0, f"{lanes} lanes are no multiple of {width}"
    chunks = []
    for start in range(0, lanes, width):
        part = tuple(
            _shuffle(body, b.type_of(kind), value, "poison", range(start, start + width)) for kind, value in operands
        )
        chunks.append(emit(width, part))
    return _concatenated(body, scalar_name(b.type), width, chunks)


def _concatenated(body: Body, scalar: str, width: int, chunks: list[str]) -> str:
    while len(chunks) > 1:
        pairs = zip(chunks[::2], chunks[1::2], strict=True)
        chunks = [_shuffle(body, f"<{width} x {scalar}>", x, y, range(2 * width)) for x, y in pairs]
        width *= 2
    return chunks[0]


def _padded(b: TextBuilder, kind: Kind, value: str, width: int) -> str:
    if b.lanes == 1:
        t = b.type_of(kind)
        return b.body.emit(f"insertelement <{width} x {t}> poison, {t} {value}, i64 0")
    return _shuffle(b.body, b.type_of(kind), value, "poison", [*range(b.lanes), *[-1] * (width - b.lanes)])


def _shuffle(body: Body, vector: str, x: str, y: str, lanes: Any) -> str:
    items = [f"i32 {lane}" if lane >= 0 else "i32 poison" for lane in lanes]
    mask = f"<{len(items)} x i32> <{', '.join(items)}>"
    return body.emit(f"shufflevector {vector} {x}, {vector} {y}, {mask}")


def _masked_native(b: TextBuilder, name: str, handles: tuple[str, ...], extra: tuple[str, ...] = ()) -> str:
    """The AVX-512 intrinsic `name` with all lanes on, for any number of lanes."""

    def emit(lanes: int, values: tuple[str, ...]) -> str:
        t = f"<{lanes} x {scalar_name(b.type)}>"
        mask = f"i{max(lanes, 8)}"
        kinds = (*[t] * len(values), *["i32"] * len(extra), t, mask)
        arguments = (*values, *extra, "zeroinitializer", "-1")
        if lanes * b.type.bits == 512:  # the widest form also takes a rounding mode; 4: the current one
            kinds, arguments = (*kinds, "i32"), (*arguments, "4")
        full = f"llvm.x86.avx512.mask.{name}.{_native_suffix(b.type, lanes)}"
        return b.body.intrinsic(t, full, kinds, arguments)

    widths = tuple(n // b.type.bits for n in (128, 256, 512))
    return _by_registers(b, tuple(("f", h) for h in handles), widths, emit)


GETMANT_0_75_TO_1_5_NAN_BELOW_0 = "15"

# Written here, read by TextBuilder.op: the primitives that are not one plain instruction.
_RARER: dict[str, Callable[..., str]] = {
    "fneg": TextBuilder.negate,
    "mnot": TextBuilder.invert,
    "f2bits": TextBuilder.bits_of,
    "bits2f": TextBuilder.of_bits,
    "i2f": TextBuilder.int_to_float,
    "scale": lambda b, x, n: _masked_native(b, "scalef", (x, n)),
    "exponent": lambda b, x: _masked_native(b, "getexp", (x,)),
    "significand": lambda b, x: _masked_native(b, "getmant", (x,), (GETMANT_0_75_TO_1_5_NAN_BELOW_0,)),
}


def call_shared(
    b: TextBuilder,
    name: str,
    function: Callable[..., Value | tuple[Value, ...]],
    arguments: tuple[Value, ...],
    attributes: str,
) -> tuple[Value, ...]:
    """Calls function(b, *arguments) as an internal function, shared by the module and defined at the first use."""
    module = b.body.module
    symbol = f"tj_{name}_{mangled(b.type, b.lanes)}"
    if module.reserve(symbol):
        _define_shared(b, symbol, function, tuple(a.kind for a in arguments), attributes)
    kinds: tuple[Kind, ...] = module.results[symbol]
    result = _result_type(b, kinds)
    pairs = [(b.type_of(a.kind), a.handle) for a in arguments]
    value = b.body.call(result, symbol, pairs, "fastcc")
    if len(kinds) == 1:
        return (Value(b, value, kinds[0]),)
    return tuple(Value(b, b.body.emit(f"extractvalue {result} {value}, {i}"), kind) for i, kind in enumerate(kinds))


def _result_type(b: TextBuilder, kinds: tuple[Kind, ...]) -> str:
    types = [b.type_of(kind) for kind in kinds]
    return types[0] if len(types) == 1 else f"{{ {', '.join(types)} }}"


def _define_shared(
    b: TextBuilder, symbol: str, function: Callable[..., Any], kinds: tuple[Kind, ...], attributes: str
) -> None:
    body = Body(b.body.module)
    inner = TextBuilder(body, b.type, b.lanes)
    out = function(inner, *[Value(inner, f"%a{i}", kind) for i, kind in enumerate(kinds)])
    results: tuple[Value, ...] = out if isinstance(out, tuple) else (out,)
    result_kinds = tuple(r.kind for r in results)
    body.module.results[symbol] = result_kinds
    result = _result_type(inner, result_kinds)
    value = results[0].handle
    if len(results) > 1:
        value = "poison"
        for i, r in enumerate(results):
            value = body.emit(f"insertvalue {result} {value}, {inner.type_of(r.kind)} {r.handle}, {i}")
    body.line(f"ret {result} {value}")
    parameters = ", ".join(f"{inner.type_of(kind)} %a{i}" for i, kind in enumerate(kinds))
    b.body.module.define(symbol, result, parameters, body, "internal fastcc", f"memory(none) {attributes}")


# Marks in the text of a template; no name of LLVM's can contain them.
UNIQUE, ENTRY, OPERANDS = "\x00", "\x01", ("\x02", "\x03")


class _TemplateBody(Body):
    """A body whose names and labels hold a mark, to be replaced wherever the template is pasted."""

    def fresh_label(self, hint: str = "b") -> str:
        return super().fresh_label(hint + UNIQUE)


@dataclass(frozen=True, slots=True)
class _Template:
    """The text of one use of a function, its results, its last block (empty: the first) and what it needs."""

    text: str
    results: tuple[str, ...]
    last_block: str
    needs: ModuleText


@lru_cache(maxsize=1024)
def _template(name: str, bits: int, lanes: int, form: Form, features: VectorFeatures) -> _Template:
    """Emits a function once; later uses only replace names, which is a hundred times faster."""
    entry = FUNCTIONS[name]
    body = _TemplateBody(ModuleText(features))
    body.block = ENTRY
    b = TextBuilder(body, F32 if bits == 32 else F64, lanes)
    values = [Value(b, operand, "f") for operand in OPERANDS[: entry.operands]]
    for i in entry.integers:
        text = f"sitofp {vector_type('i32', lanes)} {OPERANDS[i]} to {b.type_of('f')}"
        values[i] = Value(b, body.emit(text), "f")
    if form == "call":
        out: tuple[Value, ...] = call_shared(b, name, entry.function, tuple(values), "noinline")
    else:
        result = entry.function(b, *values)
        out = result if isinstance(result, tuple) else (result,)
    mark = "%" + UNIQUE
    last_block = "" if body.block == ENTRY else body.block
    results = tuple(value.handle.replace("%v", mark) for value in out)
    return _Template("\n".join(body.lines).replace("%v", mark), results, last_block, body.module)


def emit_math_results(
    body: Body, name: str, dtype: DType, lanes: int, operands: Sequence[str], form: Form = "inline"
) -> list[str]:
    """Emits the elementary function `name`; the SSA names of its results (sincos, frexp, modf have two).

    operands: SSA names or constants of `float` / `double`, in `<lanes x ...>` for more than one lane; the second
    operand of ldexp is i32.
    form: "inline" emits the operations here, "call" calls one internal function shared by the module.
    """
    template = _template(name, dtype.bits, lanes, form, body.module.features)
    body.module.adopt(template.needs)
    unique = body.fresh_label("m") + "_"

    def here(text: str) -> str:
        text = text.replace(UNIQUE, unique).replace(ENTRY, body.block)
        for mark, operand in zip(OPERANDS, operands, strict=False):
            text = text.replace(mark, operand)
        return text

    results = [here(result) for result in template.results]
    body.paste(here(template.text), template.last_block.replace(UNIQUE, unique))
    return results


def emit_math(
    body: Body, name: str, dtype: DType, lanes: int, operands: Sequence[str], form: Form = "inline"
) -> str:
    """The same for functions with one result."""
    (result,) = emit_math_results(body, name, dtype, lanes, operands, form)
    return result


def emit_integer_power(body: Body, dtype: DType, lanes: int, operand: str, exponent: int) -> str:
    """operand ** exponent for floats and a fixed integer."""
    b = TextBuilder(body, F32 if dtype.bits == 32 else F64, lanes)
    return str(powi(b, Value(b, operand, "f"), exponent).handle)
