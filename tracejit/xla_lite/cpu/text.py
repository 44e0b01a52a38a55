"""LLVM IR as text under construction: a module, and the body of one function in it.

Flows in: lines of LLVM IR and requests for shared things (declarations, tables, outlined functions).
Flows out: the text of a whole module, for `llvmlite.binding.parse_assembly`.

Everything is a Python string: SSA names keep their `%`, constants print as LLVM wants them. Compile time
is counted in milliseconds here, so nothing in this file parses text or keeps an instruction object.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class VectorFeatures:
    """What the vector unit can do, as far as the text depends on it.

    avx512: the x86 extensions F, BW, DQ and VL are all there, for every width up to `vector_bits`.
    """

    vector_bits: int = 256
    avx512: bool = False


def vector_type(scalar: str, lanes: int) -> str:
    """`float` for one lane, `<8 x float>` for eight."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def splat(scalar: str, literal: str, lanes: int) -> str:
    """The constant `literal` in every lane."""
    return literal if lanes == 1 else f"splat ({scalar} {literal})"


def float_literal(value: float) -> str:
    """The double nearest to `value` in LLVM's hexadecimal form, exact also for infinities and NaN.

    LLVM writes float constants as doubles too; the caller rounds to float first.
    """
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def metadata_weights(taken: int, other: int) -> str:
    """Suffix of a conditional branch which says how often it is taken."""
    return f', !prof !{{!"branch_weights", i32 {taken}, i32 {other}}}'


@dataclass(slots=True)
class ModuleText:
    """The parts of a module, each kept once under its name and printed in the order of first use.

    attributes: what every function of the module carries, for example `"prefer-vector-width"="512"`.
    """

    features: VectorFeatures = field(default_factory=VectorFeatures)
    attributes: str = ""
    header: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    results: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # kinds of results, for who shares functions

    def declare(self, name: str, result: str, parameters: str) -> None:
        """Declares the function `@name` once; later calls with the same name do nothing."""
        if name not in self.declarations:
            self.declarations[name] = f"declare {result} @{name}({parameters})"

    def table(self, name: str, scalar: str, literals: Iterable[str]) -> str:
        """A constant array of `scalar`, shared under its name. Returns `@name`."""
        if name not in self.tables:
            items = [f"{scalar} {literal}" for literal in literals]
            self.tables[name] = (
                f"@{name} = internal unnamed_addr constant [{len(items)} x {scalar}] [{', '.join(items)}], align 64"
            )
        return f"@{name}"

    def reserve(self, name: str) -> bool:
        """True for whoever asks first, and so has to define the function `name`.

        The place is taken at once: a function may be asked for again while its body is being written.
        """
        if name in self.functions:
            return False
        self.functions[name] = ""
        return True

    def define(
        self, name: str, result: str, parameters: str, body: Body, linkage: str = "", attributes: str = ""
    ) -> None:
        """Adds `define <linkage> <result> @name(<parameters>) <attributes> { body }`."""
        text = "\n".join(body.lines)
        head = f"define {linkage} {result} @{name}({parameters}) {attributes} #0"
        self.functions[name] = f"{head} {{\nentry:\n{text}\n}}"

    def adopt(self, other: ModuleText) -> None:
        """Takes over what another module holds and this one lacks."""
        for mine, theirs in (
            (self.declarations, other.declarations),
            (self.tables, other.tables),
            (self.functions, other.functions),
        ):
            for name, text in theirs.items():
                mine.setdefault(name, text)

    def text(self) -> str:
        """The whole module."""
        group = f"attributes #0 = {{ nounwind {self.attributes} }}"
        return "\n".join(
            [*self.header, *self.tables.values(), *self.declarations.values(), *self.functions.values(), group, ""]
        )


class Body:
    """The lines of one function, fresh names for it, and the label of the block being written.

    The first block is `entry`. `block` is kept right by `label`; phi nodes need it.
    """

    __slots__ = ("_count", "block", "lines", "module")

    def __init__(self, module: ModuleText) -> None:
        self.module = module
        self.lines: list[str] = []
        self.block = "entry"
        self._count = 0

    def fresh(self) -> str:
        """A new SSA name, with its `%`."""
        self._count += 1
        return f"%v{self._count}"

    def fresh_label(self, hint: str = "b") -> str:
        """A new block label, without a `%`."""
        self._count += 1
        return f"{hint}{self._count}"

    def emit(self, instruction: str) -> str:
        """Appends `%v = instruction` and returns `%v`."""
        self._count = count = self._count + 1
        self.lines.append(f"  %v{count} = {instruction}")
        return f"%v{count}"

    def line(self, instruction: str) -> None:
        """Appends an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def label(self, name: str) -> None:
        """Begins the block `name`; the block before must have ended in a terminator."""
        self.lines.append(f"{name}:")
        self.block = name

    def branch(self, target: str) -> None:
        """Ends the block with a jump."""
        self.lines.append(f"  br label %{target}")

    def branch_if(self, condition: str, then: str, other: str, weights: str = "") -> None:
        """Ends the block with a jump to `then` if the i1 `condition` holds, else to `other`."""
        self.lines.append(f"  br i1 {condition}, label %{then}, label %{other}{weights}")

    def hole(self) -> int:
        """Keeps a place at the end of the lines for text which is not known yet (phi nodes of a loop)."""
        self.lines.append("")
        return len(self.lines) - 1

    def fill(self, hole: int, instructions: Iterable[str]) -> None:
        """Puts instructions, results included, into a place kept by `hole`."""
        self.lines[hole] = "\n".join([f"  {instruction}" for instruction in instructions])

    def paste(self, text: str, last_block: str) -> None:
        """Appends ready lines which end in the block `last_block` (empty: in the present one)."""
        self.lines.append(text)
        if last_block:
            self.block = last_block

    def any_lane(self, mask: str, lanes: int) -> str:
        """An i1: whether any lane of the `<lanes x i1>` is set."""
        if lanes == 1:
            return mask
        whole = self.emit(f"bitcast <{lanes} x i1> {mask} to i{lanes}")
        return self.emit(f"icmp ne i{lanes} {whole}, 0")

    def call(self, result: str, name: str, arguments: Iterable[tuple[str, str]], convention: str = "") -> str:
        """Calls `@name` with (type, value) pairs; declares or defines nothing."""
        text = ", ".join([f"{kind} {value}" for kind, value in arguments])
        return self.emit(f"call {convention} {result} @{name}({text})")

    def intrinsic(self, result: str, name: str, kinds: tuple[str, ...], values: tuple[str, ...]) -> str:
        """Declares the intrinsic `@name` if needed and calls it."""
        self.module.declare(name, result, ", ".join(kinds))
        return self.call(result, name, zip(kinds, values, strict=True))
