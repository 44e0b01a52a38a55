"""Blocks of matrix products and turned blocks as functions of a module, in LLVM text.

Flows in:  the element type, the target, what is known of sizes and strides.
Flows out: names of functions, each defined once in a module:
           `block(target, its stride, x, its stride, y, its stride, rows, columns, depth, add)`,
           `turned(target, its stride, source, its stride, rows, columns)`.

A block is cut into tiles of rows x vectors of columns whose sums stay in registers over the whole depth: each step
reads a few vectors of y and one number of x for each row. What is left over at the right runs under a mask; rows are
cut into nearly equal tiles where their number is known, and into powers of two where it is not.
"""
from __future__ import annotations

from dataclasses import dataclass

from tracejit.base.dtypes import DType
from tracejit.xla_lite.cpu.target import Target
from tracejit.xla_lite.cpu.text import Body, ModuleText
from tracejit.xla_lite.cpu.types import MEMORY, lane_numbers, mangled, shuffle, vector

MOST_ROWS = 8    # of a tile
VECTORS = 3      # of columns in a tile
SQUARE = 8       # rows and columns that are turned at once, at most: wider ones are hardly faster, and long


@dataclass(frozen=True, slots=True)
class BlockKind:
    """What a block function is made for. None: known at run time only.

    rows, columns: of the block.  step: a number that divides `rows`.
    """

    dtype: DType
    turned: bool
    rows: int | None
    columns: int | None
    step: int = 1

    @property
    def name(self) -> str:
        parts = ["x" if n is None else str(n) for n in (self.rows, self.columns, self.step)]
        return f"tj.block.{self.dtype}.{'turned' if self.turned else 'plain'}.{'.'.join(parts)}"


@dataclass(frozen=True, slots=True)
class TileKind:
    """One tile. masked: only so many columns as the last argument says."""

    rows: int
    vectors: int
    masked: bool


