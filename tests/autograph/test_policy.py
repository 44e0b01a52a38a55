"""Which callables are the user's code.

Flows in:  callables of all kinds.  Flows out: facts about `policy` and the plain namespace's calls.
"""
from __future__ import annotations

import abc
import collections
import functools
import statistics
from typing import Any

import numpy as np
import pytest

from tracejit.autograph import PlainNamespace, convert, policy


class Recorder(PlainNamespace):
    """Notes which functions are converted."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def converted(self, function: Any) -> Any:
        self.seen.append(function.__name__)
        return super().converted(function)


class Plain:
    def __init__(self, w: int) -> None: self.w = w

    def method(self, v: int) -> int: return self.w * v

    def __call__(self, v: int) -> int: return self.method(v)

    @property
    def twice(self) -> int: return 2 * self.w

    @twice.setter
    def twice(self, v: int) -> None: self.w = v // 2


class Abstract(abc.ABC):
    def __init__(self) -> None: self.v = 1

    @abc.abstractmethod
    def f(self) -> int: ...


class Concrete(Abstract):
    def f(self) -> int: return self.v


class WithNew:
    def __new__(cls) -> WithNew: return super().__new__(cls)

    def __init__(self) -> None: self.v = 1


def user(v: int) -> int: return v + 1


@pytest.mark.parametrize("fn", [len, np.exp, np.mean, np.linalg.norm, statistics.mean, int, Plain,
                                functools.lru_cache(user), collections.OrderedDict, [].append, functools.partial(len)])
def test_library_code_and_classes_are_left_alone(fn: Any) -> None:
    assert policy.resolve(fn) is None


def test_user_callables_resolve_to_their_function_and_arguments() -> None:
    p = Plain(3)
    assert policy.resolve(user) == policy.Callee(user)
    assert policy.resolve(p.method) == policy.Callee(Plain.method, (p,))
    assert policy.resolve(p) == policy.Callee(Plain.__call__, (p,))
    part = functools.partial(functools.partial(p.method, 1), 2, k=3)
    assert policy.resolve(part) == policy.Callee(Plain.method, (p, 1, 2), {"k": 3})


def test_converted_code_is_not_converted_again() -> None:
    fn = convert(lambda k: (lambda v: v))
    assert policy.resolve(fn) is None and policy.resolve(fn(1)) is None


def test_constructors_properties_and_callables_are_converted() -> None:
    def run(w: int) -> Any:
        p = Plain(w)
        p.twice = p.twice + 2
        return p(2), p.twice, Concrete().f(), WithNew().v
    namespace = Recorder()
    assert convert(run, namespace)(3) == (8, 8, 1, 1)
    assert namespace.seen == ["__init__", "twice", "twice", "__call__", "method", "twice", "__init__", "f"]


def test_abstract_classes_stay_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        convert(lambda: Abstract())()    # type: ignore[abstract]


def test_functions_given_to_builtins_are_converted() -> None:
    namespace = Recorder()
    assert convert(lambda xs: sorted(map(user, xs), key=functools.partial(pow_, k=2)), namespace)([1, 2]) == [2, 3]
    assert namespace.seen == ["user", "pow_"]


def pow_(v: int, k: int) -> int: return v ** k


def test_installed_packages_can_count_as_the_users() -> None:
    assert policy.resolve(statistics.mean, frozenset({"statistics"})) is not None
    assert not policy.is_user_file(statistics.__file__) and not policy.is_user_file(np.__file__)
    assert policy.is_user_file("<ipython-input-1>") and not policy.is_user_file("<frozen os>")
    assert not policy.is_user_file(policy.__file__) and policy.is_internal_file(policy.__file__)
