"""Random attempts: native code and the interpreter of Kernel IR against the evaluator, whatever fails where."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.compiled.random_attempts import PLACES, SIZE, random_arguments, random_attempts
from tracejit.base.options import options
from tracejit.ir.evaluator import evaluate
from tracejit.ir.graph import Graph
from tracejit.ir.parser import parse_graph
from tracejit.ir.verifier import verify
from tracejit.xla_lite.compile import Executable, compile_graph
from tracejit.xla_lite.interface import OutputPlace, ParamPlace
from tracejit.xla_lite.kernels.interpreter import run_program
from tracejit.xla_lite.kernels.verify import verify_program
from tracejit.xla_lite.replay import compile_for_arrays, run
from tracejit.xla_lite.runtime.signature import ERROR_WORDS

INPUTS = 4
SIZES = {"n": SIZE}
A, B = 3, 4      # parameters


def expected(seed: int, arguments: list[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    return evaluate(random_attempts(seed, True), arguments)


def compiled(graph: Graph, strided: bool) -> Executable:
    """The arrays are written back to the arguments, the number is an output that failures fill. strided: array `a`."""
    params = [ParamPlace("array", ERROR_WORDS + k, None, written=k in (A, B)) for k in range(len(graph.params))]
    at = ERROR_WORDS + len(params)
    if strided:
        params[A] = ParamPlace("array", ERROR_WORDS + A, at, written=True)
    dims = dict.fromkeys(graph.params[A].type.symbols(), at + 1)
    outputs = [OutputPlace("write_back", param=A), OutputPlace("write_back", param=B),
               *(OutputPlace("new", k) for k in range(len(graph.outputs) - 2))]
    return compile_graph(graph, params, outputs, dim_slots=dims, first_free_slot=at + 2,
                         kept={k: k for k in range(len(PLACES))})


def call(executable: Executable, arguments: list[NDArray[Any]]) -> tuple[bool, list[NDArray[Any]], tuple[int, ...]]:
    """Whether it failed; a, b, i and the rest as they are afterwards; which of them the failure set."""
    arrays = [np.array(x) for x in arguments]
    arrays[A] = np.repeat(arrays[A], 3)[::3]
    if executable.interface.params[A].strides_slot is None:
        arrays[A] = arrays[A].copy()
    slots = (ctypes.c_int64 * executable.sizes.num_slots)()
    for k, array in enumerate(arrays):
        slots[ERROR_WORDS + k] = array.ctypes.data
    slots[ERROR_WORDS + len(arrays):ERROR_WORDS + len(arrays) + 2] = [*arrays[A].strides, SIZE]
    outs = [np.full(v.type.concrete_shape(SIZES), 77, v.dtype.numpy) for v in executable.graph.outputs[2:]]
    pointers = (ctypes.c_void_p * len(outs))(*(o.ctypes.data for o in outs))
    main = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(executable.main_address)
    status, state = main(slots, pointers), slots[executable.sizes.state]
    assert status >= 0
    return status > 0, [arrays[A], arrays[B], *outs], executable.states[state - 1] if state else ()


def check_function(seed: int) -> int:
    """A failure leaves what the attempt around the whole function says; what it does not name is as before."""
    executable, failed = compiled(random_attempts(seed, False), seed % 2 == 1), 0
    for n in range(INPUTS):
        arguments = random_arguments(seed + 1000 * n)
        *wanted, fails = expected(seed, arguments)
        failing, found, state = call(executable, arguments)
        assert failing == bool(fails), (seed, n)
        if failing:
            failed += 1
            if 2 not in state:
                found[2] = wanted[2]
            found, wanted = found[:len(PLACES)], wanted[:len(PLACES)]
        for k, (x, y) in enumerate(zip(found, wanted, strict=True)):
            np.testing.assert_allclose(x, y, rtol=1e-12, err_msg=f"seed {seed}, input {n}, output {k}")
    return failed


def check_attempt(seed: int) -> None:
    graph = random_attempts(seed, True)
    executable = compile_for_arrays(graph)
    for n in range(INPUTS):
        arguments = random_arguments(seed + 1000 * n)
        for x, y in zip(run(executable, arguments, SIZES), expected(seed, arguments), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, err_msg=f"seed {seed}, input {n}")


def test_random_attempts_are_graphs() -> None:
    for seed in range(20):
        for whole in (False, True):
            graph = random_attempts(seed, whole)
            verify(graph)
            assert parse_graph(str(graph)) == graph


@pytest.mark.parametrize("block", range(6))
def test_random_attempts_equal_the_evaluator(block: int) -> None:
    for seed in range(10 * block, 10 * block + 3):
        with options(check=seed % 5 == 0):
            check_attempt(seed)


@pytest.mark.parametrize("block", range(6))
def test_failures_leave_the_state_of_their_moment(block: int) -> None:
    for seed in range(100 + 10 * block, 100 + 10 * block + 3):
        with options(check=seed % 5 == 0):
            check_function(seed)


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(20))
def test_many_random_attempts(block: int) -> None:
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        check_attempt(seed)
        check_function(seed)


class Words(np.ndarray[Any, Any]):
    """Slots as an array, and the arrays that they point to."""

    arrays: dict[Any, NDArray[Any]]

    def __getitem__(self, index: Any) -> Any:
        return self.arrays[index] if index in self.arrays else super().__getitem__(index)


@pytest.mark.parametrize("seed", range(200, 206))
def test_the_interpreter_of_kernel_ir_agrees(seed: int) -> None:
    executable = compile_for_arrays(random_attempts(seed, True))
    program = executable.stages.program
    verify_program(program)
    arguments = random_arguments(seed)
    slots = np.zeros(executable.sizes.num_slots, np.int64).view(Words)
    for word in executable.interface.dim_slots.values():
        slots[word] = SIZE
    slots.arrays = {ERROR_WORDS + k: x.copy() for k, x in enumerate(arguments)}
    outs = [np.zeros(v.type.concrete_shape(SIZES), v.dtype.numpy) for v in executable.graph.outputs]
    assert run_program(program, slots, outs).status == 0
    for x, y in zip(outs, expected(seed, arguments), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)
