"""Every error class: the program that raises it, and the text that users read.

Flows in: functions with one mistake each.
"""

import re
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base import errors


def shapes(x: Any) -> Any:
    return x + np.ones(4)


def concrete(x: Any) -> Any:
    return x + ["a", "b"].index("a", int(x.sum()))


def bitwise(x: Any) -> Any:
    return x & 1


def immutable(t: Any) -> None:
    t[0] = 1.0


def random(x: Any) -> Any:
    return x + np.random.normal()


def recursive(x: Any) -> Any:
    return recursive(x)


def element(x: Any) -> Any:
    return x[5]


X = np.arange(3.0)
CASES: list[tuple[Any, Any, type[Exception], str]] = [
    (shapes, X, errors.ShapeError, "return x + np.ones(4)"),
    (concrete, X, errors.ConcretizationError, 'return x + ["a", "b"].index("a", int(x.sum()))'),
    (bitwise, X, TypeError, "return x & 1"), (immutable, tj.constant([1.0]), errors.MutationError, "t[0] = 1.0"),
    (random, X, errors.UnsupportedError, "return x + np.random.normal()"),
    (recursive, X, errors.RecursionLimitError, "return recursive(x)"), (element, X, IndexError, "return x[5]")]


@pytest.mark.parametrize(("fn", "argument", "kind", "line"), CASES, ids=lambda p: getattr(p, "__name__", None))
def test_the_message_names_the_line_the_reason_and_the_way_out(fn: Any, argument: Any, kind: Any, line: str) -> None:
    with pytest.raises(kind) as caught:
        tj.function(fn)(argument)
    text = str(caught.value)
    assert str(caught.traceback[-1].path) == __file__, "the traceback ends in the user's file"
    if isinstance(caught.value, errors.TracejitError):
        number = fn.__code__.co_firstlineno
        assert f"--> {__file__}:" in text and f"in {fn.__name__}" in text
        assert line in text and "^" in text
        assert kind is IndexError or re.search(r"\n  (why|fix): ", text)
        assert number < caught.value.span.line <= number + 3
    else:
        assert caught.traceback[-1].statement.lines[0].strip() == line


def test_messages_show_types_and_no_tracers() -> None:
    with pytest.raises(errors.ConcretizationError) as caught:
        tj.function(concrete)(X)
    assert "i64[]" in str(caught.value) and "Array(" not in str(caught.value)


def test_the_whole_message(golden: Any) -> None:
    def forward(x: Any, w: Any, bias: Any) -> Any:
        return x @ w + bias

    with pytest.raises(errors.ShapeError) as caught:
        tj.function(forward)(np.ones((2, 3)), np.ones((3, 3)), np.ones(4))
    golden("errors/shape", re.sub(r"--> .*:\d+ in|\n +\d+ \|", lambda m: "--> FILE in" if "-->" in m[0] else "\n |",
                                  str(caught.value)))


@pytest.mark.parametrize(("name", "builtin"), [
    ("ShapeError", ValueError), ("DtypeError", TypeError), ("UnsupportedTypeError", TypeError),
    ("UnsupportedError", NotImplementedError), ("TracedBoolError", NotImplementedError),
    ("ConcretizationError", TypeError), ("MutationError", TypeError), ("TracedIndexError", IndexError),
    ("SourceUnavailableError", OSError), ("SignatureError", TypeError), ("RecursionLimitError", RecursionError),
    ("MemoryLimitError", MemoryError), ("InternalError", RuntimeError), ("RetraceWarning", UserWarning)])
def test_each_class_is_the_builtin_that_numpy_or_python_raises(name: str, builtin: type) -> None:
    assert issubclass(getattr(tj.errors, name), builtin)


def test_an_error_in_a_helper_names_the_helper() -> None:
    def helper(y: Any) -> Any:
        return y.reshape(7)

    with pytest.raises(ValueError, match="in helper"):
        tj.function(lambda x: helper(x))(X)


def test_errors_of_the_users_own_code_pass_through() -> None:
    class Mine(Exception):
        pass

    @tj.function
    def f(x: Any) -> Any:
        if x.shape[0] == 3:
            raise Mine("three")
        return x

    with pytest.raises(Mine, match="three") as caught:
        f(X)
    assert caught.traceback[-1].statement.lines[0].strip() == 'raise Mine("three")'
    assert f(np.ones(2)).tolist() == [1, 1]


def test_an_error_can_be_caught_inside_the_function() -> None:
    @tj.function
    def f(x: Any) -> Any:
        try:
            return x.reshape(5)
        except ValueError:
            return x + 1

    np.testing.assert_array_equal(f(X), X + 1)
