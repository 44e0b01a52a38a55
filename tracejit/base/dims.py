"""Symbolic dimensions: integer polynomials of named sizes, with floor division, modulo, min and max.

Flows in:  symbols (`Dim.symbol("n")`) and ints, joined by Python's arithmetic.
Flows out: `Size = int | Dim`; a polynomial without symbols is always a plain int, never a `Dim`.
"""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

Size = Union[int, "Dim"]
Atom = Union[str, "Opaque"]
Monomial = tuple[tuple[Atom, int], ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """A function of dimensions that is no polynomial: `floordiv`, `mod`, `max` or `min` of two sizes."""

    name: str
    args: tuple[Size, ...]

    def __str__(self) -> str:
        return f"{self.name}({','.join(map(str, self.args))})"


FUNCTIONS: dict[str, Callable[[int, int], int]] = {    # fixed table
    "floordiv": lambda x, y: x // y, "mod": lambda x, y: x % y, "max": max, "min": min}


class Dim:
    """A polynomial with integer coefficients. Immutable, hashable, printed as parsed: `2*n+1`.

    `==` is structural. Order comparisons are not offered: whether n < m is known only at run time.
    """

    __slots__ = ("_hash", "terms")
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: Mapping[Monomial, int]):
        self.terms = tuple(sorted(((m, c) for m, c in terms.items() if c), key=_order))
        self._hash = hash(self.terms)

    @staticmethod
    def symbol(name: str) -> Dim:
        return Dim({((name, 1),): 1})

    @staticmethod
    def parse(text: str) -> Size:
        """Reads what `str(dim)` writes."""
        return _from_ast(ast.parse(text, mode="eval").body)

    def symbols(self) -> frozenset[str]:
        """The names of all sizes this one depends on."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom, _ in monomial:
                found |= {atom} if isinstance(atom, str) else symbols_of(atom.args)
        return frozenset(found)

    @property
    def as_symbol(self) -> str | None:
        """The name, if this is one symbol and nothing else."""
        match self.terms:
            case ((((str() as name, 1),), 1),):
                return name
        return None

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The value for given sizes; KeyError names a missing one."""
        value = self.fold(lambda name: sizes[name], lambda n: n, lambda x, y: x + y, lambda x, y: x * y,
                          lambda name, x, y: FUNCTIONS[name](x, y))
        return int(value)

    def substitute(self, sizes: Mapping[str, Size]) -> Size:
        """The same polynomial with some symbols replaced."""
        return self.fold(lambda name: sizes.get(name, Dim.symbol(name)), lambda n: n,  # type: ignore[no-any-return]
                         lambda x, y: x + y, lambda x, y: x * y, dim_function)

    def fold(self, symbol: Callable[[str], Any], constant: Callable[[int], Any], add: Callable[[Any, Any], Any],
             multiply: Callable[[Any, Any], Any], function: Callable[[str, Any, Any], Any]) -> Any:
        """Computes the polynomial in any arithmetic: numbers, expressions of an IR, text."""
        def of(size: Size) -> Any:
            return size.fold(symbol, constant, add, multiply, function) if isinstance(size, Dim) else constant(size)

        total = None
        for monomial, coefficient in self.terms:
            product = constant(coefficient) if coefficient != 1 or not monomial else None
            for atom, power in monomial:
                factor = symbol(atom) if isinstance(atom, str) else function(atom.name, *map(of, atom.args))
                for _ in range(power):
                    product = factor if product is None else multiply(product, factor)
            total = product if total is None else add(total, product)
        return constant(0) if total is None else total

    def __add__(self, other: Size) -> Size: return _sum(self, other, 1)
    def __sub__(self, other: Size) -> Size: return _sum(self, other, -1)
    def __rsub__(self, other: int) -> Size: return _sum(_sum(0, self, -1), other, 1)
    def __mul__(self, other: Size) -> Size: return _product(self, other)
    def __neg__(self) -> Size: return _product(self, -1)
    def __floordiv__(self, other: Size) -> Size: return dim_function("floordiv", self, other)
    def __rfloordiv__(self, other: int) -> Size: return dim_function("floordiv", other, self)
    def __mod__(self, other: Size) -> Size: return dim_function("mod", self, other)
    def __rmod__(self, other: int) -> Size: return dim_function("mod", other, self)
    __radd__, __rmul__ = __add__, __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        text = "+".join(_print_term(m, c) for m, c in self.terms)
        return text.replace("+-", "-")

    __repr__ = __str__


def dim_function(name: str, x: Size, y: Size) -> Size:
    """floordiv, mod, max or min of two sizes, simplified where it is a number or trivially one of them."""
    if isinstance(x, int) and isinstance(y, int):
        return FUNCTIONS[name](x, y)
    if name in ("floordiv", "mod") and isinstance(y, int) and y != 0 and (whole := _exact_quotient(x, y)) is not None:
        return whole if name == "floordiv" else 0
    if name in ("max", "min") and x == y:
        return x
    if name in ("floordiv", "mod") and x == y:
        return 1 if name == "floordiv" else 0
    if name in ("max", "min") and isinstance(difference := x - y, int):
        return x if (difference > 0) == (name == "max") else y
    return Dim({((Opaque(name, (x, y)), 1),): 1})


def product(sizes: Iterable[Size]) -> Size:
    """The number of elements of a shape."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def divide_exactly(x: Size, y: Size) -> Size | None:
    """q with q * y == x for all sizes, or None if no such polynomial is found."""
    if isinstance(y, int):
        if y == 0:
            return None
        return (x // y if x % y == 0 else None) if isinstance(x, int) else _exact_quotient(x, y)
    if isinstance(x, int):
        return 0 if x == 0 else None
    if len(y.terms) != 1:
        return 1 if x == y else None
    (divisor, by), = y.terms
    terms: dict[Monomial, int] = {}
    for monomial, coefficient in x.terms:
        powers = dict(monomial)
        for atom, power in divisor:
            powers[atom] = powers.get(atom, 0) - power
        if coefficient % by or min(powers.values(), default=0) < 0:
            return None
        terms[_monomial(powers)] = coefficient // by
    return _normal(terms)


def evaluate_size(size: Size, sizes: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else size.evaluate(sizes)


def substitute_size(size: Size, sizes: Mapping[str, Size]) -> Size:
    return size if isinstance(size, int) else size.substitute(sizes)


def symbols_of(sizes: Iterable[Size]) -> frozenset[str]:
    return frozenset(name for size in sizes if isinstance(size, Dim) for name in size.symbols())


def _order(term: tuple[Monomial, int]) -> tuple[Any, ...]:
    monomial, _ = term
    return (-sum(p for _, p in monomial), [(str(a), p) for a, p in monomial])


def _terms(size: Size) -> dict[Monomial, int]:
    return {(): size} if isinstance(size, int) else dict(size.terms)


def _normal(terms: Mapping[Monomial, int]) -> Size:
    kept = {m: c for m, c in terms.items() if c}
    return kept.get((), 0) if not kept or set(kept) == {()} else Dim(kept)


def _sum(x: Size, y: Size, sign: int) -> Size:
    if not isinstance(y, (int, Dim)):
        return NotImplemented
    terms = _terms(x)
    for monomial, coefficient in _terms(y).items():
        terms[monomial] = terms.get(monomial, 0) + sign * coefficient
    return _normal(terms)


def _product(x: Size, y: Size) -> Size:
    if not isinstance(y, (int, Dim)):
        return NotImplemented
    terms: dict[Monomial, int] = {}
    for left, c in _terms(x).items():
        for right, d in _terms(y).items():
            powers = dict(left)
            for atom, power in right:
                powers[atom] = powers.get(atom, 0) + power
            key = _monomial(powers)
            terms[key] = terms.get(key, 0) + c * d
    return _normal(terms)


def _monomial(powers: Mapping[Atom, int]) -> Monomial:
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda item: str(item[0])))


def _exact_quotient(x: Size, y: int) -> Size | None:
    terms = _terms(x)
    return None if any(c % y for c in terms.values()) else _normal({m: c // y for m, c in terms.items()})


def _print_term(monomial: Monomial, coefficient: int) -> str:
    factors = [str(atom) for atom, power in monomial for _ in range(power)]
    if not factors:
        return str(coefficient)
    return ("-" if coefficient == -1 else "" if coefficient == 1 else f"{coefficient}*") + "*".join(factors)


def _from_ast(node: ast.expr) -> Size:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Name(id=name):
            return Dim.symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_from_ast(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _from_ast(left) + _from_ast(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _from_ast(left) - _from_ast(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _from_ast(left) * _from_ast(right)
        case ast.Call(func=ast.Name(id=name), args=[x, y]) if name in FUNCTIONS:
            return dim_function(name, _from_ast(x), _from_ast(y))
    raise ValueError(f"not a dimension: {ast.unparse(node)}")
