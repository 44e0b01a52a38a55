"""Makes coefficients.py and tables.py in tracejit/xla_lite/kernels/elementary.

    python tools/generate_coefficients.py [NAME ...]

Needs mpmath (gmpy2 makes it several times faster). With names, only those tables are made again.

The polynomials are weighted minimax fits (tools/minimax.py); the error reached is printed as a power of 2.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as m
from minimax import MANTISSA, PRECISION, Fit, Function, parts, rounded
from mpmath import mp, mpf

PLACE = pathlib.Path(__file__).parents[1] / "tracejit/xla_lite/kernels/elementary"


def of_square(g: Function) -> Function:
    """g(sqrt(z)), near the limit at 0."""
    return lambda z: g(m.sqrt(z)) if z > 0 else g(mpf(2) ** -90)


LN2, SQRT2 = m.log(2), m.sqrt(2)
HALF_LN2 = LN2 / 2 * mpf("1.001")


def exp_fits() -> dict[str, Fit]:
    """Exponentials."""

    def q(x: Any) -> Any:
        return (m.expm1(x) - x) / x**2 if x else mpf(1) / 2

    def slope2(x: Any) -> Any:
        return (2**x - 1) / x if x else LN2

    def weight(x: Any) -> Any:
        return x * x / m.exp(x)

    def weight2(x: Any) -> Any:
        return x / 2**x

    small = HALF_LN2 / 16
    return {
        "exp": Fit(q, weight, -HALF_LN2, HALF_LN2, {"f32": (4, 0), "f64": (9, 0)}),
        "exp_sixteenth": Fit(q, weight, -small, small, {"f32": (1, 0), "f64": (4, 0)}),
        "expm1_sixteenth": Fit(q, abs, -small, small, {"f32": (2, 0), "f64": (5, 0)}),
        "exp2": Fit(slope2, weight2, -0.501, 0.501, {"f32": (6, 0), "f64": (11, 0)}),
        "exp2_sixteenth": Fit(slope2, weight2, -0.0314, 0.0314, {"f32": (2, 0), "f64": (5, 0)}),
        "cosh_minus_one": Fit(
            of_square(lambda x: (m.cosh(x) - 1) / x**2), lambda z: z, 0, HALF_LN2**2, {"f32": (2, 1), "f64": (4, 1)}
        ),
        "sinh_minus_x": Fit(
            of_square(lambda x: (m.sinh(x) - x) / x**3), lambda z: z, 0, HALF_LN2**2, {"f32": (1, 1), "f64": (4, 1)}
        ),
    }


def log_fits() -> dict[str, Fit]:
    """Logarithms, also those of the table-driven form and the parts of pow."""
    low, high = 1 / SQRT2 - 1, SQRT2 - 1
    s2 = ((SQRT2 - 1) / (SQRT2 + 1)) ** 2 * mpf("1.0001")

    def cubic(f: Any) -> Any:
        return (m.log1p(f) - f + f * f / 2) / f**3 if f else mpf(1) / 3

    def base(b: Any) -> Function:
        return lambda f: (m.log1p(f) / f - 1) / m.log(b) / f if f else -1 / (2 * m.log(b))

    def relative(f: Any) -> Any:
        return f * f / m.log1p(f) if f else f

    def scaled(b: Any) -> Function:
        return lambda f: relative(f) * m.log(b)

    small = (mpf("-0.03130"), mpf("0.06251"))
    wide = {"f32": (3, 0), "f64": (8, 0)}
    return {
        "log": Fit(cubic, lambda f: f**3 / m.log1p(f) if f else f, low, high, {"f32": (7, 0)}),
        "log2": Fit(base(2), relative, low, high, {"f32": (9, 0)}),
        "log10": Fit(base(10), lambda f: 2 * relative(f), low, high, {"f32": (8, 0)}),
        "log_sixteenth": Fit(base(m.e), relative, *small, wide),
        "log2_sixteenth": Fit(base(2), scaled(2), *small, wide),
        "log10_sixteenth": Fit(base(10), scaled(10), *small, wide),
        "pow_cubic": Fit(cubic, lambda f: f**3 / m.log1p(f) if f else f, *small, {"f64": (9, 0)}),
        "log2_short": Fit(
            lambda f: m.log1p(f) / f / LN2 if f else 1 / LN2, lambda f: mpf(1), *small, {"f64": (6, 0)}
        ),
        "log_odd": Fit(
            of_square(lambda s: (2 * m.atanh(s) / s - 2) / s**2), lambda z: z, 0, s2, {"f64": (6, 1)}
        ),
        "pow_odd": Fit(
            of_square(lambda s: (m.atanh(s) / s - 1 - s * s / 3) / s**4),
            lambda z: z * z,
            0,
            s2,
            {"f32": (2, 1), "f64": (6, 1)},
        ),
    }


def trigonometric_fits() -> dict[str, Fit]:
    """Circular functions and their inverses."""
    quarter = (m.pi / 4 * mpf("1.003")) ** 2

    def arc(z: Any) -> Any:
        return z / (m.atan(m.sqrt(z)) / m.sqrt(z)) if z else z

    atan = of_square(lambda t: (m.atan(t) / t - 1) / t**2)
    asin = of_square(lambda x: (m.asin(x) / x - 1) / x**2)
    return {
        "sin_quarter": Fit(
            of_square(lambda r: (m.sin(r) - r) / r**3), lambda z: z, 0, quarter, {"f32": (2, 1), "f64": (5, 1)}
        ),
        "cos_quarter": Fit(
            of_square(lambda r: (m.cos(r) - 1 + r * r / 2) / r**4),
            lambda z: z * z,
            0,
            quarter,
            {"f32": (2, 1), "f64": (5, 1)},
        ),
        "atan": Fit(atan, arc, 0, 1, {"f32": (8, 3)}),
        "atan_eighth": Fit(atan, lambda z: z, 0, mpf("0.17160"), {"f64": (11, 1)}),
        "asin": Fit(asin, lambda z: z, 0, mpf("0.2501"), {"f32": (4, 1), "f64": (11, 1)}),
        "tanh": Fit(
            of_square(lambda x: (m.tanh(x) / x - 1) / x**2),
            lambda z: z,
            0,
            mpf("0.3026"),
            {"f32": (4, 1), "f64": (10, 1)},
        ),
        "tanh_small": Fit(
            of_square(lambda x: (m.tanh(x) / x - 1) / x**2), lambda z: z, 0, mpf("0.0226"), {"f64": (5, 1)}
        ),
        "inverse_cube_root": Fit(
            lambda x: x ** (-mpf(1) / 3), lambda x: x ** (mpf(1) / 3), 1, 2, {"f32": (4, 0), "f64": (5, 0)}
        ),
    }


def scaled_erfc(u: Any, centre: Any) -> Any:
    """erfc(x) e^(x^2) (x + K) at x = K (1 + u) / (1 - u)."""
    if u >= 1:
        return 1 / m.sqrt(m.pi)
    x = centre * (1 + u) / (1 - u)
    if x < 300:
        return m.exp(x * x) * m.erfc(x) * (x + centre)
    total, term = mpf(0), mpf(1)
    for k in range(1, 30):
        total += term
        term *= -(2 * k - 1) / (2 * x * x)
    return total / (x * m.sqrt(m.pi)) * (x + centre)


def inverse_erf_ratio(w: Any) -> Any:
    """erfinv(x) / x where w = -log(1 - x^2)."""
    if w <= 0:
        return m.sqrt(m.pi) / 2
    t = m.exp(-w)
    x = m.sqrt(1 - t)
    complement = t / (1 + x)
    y, target = m.sqrt(w) * mpf("0.9"), m.log(complement)
    for _ in range(60):  # Newton on the logarithm of erfc
        e = m.erfc(y)
        step = (m.log(e) - target) * e * m.sqrt(m.pi) / 2 * m.exp(y * y)
        y += step
        if abs(step) < abs(y) * mpf(2) ** -130:
            break
    return y / x


def error_fits() -> dict[str, Fit]:
    """Error functions."""

    def per_x(x: Any) -> Any:
        return m.log(m.erfc(x), 2) / x

    def scaled(centre: int) -> Function:
        return lambda u: scaled_erfc(u, mpf(centre))

    def inverse(g: Function) -> Function:
        return lambda v: 1 / g(v)

    def centre(middle: Any) -> tuple[Function, Function]:
        """(ratio(w) - ratio(0)) / w around the middle, and its weight."""

        def slope(v: Any) -> Any:
            w = v + middle
            return (inverse_erf_ratio(w) - m.sqrt(m.pi) / 2) / w if w > mpf(2) ** -40 else m.sqrt(m.pi) / 8

        return slope, lambda v: (v + middle) / inverse_erf_ratio(v + middle)

    def tail(middle: Any) -> tuple[Function, Function]:
        """The ratio as a function of sqrt(w) around the middle, and its weight."""
        return lambda s: inverse_erf_ratio((s + middle) ** 2), lambda s: 1 / inverse_erf_ratio((s + middle) ** 2)

    erf = of_square(lambda x: m.erf(x) / x - 1)
    return {
        "erf": Fit(erf, lambda z: 1 / m.erf(1), 0, 1, {"f32": (6, 3), "f64": (12, 2)}),
        "log2_erfc": Fit(per_x, lambda x: m.erfc(x) * x, "0.99", 4, {"f32": (7, 2)}),
        "log2_erfc_f64": Fit(per_x, lambda x: m.erfc(x) * x, "0.99", 6, {"f64": (18, 1)}),
        "erfc": Fit(scaled(2), inverse(scaled(2)), "-0.52", "0.69", {"f32": (12, 0)}),
        "erfc_f64": Fit(scaled(4), inverse(scaled(4)), "-0.73", "0.75", {"f64": (24, 0)}),
        "erfinv_centre": Fit(*centre(mpf("2.5")), "-2.5", "2.5", {"f32": (9, 0)}),
        "erfinv_tail": Fit(*tail(mpf(3)), m.sqrt(5) - 3, m.sqrt(17) - 3, {"f32": (9, 0)}),
        "erfinv_centre_f64": Fit(*centre(mpf("3.125")), "-3.125", "3.125", {"f64": (23, 0)}),
        "erfinv_tail_f64": Fit(*tail(mpf("3.25")), mpf("-0.75"), mpf("0.75"), {"f64": (19, 0)}),
        "erfinv_far_f64": Fit(*tail(mpf(5)), -1, mpf("1.1"), {"f64": (18, 0)}),
    }


def gamma_fits() -> dict[str, Fit]:
    """lgamma and digamma."""
    root = digamma_root()

    def near(integer: int) -> Function:
        return lambda t: m.loggamma(integer + t) / t if t else m.digamma(integer)

    def relative(f: Function) -> Function:
        return lambda t: 1 / f(t)

    def around_root(t: Any) -> Any:
        x = t + mpf("1.625")
        return m.digamma(x) / (x - root)

    def stirling(z: Any) -> Any:
        if z < mpf(2) ** -60:
            return mpf(1) / 12
        x = 1 / m.sqrt(z)
        return x * (m.loggamma(x) - (x - mpf("0.5")) * m.log(x) + x - m.log(2 * m.pi) / 2)

    def asymptotic(z: Any) -> Any:
        if z < mpf(2) ** -60:
            return -mpf(1) / 12
        x = 1 / m.sqrt(z)
        return (m.digamma(x) - m.log(x) + 1 / (2 * x)) / z

    return {
        "lgamma_near_1": Fit(near(1), relative(near(1)), "-0.2501", "0.5001", {"f64": (22, 0)}),
        "lgamma_near_2": Fit(near(2), relative(near(2)), "-0.5001", "0.5001", {"f64": (18, 0)}),
        "lgamma_series": Fit(stirling, lambda z: m.sqrt(z) / 8, 0, 1 / mpf("8.49") ** 2, {"f64": (6, 0)}),
        "digamma_near_root": Fit(around_root, relative(around_root), "-0.626", "0.626", {"f64": (23, 0)}),
        "digamma_series": Fit(asymptotic, lambda z: z, 0, 1 / mpf("4.99") ** 2, {"f64": (8, 0)}),
    }


def digamma_root() -> Any:
    """The positive zero of digamma."""
    return m.findroot(m.digamma, mpf("1.4616"))


def constants(kind: str) -> dict[str, tuple[float, ...]]:
    """Constants in parts. log10_of_2 has room for products with exponents."""
    root = digamma_root()
    mp.prec = 1600
    spare = 12 if kind == "f32" else 40
    values = {
        "ln2": parts(m.log(2), kind, 2),
        "inverse_ln2": parts(1 / m.log(2), kind, 2),
        "inverse_log2": parts(1 / m.log(2), kind, 2),
        "inverse_log10": parts(1 / m.log(10), kind, 2),
        "log10_of_2": parts(m.log(2) / m.log(10), kind, 2, spare),
        "two_inverse_ln2": parts(2 / m.log(2), kind, 2),
        "third": parts(mpf(1) / 3, kind, 2),
        "pi": parts(m.pi, kind, 3),
        "half_pi": parts(m.pi / 2, kind, 3),
        "half_pi_from_below": parts(m.pi / 2, kind, 3, MANTISSA[kind] + 1, "d"),  # positive: keeps the sign of -0
        "quarter_pi": parts(m.pi / 4, kind, 2),
        "two_over_pi": parts(2 / m.pi, kind, 1),
        "half_log_two_pi": parts(m.log(2 * m.pi) / 2, kind, 2),
        "digamma_root": parts(root, kind, 2),
        "half_root_pi": parts(m.sqrt(m.pi) / 2, kind, 2),
        "cube_root_2": (rounded(m.cbrt(2), kind), rounded(m.cbrt(4), kind)),
    }
    mp.prec = PRECISION
    return values


def exp_tables(kind: str) -> dict[str, tuple[float, ...]]:
    """2^(j/16) and the relative error of its rounding."""
    exact = [mpf(2) ** (mpf(j) / 16) for j in range(16)]
    power = tuple(rounded(x, kind) for x in exact)
    error = tuple(rounded((x - p) / p, kind) for x, p in zip(exact, power, strict=True))
    return {"exp2": power, "exp2_error": error}


def reciprocal_near(target: float, kind: str, base: Any) -> tuple[float, float]:
    """A float c near `target` for which -log(c) is almost a float of the type, and that float."""
    ulp = 2.0 ** -(MANTISSA[kind] + 1)
    step = max(ulp, 2.0**-27)  # neighbours in f64 would round alike
    for k in range(10000):
        c = rounded(mpf(target) + k * step, kind)
        exact = -m.log(c) / m.log(base)
        value = rounded(exact, kind)
        if abs(exact - value) < abs(exact) * ulp / 512:
            return c, value
    raise ValueError(target)


def log_tables(kind: str) -> dict[str, tuple[float, ...]]:
    """Reciprocals by the first four bits of the fraction of m in [3/4, 3/2), and their logarithms."""
    tables: dict[str, tuple[float, ...]] = {}
    for name, base in (("log", m.e), ("log2", mpf(2)), ("log10", mpf(10))):
        rows = []
        for j in range(16):
            centre = (1 + (j + 0.5) / 16) * (1.0 if j < 8 else 0.5)
            rows.append((1.0, 0.0) if j in (0, 15) else reciprocal_near(1 / centre, kind, base))
        tables[f"{name}_reciprocal"] = tuple(row[0] for row in rows)
        tables[name] = tuple(row[1] for row in rows)
        low = [-m.log(c) / m.log(base) - mpf(value) for c, value in rows]
        tables[f"{name}_low"] = tuple(rounded(x, kind) for x in low)
    return tables


@dataclass(frozen=True)
class Pieces:
    """A function in 16 pieces from `smallest` up, 2^splits to a binade.

    The piece that holds `last_node` is expanded there and is the last one in use.
    """

    function: Function
    smallest: float
    degree: int
    last_node: float
    kind: str = "f32"
    low: bool = False
    splits: int = 1

    def edges(self, j: int) -> tuple[float, float]:
        """The ends of piece j."""
        count = 1 << self.splits
        octave = self.smallest * 2.0 ** (j // count)
        return octave * (1 + j % count / count), octave * (1 + (j % count + 1) / count)

    def node_near(self, centre: float) -> float:
        """A float at which the function is almost a float of the type."""

        def distance(node: float) -> Any:
            exact = self.function(node)
            return abs(exact - mpf(rounded(exact, self.kind)))

        ulp = 2.0 ** -(MANTISSA[self.kind] + 1)
        return min((rounded(mpf(centre) * (1 + 3 * k * ulp), self.kind) for k in range(200)), key=distance)

    def piece(self, j: int) -> tuple[float, tuple[float, ...], float]:
        """Node, coefficients, and what rounding took from the slope of the first piece."""
        low, high = self.edges(j)
        degrees = {self.kind: (self.degree, 0)}
        if j == 0:
            ratio = Fit(
                lambda t: self.function(t) / t if t else m.diff(self.function, 0),
                lambda t: t / self.function(t) if t else mpf(1),
                0,
                high,
                {self.kind: (self.degree - 1, 0)},
            )
            coefficients, _, lost = ratio.run(self.kind)
            return 0.0, (0.0, *coefficients), lost
        if low > self.last_node:
            return 0.0, (0.0,) * (self.degree + 1), 0.0
        last = low <= self.last_node < high
        node = self.last_node if last else self.node_near((low + high) / 2)
        if last:
            high = node + (node - low) / 16
        fit = Fit(
            lambda t: self.function(node + t), lambda t: 1 / self.function(node + t), low - node, high - node, degrees
        )
        return node, fit.run(self.kind)[0], 0.0

    def tables(self, name: str) -> dict[str, tuple[float, ...]]:
        """One table for the nodes and one for each coefficient, by the index which the bits give."""
        offset = (int(m.log(self.smallest, 2)) + (127 if self.kind == "f32" else 1023)) << self.splits
        rows: list[Any] = [None] * 16
        for j in range(16):
            rows[(offset + j) % 16] = self.piece(j)
        out = {f"{name}_node": tuple(row[0] for row in rows)}
        for k in range(self.degree + 1):
            out[f"{name}_{k}"] = tuple(row[1][k] for row in rows)
        if self.low:
            out[f"{name}_low"] = tuple(row[2] for row in rows)
        return out


PIECES = {
    "tanh": Pieces(m.tanh, 2.0**-4, 6, 10.0),
    "erf": Pieces(m.erf, 2.0**-6, 7, 3.9375, low=True),
    "erf_f64": Pieces(m.erf, 2.0**-1, 14, 5.9375, "f64", low=True, splits=2),
}


def two_over_pi() -> tuple[int, ...]:
    """Entry o: the 24 bits of 2/pi that begin at fraction bit 8 o."""
    mp.prec = 1600
    bits = int(m.floor(2 / m.pi * mpf(2) ** 1440))
    mp.prec = PRECISION
    return tuple((bits >> (1440 - 8 * o - 24)) & 0xFFFFFF for o in range(146))


def listing(values: Sequence[object], indent: int) -> str:
    """Values in lines of at most 118 characters."""
    lines, line = [], " " * indent
    for value in values:
        text = f"{value!r}, "
        if len(line) + len(text) > 118:
            lines.append(line.rstrip())
            line = " " * indent
        line += text
    return "\n".join([*lines, line.rstrip()])


def dictionary(name: str, kind: str, entries: dict[Any, Any]) -> str:
    """The source of one dictionary of tuples."""
    rows = [f'    ("{k[0]}", "{k[1]}"): (\n{listing(v, 8)}\n    ),' for k, v in entries.items()]
    return f"{name}: dict[tuple[str, str], {kind}] = {{\n" + "\n".join(rows) + "\n}\n"


HEADER = '''"""Polynomials and constants of the elementary functions. Made by tools/generate_coefficients.py.

