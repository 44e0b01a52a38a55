"""What the command line names is read as a user means it, or refused with what to type.

Flows in: texts.  Flows out: argument trees, functions, messages.
"""

from pathlib import Path

import numpy as np
import pytest

from tracejit.base.types import ArrayType
from tracejit.cli.arguments import UsageError, load_function, parse_arguments, random_arguments, split_target


def test_types_literals_and_containers_are_read() -> None:
    args, keywords = parse_arguments("{'w': f32[784,10]}, f32[n,784], 0.1, (i64, [True, None]), power=-2")
    assert args == (
        {"w": ArrayType.parse("f32[784,10]")},
        ArrayType.parse("f32[n,784]"),
        0.1,
        (ArrayType.parse("i64"), [True, None]),
    )
    assert keywords == {"power": -2}


@pytest.mark.parametrize("text", ["f32[", "q32[4]", "f(3)", "f32[4] +"])
def test_a_text_that_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--args"):
        parse_arguments(text)


def test_random_arguments_have_the_types_asked_for() -> None:
    x, flag, scale = random_arguments("f32[n,3], bool[4], 0.5", np.random.default_rng(0), {"n": 7})
    assert x.dtype == np.float32 and x.shape == (7, 3) and flag.dtype == bool and scale == 0.5


def test_function_is_loaded_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "model_for_cli.py"
    file.write_text("class Model:\n    def forward(x):\n        return x + 1\n")
    assert load_function(*split_target(f"{file}:Model.forward"))(1) == 2


def test_missing_function_names_those_that_exist(tmp_path: Path) -> None:
    file = tmp_path / "another_for_cli.py"
    file.write_text("def forward(x):\n    return x\n")
    with pytest.raises(UsageError, match="another_for_cli.py has no backward; it has forward"):
        load_function(file, "backward")


@pytest.mark.parametrize("target", ["model.py", "nowhere.py:f", ":f"])
def test_target_must_name_file_and_function(target: str) -> None:
    with pytest.raises(UsageError):
        split_target(target)
