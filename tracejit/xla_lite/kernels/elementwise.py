"""Elementwise fusions: one loop nest over the domain that stores every output.

Flows in:  a collapsed body whose outputs all have the shape of the domain.
Flows out: a kernel: chunks in parallel, rows serial, the last axis in vectors. Where the last axis is short the axis
           before it is the vector one, and the last one is written out.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracejit.xla_lite.kernels.collapse import collapse
from tracejit.xla_lite.kernels.element_loops import element_cost, loops_in
from tracejit.xla_lite.kernels.elements import At
from tracejit.xla_lite.kernels.expressions import plus, product_of, static_value
from tracejit.xla_lite.kernels.frame import Frame, Request, exprs
from tracejit.xla_lite.kernels.kernel_ir import ONE, Const, Expr, Kernel
from tracejit.xla_lite.kernels.nests import Split, chunk_elements, chunked, row_loop, total_work

SHORT = 8              # elements of a last axis that is written out instead of looped over
WRITTEN_OUT = 256      # additions-worth of code that writing it out may make


def elementwise_kernel(request: Request) -> Kernel:
    """The kernel of an `elementwise` fusion."""
    body = request.body
    if not request.strided_outputs and not loops_in(body):
        body = collapse(body, body.outputs[0].shape, request.strided)
    frame = Frame(request, body)
    with element_nest(frame, exprs(body.outputs[0].shape)) as indices:
        for index in indices:
            if request.in_place:
                for value in body.outputs:
                    frame.elements.at(value, index)     # every load stands before the first store
            for i in range(len(body.outputs)):
                frame.store_output(i, index)
    return frame.kernel()


@contextmanager
def element_nest(frame: Frame, shape: tuple[Expr, ...], repeats: int = 1) -> Iterator[list[At]]:
    """Opens loops over `shape`; yields the indices to be written in the innermost body: one, or a short row.

    repeats: how often each element computes the body.
    """
    cost = element_cost(frame.body) * repeats
    work, chunk, writer = total_work(shape, cost), chunk_elements(cost), frame.writer
    if not shape:
        yield [()]
    elif len(shape) == 1:
        with chunked(writer, shape[0], Const(chunk), work) as (start, count), writer.loop(count, "vector", "j") as j:
            yield [(plus(start, j),)]
    elif (short := _short(shape, cost)) is not None:
        with _blocks(frame, shape[:-1], chunk // short or 1, work) as index:
            yield [(*index, Const(q)) for q in range(short)]
    else:
        with _blocks(frame, shape, chunk, work) as index:
            yield [index]


def _short(shape: tuple[Expr, ...], cost: int) -> int | None:
    """The length of the last axis if it is to be written out."""
    last, before = static_value(shape[-1]), static_value(product_of(shape[:-1]))
    fits = last is not None and 0 < last <= SHORT and last * cost <= WRITTEN_OUT
    return last if fits and (before is None or before >= 4 * (last or 1)) else None


@contextmanager
def _blocks(frame: Frame, shape: tuple[Expr, ...], chunk: int, work: Expr) -> Iterator[At]:
    writer = frame.writer
    rows = product_of(shape[:-1]) if len(shape) > 1 else ONE
    with (Split.of(writer, rows, shape[-1], chunk).loop(writer, work) as piece,
          row_loop(writer, piece.row, piece.rows, shape[:-1]) as outer,
          writer.loop(piece.columns, "vector", "j") as j):
        yield (*outer, plus(piece.column, j))
