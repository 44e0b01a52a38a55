"""Whether a value has the form of a pattern of `match`, and what names in the pattern stand for.

Flows in:  a subject and a pattern: nested tuples `(kind, ...)`, made by matching.py.
Flows out: `Match`, by comparisons, `and`, `or`, loads of items and attributes that a namespace does.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Pattern = tuple[Any, ...]
_TAKES_ITSELF = (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple)
_ABSENT: Any = object()


class Match:
    """A subject beside a pattern. test: whether it has that form."""

    __slots__ = ("namespace", "pattern", "subject", "test")

    def __init__(self, namespace: Any, subject: Any, pattern: Pattern):
        self.namespace, self.subject, self.pattern = namespace, subject, pattern
        self.test = holds(namespace, subject, pattern)

    def captured(self, name: str) -> Any:
        """What `name` stands for, where the test holds."""
        return captured(self.namespace, self.subject, self.pattern, name)


def holds(ns: Any, subject: Any, pattern: Pattern) -> Any:
    """A bool, or what the namespace takes for one. Source: Python reference, section 8.6.4."""
    kind, *parts = pattern
    if kind == "name":
        return True if parts[1] is None else holds(ns, subject, parts[1])
    if kind == "is" or kind == "value":
        return ns.compare(("is" if kind == "is" else "==",), subject, parts[0])
    if kind == "or":
        first, *rest = parts
        return ns.or_(holds(ns, subject, first), *[_later(ns, subject, p) for p in rest])
    return ns.where_present(subject, lambda present: _FORMS[kind](ns, present, *parts))


def _later(ns: Any, subject: Any, pattern: Pattern) -> Callable[[], Any]:
    return lambda: holds(ns, subject, pattern)


def captured(ns: Any, subject: Any, pattern: Pattern, name: str) -> Any:
    """What `name` stands for in a pattern whose form the subject has."""
    kind, *parts = pattern
    if kind == "name":
        return subject if parts[0] == name else captured(ns, subject, parts[1], name)
    if kind == "or":
        return _captured_by_one(ns, subject, parts, name)
    subject = ns.known_present(subject)
    if kind == "sequence" and parts[1] == name:
        return [ns.load_item(subject, i) for i in _starred(subject, *parts)]
    if kind == "mapping" and parts[2] == name:
        return {key: subject[key] for key in subject if key not in parts[0]}
    part, inner = next((part, inner) for part, inner in _parts(ns, subject, pattern) if name in names_of(inner))
    return captured(ns, part(), inner, name)


def _captured_by_one(ns: Any, subject: Any, alternatives: Sequence[Pattern], name: str) -> Any:
    first, *rest = alternatives
    if not rest:
        return captured(ns, subject, first, name)
    return ns.if_expression(holds(ns, subject, first), lambda: captured(ns, subject, first, name),
                            lambda: _captured_by_one(ns, subject, rest, name))


def names_of(pattern: Pattern) -> set[str]:
    """The names that a pattern binds."""
    kind, *parts = pattern
    if kind == "name":
        return {n for n in (parts[0],) if n} | (names_of(parts[1]) if parts[1] else set())
    if kind in ("is", "value"):
        return set()
    if kind == "or":
        return names_of(parts[0])
    own = {n for n in parts if isinstance(n, str) and n}
    return own.union(*[names_of(inner) for inner in _subpatterns(pattern)])


def _subpatterns(pattern: Pattern) -> tuple[Pattern, ...]:
    kind, *parts = pattern
    if kind == "sequence":
        return (*parts[0], *parts[2])
    return parts[1] if kind == "mapping" else (*parts[1], *parts[3])


def _parts(ns: Any, subject: Any, pattern: Pattern) -> list[tuple[Callable[[], Any], Pattern]]:
    """The parts of a subject that have patterns of their own, each asked for when it is needed."""
    kind, *parts = pattern
    if kind == "sequence":
        before, _, after = parts
        places = [*range(len(before)), *range(-len(after), 0)]
        return [(_item(ns, subject, i), inner) for i, inner in zip(places, (*before, *after), strict=True)]
    if kind == "mapping":
        return [(_item(ns, subject, key), inner) for key, inner in zip(parts[0], parts[1], strict=True)]
    return _class_parts(ns, subject, *parts)


def _item(ns: Any, subject: Any, key: Any) -> Callable[[], Any]:
    return lambda: ns.load_item(subject, key)


def _all_hold(ns: Any, test: Any, parts: list[tuple[Callable[[], Any], Pattern]]) -> Any:
    """`test and` every part has its form; none is asked for before those in front of it have theirs."""
    tests = [_of_part(ns, part, inner) for part, inner in parts if inner[:3] != ("name", None, None)]
    return ns.and_(test, *tests) if tests else test


def _of_part(ns: Any, part: Callable[[], Any], inner: Pattern) -> Callable[[], Any]:
    return lambda: holds(ns, part(), inner)


def _is_sequence(ns: Any, subject: Any, before: tuple[Pattern, ...], star: str | None,
                 after: tuple[Pattern, ...]) -> Any:
    if not isinstance(subject, Sequence) or isinstance(subject, (str, bytes, bytearray)):
        return False
    least, length = len(before) + len(after), ns.call(len, subject)
    long_enough = ns.compare(("==" if star is None else ">=",), length, least)
    return _all_hold(ns, long_enough, _parts(ns, subject, ("sequence", before, star, after)))


def _starred(subject: Any, before: tuple[Pattern, ...], _: str, after: tuple[Pattern, ...]) -> range:
    return range(len(before), len(subject) - len(after))


def _is_mapping(ns: Any, subject: Any, keys: tuple[Any, ...], inner: tuple[Pattern, ...], rest: str | None) -> Any:
    if not isinstance(subject, Mapping) or any(subject.get(key, _ABSENT) is _ABSENT for key in keys):
        return False
    return _all_hold(ns, True, _parts(ns, subject, ("mapping", keys, inner, rest)))


def _is_instance(ns: Any, subject: Any, cls: Any, inner: tuple[Pattern, ...], names: tuple[str, ...],
                 named: tuple[Pattern, ...]) -> Any:
    if not isinstance(cls, type):
        raise TypeError("called match pattern must be a class")
    is_one = ns.call(isinstance, subject, cls)
    if is_one is False:
        return False
    attributes = (*_positional(cls, len(inner)), *names)
    if len(set(attributes)) < len(attributes):
        raise TypeError(f"{cls.__name__}() got multiple sub-patterns for attribute {attributes[len(inner)]!r}")
    if any(name is not None and not hasattr(subject, name) for name in attributes):
        return False
    return _all_hold(ns, is_one, _class_parts(ns, subject, cls, inner, names, named))


def _class_parts(ns: Any, subject: Any, cls: Any, inner: tuple[Pattern, ...], names: tuple[str, ...],
                 named: tuple[Pattern, ...]) -> list[tuple[Callable[[], Any], Pattern]]:
    attributes = (*_positional(cls, len(inner)), *names)
    return [(_attribute(ns, subject, name), p) for name, p in zip(attributes, (*inner, *named), strict=True)]


def _attribute(ns: Any, subject: Any, name: str | None) -> Callable[[], Any]:
    return lambda: subject if name is None else ns.load_attribute(subject, name)


def _positional(cls: type, count: int) -> list[str | None]:
    """The attributes of positional patterns; None is the subject itself."""
    if "__match_args__" not in dir(cls) and issubclass(cls, _TAKES_ITSELF):
        known: tuple[Any, ...] = (None,)
    else:
        known = getattr(cls, "__match_args__", ())
    if count > len(known):
        plural = "" if len(known) == 1 else "s"
        raise TypeError(f"{cls.__name__}() accepts {len(known)} positional sub-pattern{plural} ({count} given)")
    return list(known[:count])


_FORMS: dict[str, Callable[..., Any]] = {    # fixed table
    "sequence": _is_sequence, "mapping": _is_mapping, "class": _is_instance}
