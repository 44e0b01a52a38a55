"""Pytrees, options, source spans, errors."""
from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tracejit.base.errors import InternalError, ShapeError, TracejitError
from tracejit.base.options import config, options
from tracejit.base.spans import SourceSpan
from tracejit.base.trees import flatten, flatten_with_paths, register_node, tree_map, unflatten

Point = namedtuple("Point", "x y")


@dataclass(frozen=True)
class Layer:
    w: Any
    b: Any = field(init=False, default=0)


class Box:
    def __init__(self, content: Any):
        self.content = content


register_node(Box, lambda box: ([box.content], "box"), lambda meta, children: Box(children[0]),
              lambda meta, i: ".content")


@pytest.mark.parametrize("tree", [
    1, None, [1, [2, (3,)]], {"b": 1, "a": [2, None]}, (), Point(1, [2]), OrderedDict(z=1, y=2),
    defaultdict(list, k=[1]), Layer([1, 2])], ids=repr)
def test_trees_are_rebuilt_as_they_were(tree: Any) -> None:
    leaves, structure = flatten(tree)
    again = unflatten(structure, leaves)
    assert again == tree and type(again) is type(tree)
    assert structure.num_leaves == len(leaves) and hash(structure) == hash(flatten(tree)[1])


def test_dicts_keep_their_order() -> None:
    leaves, structure = flatten({"b": 1, "a": 2})
    assert leaves == [1, 2] and list(unflatten(structure, leaves)) == ["b", "a"]


def test_registered_classes_are_containers() -> None:
    assert tree_map(lambda x: x + 1, Box([1, 2])).content == [2, 3]


def test_paths_read_as_python() -> None:
    found, _ = flatten_with_paths({"layers": [Layer(7), Box(8)], "p": Point(1, 2)}, "params")
    assert [path for path, _ in found] == ["params['layers'][0].w", "params['layers'][0].b",
                                           "params['layers'][1].content", "params['p'].x", "params['p'].y"]


@pytest.mark.parametrize("leaves", [[1], [1, 2, 3]])
def test_a_wrong_number_of_leaves_is_refused(leaves: list[int]) -> None:
    with pytest.raises(ValueError, match="leaves for"):
        unflatten(flatten([0, 0])[1], leaves)


def test_trees_of_different_structure_do_not_map() -> None:
    with pytest.raises(ValueError, match="trees differ"):
        tree_map(lambda x, y: x, [1, 2], [1])


def test_options_hold_for_their_block_only() -> None:
    before = config.debug
    with options(debug=4):
        with options(debug=5, verify=True):
            assert config.debug == 5 and config.verify
        assert config.debug == 4
    assert config.debug == before


def test_unknown_options_are_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="no setting 'debgu'; there are .*debug"), options(debgu=1):
        pass
    with pytest.raises(AttributeError, match="no setting"):
        config.nothing = 1


def test_options_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = type(config)()
    monkeypatch.setenv("TRACEJIT_RETRACE_LIMIT", "3")
    assert fresh.retrace_limit == 3
    monkeypatch.setenv("TRACEJIT_DEBUG", "much")
    with pytest.raises(ValueError, match="TRACEJIT_DEBUG='much' can't be read"):
        fresh.debug  # noqa: B018


def test_errors_show_the_line_with_carets(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("def forward(x):\n    return x @ w + bias\n")
    span = SourceSpan(str(file), 2, 11, 2, 23, "forward")
    error = ShapeError("add got f32[2,3] and f32[4]", span=span, why="sizes must be equal or 1", fix="bias[:3]")
    assert str(error).splitlines() == [
        "add got f32[2,3] and f32[4]", f"  --> {file}:2 in forward", "    2 |     return x @ w + bias",
        "      |            ^^^^^^^^^^^^", "  why: sizes must be equal or 1", "  fix: bias[:3]"]
    assert isinstance(error, ValueError) and isinstance(error, TypeError) and isinstance(error, TracejitError)


def test_a_span_is_kept_once_given() -> None:
    first, second = SourceSpan("a.py", 1), SourceSpan("b.py", 2)
    assert InternalError("x").at(first).at(second).span is first
    assert SourceSpan("nowhere.py", 3).picture() == ""
