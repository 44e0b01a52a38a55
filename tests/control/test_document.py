"""docs/control_flow.md has every construct, with an example which is the text of a tested program.

Flows in: the tables of programs, constructs.py.  Flows out: failures; with `--update-golden` the document.
"""

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from tests.control.constructs import CONSTRUCTS
from tests.control.not_yet import NOT_YET
from tests.control.program import Program
from tests.control.test_programs import PROGRAMS

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "control_flow.md"


def programs_of(construct: str) -> list[Program]:
    """Those that are compiled come first."""
    return sorted((p for p in PROGRAMS if p.construct == construct), key=lambda p: p.name in NOT_YET)


def table() -> str:
    lines = ["| construct | what becomes of it | compiled |", "|---|---|---|"]
    for construct, meaning in CONSTRUCTS.items():
        found = programs_of(construct)
        done = sum(p.name not in NOT_YET for p in found)
        lines.append(f"| [{construct}](#{anchor(construct)}) | {meaning} | {done} of {len(found)} |")
    missing = ", ".join(f"`{p.name}`" for p in PROGRAMS if p.name in NOT_YET) or "none"
    return "\n".join([*lines, "", *textwrap.wrap(f"Not compiled yet: {missing}.", 118, break_on_hyphens=False)])


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def examples() -> str:
    return "\n\n".join(f"### {c}\n\n```python\n{text_of(programs_of(c)[0])}```" for c in CONSTRUCTS)


def text_of(program: Program) -> str:
    """Its source without the line of the table."""
    source = inspect.getsource(program.source)
    return source[re.search(r"^def ", source, re.M).start():]    # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "make"), [("constructs", table), ("examples", examples)])
def test_document_shows_every_construct_with_the_text_of_a_program(name: str, make, request) -> None:  # type: ignore
    text = DOCUMENT.read_text(encoding="utf8")
    start = text.index(f"<!-- {name} -->") + len(f"<!-- {name} -->")
    end = text.index("<!-- end -->", start)
    wanted = f"\n{make()}\n"
    if request.config.getoption("--update-golden"):
        DOCUMENT.write_text(text[:start] + wanted + text[end:], encoding="utf8")
        return
    assert text[start:end] == wanted, "run pytest tests/control/test_document.py --update-golden and review the diff"


def test_every_program_belongs_to_a_construct_and_every_construct_has_programs() -> None:
    assert {p.construct for p in PROGRAMS} == CONSTRUCTS.keys()
