"""Sums of products in registers: one for real numbers, two for complex ones.

Flows in:  the factors of each term.
Flows out: `Total`: what was added up, rounded to the element type.
"""
from __future__ import annotations

from typing import Any

from tracejit.base.dtypes import DType
from tracejit.xla_lite.kernels.kernel_ir import Load
from tracejit.xla_lite.kernels.scalars import Complex, KernelScalars
from tracejit.xla_lite.kernels.writer import Writer


class Total:
    """One sum. Of bools: whether any product is true."""

    def __init__(self, writer: Writer, scalars: KernelScalars, dtype: DType):
        self.writer, self.scalars, self.dtype = writer, scalars, dtype
        self.real = dtype.compute.real
        self.registers = [writer.buffer("a", self.real) for _ in range(2 if dtype.is_complex else 1)]
        for name in self.registers:
            writer.store(name, (), scalars.constant(0, self.real))

    def value(self) -> Any:
        values = [self.writer.let_here(Load(n, (), self.real)) for n in self.registers]
        return Complex(values[0], values[1], self.dtype) if self.dtype.is_complex else values[0]

    def add_product(self, x: Any, y: Any) -> None:
        b = self.scalars
        x, y, old = b.widen(x), b.widen(y), self.value()
        if self.dtype.is_float:
            new = b.fma(x, y, old)
        else:
            new = b.or_(old, b.and_(x, y)) if self.dtype.kind == "b" else b.add(old, b.multiply(x, y))
        for name, part in zip(self.registers, (new.re, new.im) if isinstance(new, Complex) else (new,), strict=True):
            self.writer.store(name, (), part)

    def result(self) -> Any:
        return self.scalars.narrow(self.value(), self.dtype)
