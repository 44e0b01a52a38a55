"""Training: loss curves are those of networks, derivatives and optimizers written by hand; threads change no bit."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.nn.networks import NETWORKS, train, train_by_hand

STEPS = 50
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_curve_in_double_precision_is_that_of_the_reference(name):
    losses, params, step = train(NETWORKS[name], STEPS)
    expected, by_hand = train_by_hand(NETWORKS[name], STEPS)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    for key, value in params.items():
        np.testing.assert_allclose(value, by_hand[key], rtol=1e-7, atol=1e-9, err_msg=key)
    assert losses[-1] < 0.8 * losses[0]
    assert len(step.traces) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_curve_in_single_precision_is_that_of_the_reference(name):
    losses, params, _ = train(NETWORKS[name], STEPS, dtype=np.float32)
    expected, _ = train_by_hand(NETWORKS[name], STEPS, dtype=np.float32)
    assert losses.dtype == np.float32 and all(p.dtype == np.float32 for p in params.values())
    np.testing.assert_allclose(losses, expected, rtol=2e-4)


def test_no_bit_depends_on_the_number_of_threads():
    command = [sys.executable, "-m", "tests.nn.networks"]
    running = []
    for threads in ("1", "2", "4"):
        environment = {**os.environ, "TRACEJIT_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        running.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment))
    found = {process.communicate(timeout=300)[0] for process in running}
    assert len(found) == 1 and set(NETWORKS) == {part.split(":")[0] for part in found.pop().split()}
