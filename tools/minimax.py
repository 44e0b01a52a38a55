"""Weighted minimax polynomials in floating-point coefficients.

Flows in: a function, a weight, an interval, a degree.
Flows out: coefficients in the target type, and the error reached.

Discrete Remez exchange on a dense Chebyshev grid in multiprecision. `lead` coefficients are rounded one after the
other, lowest first, and the rest refitted each time, which absorbs their rounding errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as m
from mpmath import mp, mpf

PRECISION = 240
Function = Callable[[Any], Any]
MANTISSA = {"f32": 23, "f64": 52}

mp.prec = PRECISION


def rounded(x: Any, kind: str, bits: int | None = None) -> float:
    """The nearest float of the type (or of `bits` significant bits)."""
    with mp.workprec(bits or MANTISSA[kind] + 1):
        return float(+x)


def parts(x: Any, kind: str, count: int, bits: int | None = None, rounding: str = "n") -> tuple[float, ...]:
    """x as a sum of floats; all but the last have at most `bits` significant bits and are rounded to `rounding`."""
    out = []
    for k in range(count):
        if k < count - 1:
            with mp.workprec(bits or MANTISSA[kind] + 1):
                out.append(float(m.fadd(x, 0, rounding=rounding)))
        else:
            out.append(rounded(x, kind))
        x = x - mpf(out[-1])
    return tuple(out)


def evaluate(coefficients: Sequence[Any], x: Any) -> Any:
    """The polynomial, low to high, at x."""
    return m.polyval([mpf(c) for c in reversed(coefficients)], x) if coefficients else mpf(0)


class Remez:
    """The grid, the function and the weight of one fit."""

    def __init__(self, function: Function, weight: Function, low: Any, high: Any, degree: int) -> None:
        low, high = mpf(low), mpf(high)
        count = 36 * (degree + 2) + 7
        grid = [(low + high) / 2 + (high - low) / 2 * m.cos(m.pi * mpf(count - i) / count) for i in range(count + 1)]
        points = [(x, function(x), abs(weight(x))) for x in grid]
        self.points = [p for p in points if p[2] > mpf(2) ** -200]

    def solve(self, chosen: list[int], degree: int, shift: int, fixed: Sequence[float]) -> tuple[list[Any], Any]:
        """Coefficients whose weighted error alternates with equal size at the chosen points, and that size."""
        n = degree + 2
        a, rhs = m.matrix(n, n), m.matrix(n, 1)
        for row, i in enumerate(chosen):
            x, y, w = self.points[i]
            power = x**shift
            for k in range(degree + 1):
                a[row, k] = power
                power *= x
            a[row, degree + 1] = mpf((-1) ** row) / w
            rhs[row] = y - evaluate(fixed, x)
        solution = m.lu_solve(a, rhs)
        return [solution[k] for k in range(degree + 1)], abs(solution[degree + 1])

    def errors(self, coefficients: Sequence[Any]) -> list[Any]:
        """Weighted errors of a polynomial on the grid."""
        return [(y - evaluate(coefficients, x)) * w for x, y, w in self.points]

    def fit(self, degree: int, fixed: Sequence[float]) -> list[Any]:
        """The coefficients above the fixed ones, up to `degree` in all."""
        shift = len(fixed)
        free = degree - shift
        n, last = free + 2, len(self.points) - 1
        chosen = [round((1 - float(m.cos(m.pi * (i + mpf(1) / 2) / n))) / 2 * last) for i in range(n)]
        coefficients: list[Any] = []
        for _ in range(40):
            coefficients, level = self.solve(chosen, free, shift, fixed)
            errors = self.errors([*fixed, *coefficients])
            extrema = _alternating_extrema(errors, n)
            if len(extrema) < n or max(abs(e) for e in errors) < level * mpf("1.02"):
                break
            chosen = extrema
        return coefficients


def _alternating_extrema(errors: list[Any], count: int) -> list[int]:
    """One index per run of equal sign, the smaller end dropped until `count` are left."""
    extrema: list[int] = []
    for i, error in enumerate(errors):
        if extrema and (errors[extrema[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[extrema[-1]]):
                extrema[-1] = i
        else:
            extrema.append(i)
    while len(extrema) > count:
        extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
    return extrema


@dataclass(frozen=True)
class Fit:
    """A polynomial for `function` on [low, high]; degrees: {type: (degree, lead)}."""

    function: Function
    weight: Function
    low: Any
    high: Any
    degrees: dict[str, tuple[int, int]]

    def run(self, kind: str) -> tuple[tuple[float, ...], float, float]:
        """Coefficients in the type, log2 of the weighted error, and what rounding took from the first one.

        lead > 0 needs an interval that does not have 0 inside.
        """
        degree, lead = self.degrees[kind]
        remez = Remez(self.function, self.weight, self.low, self.high, degree)
        fixed: list[float] = []
        while len(fixed) < lead:
            fixed.append(rounded(remez.fit(degree, fixed)[0], kind))
        exact = remez.fit(degree, fixed)
        result = fixed + [rounded(c, kind) for c in exact]
        lost = 0.0 if fixed else rounded(exact[0] - mpf(result[0]), kind)
        return tuple(result), float(m.log(max(abs(e) for e in remez.errors(result)), 2)), lost
