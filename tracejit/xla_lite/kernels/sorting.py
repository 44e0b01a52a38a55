"""Sorting along an axis: a stable radix sort of key bits that carries positions, insertion sort for short rows.

Flows in:  a body with one `sort` op over materialised operands.
Flows out: a kernel. Keys become unsigned integers in the order of their values (NaN greatest, -0.0 as 0.0); the least
           significant key is sorted first; at the end every operand is read in the order found.
Method: D. E. Knuth, The Art of Computer Programming, volume 3, section 5.2.5 (least significant digit first).
"""
from __future__ import annotations

from typing import Any

from tracejit.base.dtypes import BOOL, F32, I32, I64, U8, U32, U64, DType
from tracejit.ir.graph import Value
from tracejit.xla_lite.kernels.elements import At, store
from tracejit.xla_lite.kernels.expressions import less, minus, plus, product_of, static_value, times
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, ZERO, Apply, Const, Expr, Kernel, Load, While
from tracejit.xla_lite.kernels.nests import unflatten
from tracejit.xla_lite.kernels.scalars import Complex

INSERTION = 48      # rows up to this length are sorted by insertion
DIGITS = 256


def sort_kernel(request: Request) -> Kernel:
    """The kernel of a `sort` node."""
    return _Sort(Frame(request, request.body)).generate()


