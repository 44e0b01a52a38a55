"""The vocabulary of native code: a small systems language in Python's syntax whose values are 64-bit words.

Flows in:  nothing.
Flows out: the operations, `external` functions, `symbol` and `static` data that native modules import.

A native module is a Python file of functions on words (numbers and addresses alike). Python never runs them:
`translate.py` turns their text into LLVM. Comparison and division are signed; parameters and results are words unless
annotated `Int32` (a C int at the boundary). Integer constants of the module, also imported ones, can be used by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Int32: TypeAlias = int
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the language; `translate.py` has a method of the same name."""

    name: str

    def __call__(self, *operands: object) -> int:
        raise TypeError(f"{self.name} exists in native code only")


@dataclass(frozen=True, slots=True)
class External:
    """A C function, supplied at link time. signature: `i64(i64, i32, ...)`."""

    signature: str

    def __call__(self, *operands: object) -> int:
        raise TypeError("C functions can be called in native code only")


class Data(int):
    """The address of a datum. words: how many words are reserved; 0 if it is supplied at link time."""

    words: int


def external(signature: str) -> External:
    """Declares a C function under the name it is assigned to."""
    return External(signature)


def symbol() -> int:
    """Declares an address supplied at link time, under the name it is assigned to."""
    return static(0)


def static(words: int) -> int:
    """Reserves zeroed words, 64-byte aligned, under the name it is assigned to."""
    data = Data()
    data.words = words
    return data


def inline(function: Function) -> Function:
    """Marks a function which is always inlined."""
    return function


def noinline(function: Function) -> Function:
    """Marks a function which is never inlined."""
    return function


def export(function: Function) -> Function:
    """Marks a function whose address is wanted outside."""
    return function


# Memory: (address, byte offset[, value]).
word = Operation("word")
int32 = Operation("int32")  # sign-extended
byte = Operation("byte")  # zero-extended
put_word = Operation("put_word")
put_int32 = Operation("put_int32")
put_byte = Operation("put_byte")
stack = Operation("stack")  # words, freed when the function returns; a constant number may stand in a loop

# Arithmetic beyond Python's operators.
below = Operation("below")  # unsigned <
shift_right = Operation("shift_right")  # unsigned >>
multiply_saturated = Operation("multiply_saturated")  # the largest word where the product does not fit
leading_zeros = Operation("leading_zeros")
truncate32 = Operation("truncate32")  # the low half, sign-extended

# Control.
likely = Operation("likely")
unlikely = Operation("unlikely")
call = Operation("call")  # (address, operands...) -> word
call_int32 = Operation("call_int32")

# Sequentially consistent atomics: (address[, ...]).
atomic_load = Operation("atomic_load")
atomic_load32 = Operation("atomic_load32")
atomic_store = Operation("atomic_store")
atomic_store32 = Operation("atomic_store32")
atomic_add32 = Operation("atomic_add32")  # gives the old value
compare_swap = Operation("compare_swap")  # (address, expected, new) -> 1 if it was stored
compare_swap32 = Operation("compare_swap32")

# The processor.
pause = Operation("pause")
clock = Operation("clock")  # ticks of the steady counter