class TileWriter:
    """Writes the functions of one block into a module."""

    def __init__(self, module: ModuleText, target: Target, dtype: DType, most_lanes: int = 64):
        self.module, self.target, self.dtype = module, target, dtype
        self.scalar = MEMORY[dtype.name]
        self.lanes = max(2, min(most_lanes, target.vector_bits // dtype.bits))
        self.vector = vector(self.scalar, self.lanes)
        self.most_rows = MOST_ROWS if target.registers >= 32 else MOST_ROWS // 2
        self.fuses = not target.x86 or "fma" in target.features or target.avx512

    # ---- blocks ----------------------------------------------------------------------------------------------------

    def block(self, kind: BlockKind) -> str:
        """The function of a whole block."""
        if self.module.reserve(kind.name):
            body = Body(self.module)
            rows: int | str = "%rows" if kind.rows is None else kind.rows
            if kind.columns is None:
                self._any_columns(body, kind, rows)
            else:
                column = 0
                for vectors, lanes in self._column_tiles(kind.columns):
                    self._rows(body, kind, rows, str(column), vectors, lanes)
                    column += vectors * self.lanes
            body.line("ret void")
            self.module.define(
                f'"{kind.name}"', "void", "ptr noalias %c, i64 %ldc, ptr %a, i64 %lda, ptr %b, i64 %ldb, i64 %rows, "
                "i64 %columns, i64 %depth, i1 %add", body, "internal", "noinline")
        return f'@"{kind.name}"'

    def _column_tiles(self, columns: int) -> list[tuple[int, str]]:
        """Vectors of each tile, and how many columns a masked one has."""
        vectors = -(-columns // self.lanes)
        tiles = []
        for count in even_parts(vectors, VECTORS):
            width = min(columns, count * self.lanes)
            tiles.append((count, "" if width == count * self.lanes else str(width)))
            columns -= width
        return tiles

    def _any_columns(self, body: Body, kind: BlockKind, rows: int | str) -> None:
        """Whole tiles, then what is left in one that is masked."""
        width = VECTORS * self.lanes
        whole = body.emit(f"sdiv i64 %columns, {width}")

        def tile(index: str) -> None:
            self._rows(body, kind, rows, body.emit(f"mul i64 {index}, {width}"), VECTORS, "")

        counted(body, whole, tile)
        done = body.emit(f"mul i64 {whole}, {width}")
        left = body.emit(f"sub i64 %columns, {done}")

        def rest(_: str) -> None:
            self._rows(body, kind, rows, done, VECTORS, left)

        counted(body, body.emit(f"zext i1 {body.emit(f'icmp sgt i64 {left}, 0')} to i64"), rest)

    def _rows(self, body: Body, kind: BlockKind, rows: int | str, column: str, vectors: int, lanes: str) -> None:
        """All rows of some columns."""
        def tiles(first: str, height: int, count: str) -> None:
            def tile(index: str) -> None:
                row = body.emit(f"add i64 {first}, {body.emit(f'mul i64 {index}, {height}')}")
                self._call(body, kind, TileKind(height, vectors, bool(lanes)), row, column, lanes)

            counted(body, count, tile)

        if isinstance(rows, int):
            first = 0
            for height, count in grouped(even_parts(rows, self.most_rows)):
                tiles(str(first), height, str(count))
                first += height * count
            return
        height = self.most_rows
        whole = body.emit(f"sdiv i64 {rows}, {height}")
        tiles("0", height, whole)
        done = body.emit(f"mul i64 {whole}, {height}")
        while kind.step % height and (height := height // 2):
            bit = body.emit(f"and i64 {rows}, {height}")
            tiles(done, height, body.emit(f"zext i1 {body.emit(f'icmp ne i64 {bit}, 0')} to i64"))
            done = body.emit(f"add i64 {done}, {bit}")

    def _call(self, body: Body, kind: BlockKind, tile: TileKind, row: str, column: str, lanes: str) -> None:
        t = self.scalar
        c = body.emit(f"getelementptr {t}, ptr %c, i64 {body.emit(f'mul i64 {row}, %ldc')}")
        c = body.emit(f"getelementptr {t}, ptr {c}, i64 {column}")
        first = row if kind.turned else body.emit(f"mul i64 {row}, %lda")
        a = body.emit(f"getelementptr {t}, ptr %a, i64 {first}")
        b = body.emit(f"getelementptr {t}, ptr %b, i64 {column}")
        name = self.tile(tile, kind.turned)
        body.line(f"call void {name}(ptr {c}, i64 %ldc, ptr {a}, i64 %lda, ptr {b}, i64 %ldb, i64 %depth, i1 %add, "
                  f"i64 {lanes or 0})")

    # ---- tiles -----------------------------------------------------------------------------------------------------

    def tile(self, kind: TileKind, turned: bool) -> str:
        """The function of one tile."""
        name = (f"tj.tile.{self.dtype}.{kind.rows}x{kind.vectors}{'m' if kind.masked else ''}"
                f".{'turned' if turned else 'plain'}")
        if self.module.reserve(name):
            body = Tile(self, kind, turned).write()
            self.module.define(
                f'"{name}"', "void", "ptr noalias %c, i64 %ldc, ptr readonly %a, i64 %lda, ptr readonly %b, i64 %ldb, "
                "i64 %depth, i1 %add, i64 %live", body, "internal", "noinline")
        return f'@"{name}"'

    def masks(self, body: Body, live: str, vectors: int) -> list[str]:
        """For each vector: the lanes among the first `live`."""
        kind = vector("i64", self.lanes)
        limit = self.splat(body, live, "i64")
        return [body.emit(f"icmp ugt {kind} {limit}, {_numbers(v * self.lanes, self.lanes)}") for v in range(vectors)]

    def splat(self, body: Body, value: str, scalar: str = "") -> str:
        """The value in every lane."""
        scalar = scalar or self.scalar
        kind = vector(scalar, self.lanes)
        first = body.emit(f"insertelement {kind} poison, {scalar} {value}, i64 0")
        return body.emit(f"shufflevector {kind} {first}, {kind} poison, <{self.lanes} x i32> zeroinitializer")

    def load(self, body: Body, pointer: str, mask: str = "") -> str:
        """A vector; lanes outside of the mask are 0."""
        if not mask:
            return body.emit(f"load {self.vector}, ptr {pointer}, align {self.dtype.bytes}")
        name = f"llvm.masked.load.{mangled(self.scalar, self.lanes)}.p0"
        kinds = ("ptr", "i32", f"<{self.lanes} x i1>", self.vector)
        return body.intrinsic(self.vector, name, kinds, (pointer, str(self.dtype.bytes), mask, "zeroinitializer"))

    def store(self, body: Body, value: str, pointer: str, mask: str = "") -> None:
        """The lanes of the mask."""
        if not mask:
            body.line(f"store {self.vector} {value}, ptr {pointer}, align {self.dtype.bytes}")
            return
        name = f"llvm.masked.store.{mangled(self.scalar, self.lanes)}.p0"
        self.module.declare(name, "void", f"{self.vector}, ptr, i32, <{self.lanes} x i1>")
        body.line(f"call void @{name}({self.vector} {value}, ptr {pointer}, i32 {self.dtype.bytes}, "
                  f"<{self.lanes} x i1> {mask})")

    def add_product(self, body: Body, x: str, y: str, total: str) -> str:
        if not self.fuses:
            return body.emit(f"fadd {self.vector} {total}, {body.emit(f'fmul {self.vector} {x}, {y}')}")
        kinds = (self.vector,) * 3
        return body.intrinsic(self.vector, f"llvm.fma.{mangled(self.scalar, self.lanes)}", kinds, (x, y, total))

    def offset(self, body: Body, pointer: str, elements: str | int) -> str:
        """A pointer so many elements further on."""
        if elements in (0, "0"):
            return pointer
        return body.emit(f"getelementptr {self.scalar}, ptr {pointer}, i64 {elements}")

    # ---- turned blocks ---------------------------------------------------------------------------------------------

    def turned(self) -> str:
        """The function that turns a block, square by square."""
        name = f"tj.turned.{self.dtype}"
        if self.module.reserve(name):
            body = Body(self.module)
            squares = TileWriter(self.module, self.target, self.dtype, SQUARE)
            n = squares.lanes

            def square(row: str, column: str) -> None:
                source = self.offset(body, "%s", body.emit(f"mul i64 {row}, %lds"))
                target = self.offset(body, "%t", body.emit(f"mul i64 {column}, %ldt"))
                squares.square(body, self.offset(body, source, column), self.offset(body, target, row),
                               body.emit(f"sub i64 %rows, {row}"), body.emit(f"sub i64 %columns, {column}"))

            def across(row: str) -> None:
                counted(body, _pieces(body, "%columns", n), lambda j: square(row, body.emit(f"mul i64 {j}, {n}")))

            counted(body, _pieces(body, "%rows", n), lambda i: across(body.emit(f"mul i64 {i}, {n}")))
            body.line("ret void")
            self.module.define(f'"{name}"', "void", "ptr noalias %t, i64 %ldt, ptr readonly %s, i64 %lds, i64 %rows, "
                               "i64 %columns", body, "internal", "noinline")
        return f'@"{name}"'

    def square(self, body: Body, source: str, target: str, rows: str, columns: str) -> None:
        """lanes x lanes elements; at an edge one by one."""
        n = self.lanes
        down, across = (body.emit(f"icmp sge i64 {size}, {n}") for size in (rows, columns))
        whole, edge, after = (body.fresh_label(hint) for hint in ("whole", "edge", "next"))
        body.branch_if(body.emit(f"and i1 {down}, {across}"), whole, edge)
        body.label(whole)
        lines = [self.load(body, at) for at in self._lines(body, source, "%lds")]
        for line, at in zip(self._transposed(body, lines), self._lines(body, target, "%ldt"), strict=True):
            self.store(body, line, at)
        body.branch(after)
        body.label(edge)
        self._single(body, source, target, *(self._at_most(body, size) for size in (rows, columns)))
        body.branch(after)
        body.label(after)

    def _lines(self, body: Body, pointer: str, stride: str) -> list[str]:
        found = [pointer]
        for _ in range(self.lanes - 1):
            found.append(self.offset(body, found[-1], stride))
        return found

    def _at_most(self, body: Body, size: str) -> str:
        return body.intrinsic("i64", "llvm.smin.i64", ("i64", "i64"), (size, str(self.lanes)))

    def _single(self, body: Body, source: str, target: str, rows: str, columns: str) -> None:
        def element(i: str, j: str) -> None:
            place = self.offset(body, self.offset(body, source, body.emit(f"mul i64 {i}, %lds")), j)
            value = body.emit(f"load {self.scalar}, ptr {place}, align {self.dtype.bytes}")
            place = self.offset(body, self.offset(body, target, body.emit(f"mul i64 {j}, %ldt")), i)
            body.line(f"store {self.scalar} {value}, ptr {place}, align {self.dtype.bytes}")

        counted(body, rows, lambda i: counted(body, columns, lambda j: element(i, j)))

    def _transposed(self, body: Body, lines: list[str]) -> list[str]:
        """log2(lanes) rounds in which lines at a distance swap halves of their groups."""
        n, step = self.lanes, 1
        while step < n:
            low = tuple(i if not i & step else i - step + n for i in range(n))
            high = tuple(i + step if not i & step else i + n for i in range(n))
            made = list(lines)
            for i in (i for i in range(n) if not i & step):
                pair = f"{self.vector} {lines[i]}, {self.vector} {lines[i + step]}"
                made[i] = body.emit(f"shufflevector {pair}, {shuffle(low)}")
                made[i + step] = body.emit(f"shufflevector {pair}, {shuffle(high)}")
            lines, step = made, step * 2
        return lines


class Tile:
    """The body of one tile's function: sums from zero or from the target, the loop over the depth, stores."""

    def __init__(self, writer: TileWriter, kind: TileKind, turned: bool):
        self.writer, self.kind, self.turned = writer, kind, turned
        self.body = Body(writer.module)
        self.masks = [""] * kind.vectors
        self.places = [(i, v) for i in range(kind.rows) for v in range(kind.vectors)]

    def write(self) -> Body:
        body, writer = self.body, self.writer
        if self.kind.masked:
            self.masks = writer.masks(body, "%live", self.kind.vectors)
        targets = self._lines("%c", "%ldc")
        sums = self._sums(self._begin(targets))
        for (i, v), total in zip(self.places, sums, strict=True):
            writer.store(body, total, writer.offset(body, targets[i], v * writer.lanes), self.masks[v])
        body.line("ret void")
        return body

    def _lines(self, pointer: str, stride: str) -> list[str]:
        """Where each row begins."""
        found = [pointer]
        for _ in range(self.kind.rows - 1):
            found.append(self.writer.offset(self.body, found[-1], stride))
        return found

    def _begin(self, targets: list[str]) -> list[str]:
        """What the sums begin with."""
        body, writer, kind = self.body, self.writer, self.writer.vector
        more, start = body.fresh_label("more"), body.fresh_label("start")
        entry = body.block
        body.branch_if("%add", more, start)
        body.label(more)
        old = [writer.load(body, writer.offset(body, targets[i], v * writer.lanes), self.masks[v])
               for i, v in self.places]
        body.branch(start)
        body.label(start)
        return [body.emit(f"phi {kind} [ {x}, %{more} ], [ zeroinitializer, %{entry} ]") for x in old]

    def _sums(self, begin: list[str]) -> list[str]:
        """The loop over the depth; what the sums are behind it."""
        body, writer, kind = self.body, self.writer, self.writer.vector
        rows = [] if self.turned else [body.emit(f"mul i64 %lda, {i}") for i in range(self.kind.rows)]
        loop, done, entry = body.fresh_label("loop"), body.fresh_label("done"), body.block
        body.branch_if(body.emit("icmp sgt i64 %depth, 0"), loop, done)
        body.label(loop)
        hole, index, a, b = body.hole(), body.fresh(), body.fresh(), body.fresh()
        inner = [body.fresh() for _ in begin]
        after = self._step(a, b, rows, inner)
        following = body.emit(f"add nuw nsw i64 {index}, 1")
        next_a = writer.offset(body, a, "%lda" if self.turned else 1)
        next_b = writer.offset(body, b, "%ldb")
        body.fill(hole, [
            f"{index} = phi i64 [ 0, %{entry} ], [ {following}, %{loop} ]",
            f"{a} = phi ptr [ %a, %{entry} ], [ {next_a}, %{loop} ]",
            f"{b} = phi ptr [ %b, %{entry} ], [ {next_b}, %{loop} ]",
            *(f"{x} = phi {kind} [ {old}, %{entry} ], [ {new}, %{loop} ]"
              for x, old, new in zip(inner, begin, after, strict=True))])
        body.branch_if(body.emit(f"icmp slt i64 {following}, %depth"), loop, done)
        body.label(done)
        return [body.emit(f"phi {kind} [ {old}, %{entry} ], [ {new}, %{loop} ]")
                for old, new in zip(begin, after, strict=True)]

    def _step(self, a: str, b: str, rows: list[str], sums: list[str]) -> list[str]:
        """One step of the depth. rows: of x that does not lie turned, how far each is behind the first."""
        body, writer = self.body, self.writer
        ys = [writer.load(body, writer.offset(body, b, v * writer.lanes), self.masks[v])
              for v in range(self.kind.vectors)]
        made = []
        for i in range(self.kind.rows):
            at = writer.offset(body, a, rows[i] if i and rows else i)
            x = writer.splat(body, body.emit(f"load {writer.scalar}, ptr {at}, align {writer.dtype.bytes}"))
            made += [writer.add_product(body, x, y, sums[i * len(ys) + v]) for v, y in enumerate(ys)]
        return made


def even_parts(total: int, most: int) -> list[int]:
    """Nearly equal parts of at most `most`, larger ones first."""
    count = -(-total // most)
    if not count:
        return []
    base, extra = divmod(total, count)
    return [base + 1] * extra + [base] * (count - extra)


def grouped(parts: list[int]) -> list[tuple[int, int]]:
    """(size, how many) of equal parts."""
    return [(size, parts.count(size)) for size in dict.fromkeys(parts)]


def counted(body: Body, count: str, step: object) -> None:
    """A loop of `count` rounds, perhaps none; step(index) writes one."""
    assert callable(step)
    if count == "1":
        step("0")
        return
    loop, done, entry = body.fresh_label("loop"), body.fresh_label("done"), body.block
    body.branch_if(body.emit(f"icmp sgt i64 {count}, 0"), loop, done)
    body.label(loop)
    hole, index = body.hole(), body.fresh()
    step(index)
    following = body.emit(f"add nuw nsw i64 {index}, 1")
    body.fill(hole, [f"{index} = phi i64 [ 0, %{entry} ], [ {following}, %{body.block} ]"])
    body.branch_if(body.emit(f"icmp slt i64 {following}, {count}"), loop, done)
    body.label(done)


def _pieces(body: Body, extent: str, size: int) -> str:
    return body.emit(f"sdiv i64 {body.emit(f'add i64 {extent}, {size - 1}')}, {size}")


def _numbers(first: int, lanes: int) -> str:
    return lane_numbers(64, lanes) if not first else \
        "<" + ", ".join(f"i64 {n}" for n in range(first, first + lanes)) + ">"