class _Sort:
    def __init__(self, frame: Frame):
        self.frame, self.writer, self.elements = frame, frame.writer, frame.elements
        (self.node,) = [n for n in frame.body.nodes if n.op.name == "sort"]
        self.axis: int = self.node.attributes["axis"]
        self.shape = exprs(self.node.operands[0].shape)
        self.n = self.shape[self.axis]
        self.others = tuple(s for a, s in enumerate(self.shape) if a != self.axis)

    def generate(self) -> Kernel:
        rows, w = product_of(self.others), self.writer
        with w.loop(rows, "parallel", "k", times(product_of(self.shape), Const(40))) as k:
            other = tuple(w.let(i) for i in unflatten(k, self.others))
            keys = self.sort_keys()
            wide = U64 if any(dtype.bits > 32 for _, _, dtype in keys) else U32
            buffers = [(w.buffer("key", wide, (self.n,), "heap"), w.buffer("at", I64, (self.n,), "heap"))
                       for _ in (0, 1)]
            with w.loop(self.n, "vector", "j") as j:
                w.store(buffers[0][1], (j,), j)
            for value, part, dtype in reversed(keys):
                self.load_keys(value, part, other, buffers[0], wide)
                self.sort_once(buffers, wide, max(1, dtype.bits // 8))
            self.write(other, buffers[0][1])
        return self.frame.kernel()

    def sort_keys(self) -> list[tuple[Value, str, DType]]:
        """Key values, most significant first, with the part of complex ones."""
        found: list[tuple[Value, str, DType]] = []
        for value in self.node.operands[:self.node.attributes["num_keys"]]:
            parts = ("re", "im") if value.dtype.is_complex else ("",)
            found += [(value, part, value.dtype.real) for part in parts]
        return found

    def place(self, other: At, position: Expr) -> At:
        return (*other[:self.axis], position, *other[self.axis:])

    def load_keys(self, value: Value, part: str, other: At, buffers: tuple[str, str], wide: DType) -> None:
        """key[j] = the bits of the element that stands at place j so far."""
        w, b = self.writer, self.elements.scalars
        with w.loop(self.n, "serial", "j") as j:
            position = w.let_here(Load(buffers[1], (j,), I64))
            x: Any = self.elements.at(value, self.place(other, position))
            x = getattr(x, part) if isinstance(x, Complex) else x
            bits = order_bits(b, x)
            if self.node.attributes["descending"]:
                bits = b.not_(bits)
            w.store(buffers[0], (j,), b.convert(bits, wide))

    def sort_once(self, buffers: list[tuple[str, str]], wide: DType, digits: int) -> None:
        """By insertion or by digits; a static length decides now."""
        w, length = self.writer, static_value(self.n)
        if length is not None:
            self.insertion(buffers[0], wide) if length <= INSERTION else self.by_digits(buffers, wide, digits)
            return
        short = w.let(less(self.n, Const(INSERTION + 1)))
        with w.when(short):
            self.insertion(buffers[0], wide)
        with w.when(w.let(Apply("not", (short,), BOOL))):
            self.by_digits(buffers, wide, digits)

    def by_digits(self, buffers: list[tuple[str, str]], wide: DType, digits: int) -> None:
        """Least significant digit first; the result ends in the first pair of buffers."""
        w, (source, target) = self.writer, buffers
        for digit in range(digits):
            self.distribute(source, target, wide, 8 * digit)
            source, target = target, source
        if digits % 2:
            with w.loop(self.n, "vector", "j") as j:
                w.store(target[0], (j,), w.let(Load(source[0], (j,), wide)))
                w.store(target[1], (j,), w.let(Load(source[1], (j,), I64)))

    def insertion(self, buffers: tuple[str, str], wide: DType) -> None:
        """Moves each key left past the greater ones."""
        w, (key, at) = self.writer, buffers
        with w.loop(self.n, "serial", "j") as j:
            k, a = w.let_here(Load(key, (j,), wide)), w.let_here(Load(at, (j,), I64))
            hole = w.buffer("hole", I64)
            w.store(hole, (), j)
            with w.block() as head:
                here = w.let_here(Load(hole, (), I64))
                left = w.let(Apply("maximum", (minus(here, ONE), ZERO), I64))
                before = w.let_here(Load(key, (left,), wide))
            with w.block() as body:
                w.store(key, (here,), before)
                w.store(at, (here,), w.let_here(Load(at, (left,), I64)))
                w.store(hole, (), left)
            moves = Apply("and", (Apply("gt", (here, ZERO), BOOL), Apply("gt", (before, k), BOOL)), BOOL)
            w.emit(While(tuple(head.statements), moves, tuple(body.statements)))
            end = w.let_here(Load(hole, (), I64))
            w.store(key, (end,), k)
            w.store(at, (end,), a)

    def distribute(self, source: tuple[str, str], target: tuple[str, str], wide: DType, shift: int) -> None:
        """One pass: counts of each digit, their running totals, then every key to its place."""
        w, b = self.writer, self.elements.scalars
        counts = w.buffer("counts", I64, (Const(DIGITS),))
        with w.loop(Const(DIGITS), "vector", "d") as d:
            w.store(counts, (d,), ZERO)

        def digit_of(j: Expr) -> tuple[Any, Any]:
            key = w.let_here(Load(source[0], (j,), wide))
            low = b.shift_right_logical(key, Const(shift, wide)) if shift else key
            return key, b.convert(b.and_(low, Const(DIGITS - 1, wide)), I64)

        with w.loop(self.n, "serial", "j") as j:
            _, digit = digit_of(j)
            w.store(counts, (digit,), w.let(plus(w.let_here(Load(counts, (digit,), I64)), ONE)))
        total = w.buffer("total", I64)
        w.store(total, (), ZERO)
        with w.loop(Const(DIGITS), "serial", "d") as d:
            start, count = w.let_here(Load(total, (), I64)), w.let_here(Load(counts, (d,), I64))
            w.store(counts, (d,), start)
            w.store(total, (), w.let(plus(start, count)))
        with w.loop(self.n, "serial", "j") as j:
            key, digit = digit_of(j)
            place = w.let_here(Load(counts, (digit,), I64))
            w.store(target[0], (place,), key)
            w.store(target[1], (place,), w.let_here(Load(source[1], (j,), I64)))
            w.store(counts, (digit,), w.let(plus(place, ONE)))

    def write(self, other: At, order: str) -> None:
        w = self.writer
        with w.loop(self.n, "serial", "j") as j:
            position = w.let_here(Load(order, (j,), I64))
            for i, value in enumerate(self.node.operands):
                x = self.elements.at(value, self.place(other, position))
                for out, name in zip(self.frame.body.outputs, self.frame.outputs, strict=True):
                    if out is self.node.results[i]:
                        store(w, name, self.place(other, j), self.elements.scalars.narrow(x, value.dtype))


def order_bits(b: Any, x: Any) -> Any:
    """An unsigned integer of the same width (u8 for bool) that orders as NumPy orders the values."""
    if x.dtype is BOOL:
        return b.convert(x, U8)
    if x.dtype.is_integer:
        unsigned = DType.parse(f"u{x.dtype.bits}")
        if not x.dtype.is_signed:
            return x
        return b.xor(b.convert(x, unsigned), b.constant(1 << (x.dtype.bits - 1), unsigned))
    x = b.widen(x)
    signed, unsigned = (I32, U32) if x.dtype is F32 else (I64, U64)
    bits = x.dtype.bits
    plain = b.add(x, b.constant(0.0, x.dtype))       # -0.0 + 0.0 is 0.0
    pattern = b.bitcast(plain, unsigned)
    negative = b.compare("LT", b.bitcast(plain, signed), b.constant(0, signed))
    top = b.constant(1 << (bits - 1), unsigned)
    turned = b.select(negative, b.not_(pattern), b.or_(pattern, top))
    return b.select(b.compare("NE", x, x), b.constant((1 << bits) - 1, unsigned), turned)

