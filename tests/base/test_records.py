"""Records behave as frozen, slotted dataclasses do."""
from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tracejit.base.records import record


@record
class Point:
    """Two numbers."""

    x: int
    y: Any = 2

    @property
    def total(self) -> Any:
        return self.x + self.y


@record
class Empty:
    """Nothing."""


@record
class One:
    """Compared in its own way."""

    x: int

    def __eq__(self, other: object) -> bool:
        return other is self

    def __hash__(self) -> int:
        return id(self)


def test_fields_defaults_methods_and_text() -> None:
    assert Point(1).total == 3 and Point(1, y=4).y == 4 and repr(Point(1)) == "Point(x=1, y=2)"
    assert Point.__doc__ == "Two numbers." and Point.__module__ == __name__
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]


def test_equality_and_hash_are_those_of_the_fields() -> None:
    assert Point(1) == Point(1, 2) != Point(1, 3) and hash(Point(1)) == hash(Point(1, 2))
    assert Empty() == Empty() and Empty() != Point(1) and hash(Empty()) == hash(Empty())
    assert One(1) != One(1) and len({One(1), One(1)}) == 2


def test_records_are_fixed_and_have_no_dict() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="fixed"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="fixed"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_records_match_copy_and_pickle() -> None:
    match Point(1, 5):
        case Point(x, y):
            assert (x, y) == (1, 5)
    assert copy.deepcopy(Point(1, (3,))) == pickle.loads(pickle.dumps(Point(1, (3,)))) == Point(1, (3,))