Flows in: nothing.
Flows out: numbers by (name, type): `POLYNOMIALS` low to high, `CONSTANTS` in parts.
"""
'''
TABLES_HEADER = '''"""Tables of the elementary functions. Made by tools/generate_coefficients.py.

Flows in: nothing.
Flows out: `TABLES` of 16 numbers by (name, type), how functions in pieces use them, and the bits of 2/pi.
"""
'''


def write(values: dict[str, dict[Any, Any]]) -> None:
    """Writes the modules."""
    piecewise = {
        (name.removesuffix("_f64"), p.kind): (p.smallest, MANTISSA[p.kind] - p.splits, p.degree)
        for name, p in PIECES.items()
    }
    rows = [f'    ("{k[0]}", "{k[1]}"): {v!r},' for k, v in piecewise.items()]
    numbers = [dictionary(name, "tuple[float, ...]", values[name]) for name in ("POLYNOMIALS", "CONSTANTS")]
    (PLACE / "coefficients.py").write_text("\n".join([HEADER, *numbers]))
    tables = [
        TABLES_HEADER,
        dictionary("TABLES", "tuple[float, ...]", values["TABLES"]),
        "# Where the pieces begin, by how much an index is shifted, degree.\n"
        "PIECEWISE: dict[tuple[str, str], tuple[float, int, int]] = {\n" + "\n".join(rows) + "\n}\n",
        "# Entry o: the 24 bits of 2/pi that begin at fraction bit 8 o.\n"
        f"TWO_OVER_PI: tuple[int, ...] = (\n{listing(two_over_pi(), 4)}\n)\n",
    ]
    (PLACE / "tables.py").write_text("\n".join(tables))


def existing() -> dict[str, dict[Any, Any]]:
    """What the modules hold now."""
    scope: dict[str, Any] = {}
    for path in (PLACE / "coefficients.py", PLACE / "tables.py"):
        if path.exists():
            exec(path.read_text(), scope)
    return {name: dict(scope.get(name, {})) for name in ("POLYNOMIALS", "CONSTANTS", "TABLES")}


def make_polynomials(into: dict[Any, Any], wanted: set[str]) -> None:
    """Runs the fits that are wanted (all, if none is named)."""
    fits = exp_fits() | log_fits() | trigonometric_fits() | error_fits() | gamma_fits()
    for name, fit in fits.items():
        if wanted and name not in wanted:
            continue
        mp.prec = 160 if any(slow in name for slow in ("erf", "cube", "gamma")) else PRECISION  # slow to evaluate
        for kind in fit.degrees:
            coefficients, error, lost = fit.run(kind)
            into[name.removesuffix("_f64"), kind] = coefficients
            if name.startswith("erfc"):
                into["erfc_low", kind] = (lost,)
            print(f"{name:18s} {kind} degree {len(coefficients) - 1:2d} error 2^{error:.1f}", flush=True)
        mp.prec = PRECISION


def main(names: Sequence[str]) -> None:
    """Makes what is named, keeps the rest."""
    wanted = set(names)
    values = existing()
    make_polynomials(values["POLYNOMIALS"], wanted)
    for kind in ("f32", "f64"):
        for name, value in constants(kind).items():
            values["CONSTANTS"][name, kind] = value
        tables = exp_tables(kind) | log_tables(kind)
        values["TABLES"].update({(name, kind): value for name, value in tables.items()})
    for name, pieces in PIECES.items():
        if not wanted or name in wanted:
            mp.prec = 120
            plain = name.removesuffix("_f64")
            stale = [key for key in values["TABLES"] if key[0].startswith(f"{plain}_") and key[1] == pieces.kind]
            for key in stale:
                del values["TABLES"][key]
            tables = pieces.tables(plain)
            values["TABLES"].update({(key, pieces.kind): v for key, v in tables.items()})
            mp.prec = PRECISION
    write(values)


if __name__ == "__main__":
    main(sys.argv[1:])
