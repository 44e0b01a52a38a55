"""F-strings and `%` of converted functions: what they become, and that plain Python's text comes out.

Flows in:  functions that format.
Flows out: converted source and text, compared.
"""
from __future__ import annotations

from typing import Any

import pytest

from tracejit.autograph import convert, to_source


def formatted(x: Any, n: Any) -> Any:
    width = 7
    return f"{x!r:>{width + 2}}|{n:03d} {n=} {{}}", "%d-%s" % (n, x), f"{f'{n}'!s}", f"{x!a}" "b", f"{n:}"    # noqa


def test_formatting_comes_to_the_namespace() -> None:
    text = to_source(formatted)
    assert "ag.text((x, 'r', ag.text('>', (width + 2, '', ''))), '|', (n, '', '03d'), ' n=', (n, 'r', '')" in text
    assert "ag.call('%d-%s'.__mod__, (n, x))" in text


@pytest.mark.parametrize("args", [(1.5, 2), ("\u00e4", -3), (None, 10**6)])
def test_text_is_that_of_plain_python(args: tuple[Any, Any]) -> None:
    assert convert(formatted)(*args) == formatted(*args)


def test_errors_of_formatting_are_those_of_plain_python() -> None:
    converted = convert(formatted)
    for args in ((1, "x"), (1, 2.5)):
        with pytest.raises(ValueError, match="Unknown format code 'd'"):
            formatted(*args)
        with pytest.raises(ValueError, match="Unknown format code 'd'"):
            converted(*args)
