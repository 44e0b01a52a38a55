"""Every example, on small sizes: it runs, it learns or finds what it should, it prints something."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Examples write PNG files where matplotlib is; tests don't."""
    from examples import show
    monkeypatch.setattr(show, "_save", lambda name, draw: None)


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    from examples.digits import split_images
    return split_images()


def test_the_mlp_learns_digits(digits, capsys):
    from examples import digits_mlp
    train, test = digits
    params, progress = digits_mlp.fit(train, epochs=15)
    assert progress.losses[-1] < 0.3 < progress.losses[0] and digits_mlp.accuracy(params, *test) > 0.95
    assert "steps/s" in capsys.readouterr().out


@pytest.fixture(scope="module")
def cnn(digits):
    from examples import digits_cnn
    return digits_cnn.fit(digits[0], epochs=3, quiet=True)


def test_the_cnn_learns_digits(digits, cnn):
    from examples import digits_cnn
    model, progress = cnn
    _, test = digits
    assert progress.losses[-1] < progress.losses[0] and digits_cnn.accuracy(model, *test) > 0.85


def test_hand_written_steps_and_compiled_ones_have_one_loss_curve(digits):
    """Where nothing is random, the steps of both examples give the numbers of NumPy's for 20 steps."""
    from examples import digits_cnn, digits_mlp, rivals
    images, labels = digits[0][0][:50], digits[0][1][:50]
    params = digits_mlp.init(tj.random.key(1))
    layers = {f"d{k}": (layer["w"], layer["b"]) for k, layer in enumerate(params)}
    plain = rivals.make(rivals.numpy_step, "mlp", layers, images, labels)
    optimizer = tj.optim.Adam(rivals.RATE)
    step, state = digits_mlp.training_step(optimizer, plain=True), optimizer.init(params)
    for _ in range(20):
        value, params, state = step(params, state, images, labels, tj.random.key(0))
        np.testing.assert_allclose(value, plain(), rtol=1e-4)
    model = digits_cnn.CNN(2)
    layers = {name: tuple(v.numpy() for v in getattr(model, name)) for name in ("c1", "c2", "d1", "d2")}
    plain = rivals.make(rivals.numpy_step, "cnn", layers, images, labels)
    step = digits_cnn.training_step(model, tj.optim.Adam(rivals.RATE), plain=True)
    for _ in range(20):
        np.testing.assert_allclose(step(images, labels), plain(), rtol=1e-3)


def test_the_lstm_learns_letters():
    from examples import char_lstm
    letters, numbers = char_lstm.encode(char_lstm.zen())
    params, losses, _ = char_lstm.fit(numbers, len(letters), epochs=20)
    assert losses[-1] < 2.8 < losses[0]
    written = char_lstm.write(params, tj.random.key(0), 1, 30)
    assert written.shape == (30,) and 0 <= written.min() and written.max() < len(letters)


def test_what_matters_matters_more_than_chance(digits, cnn):
    from examples import saliency
    model, images = cnn[0], digits[1][0]
    _, weights = saliency.saliency(model)(images)
    before, chosen, random = saliency.drop_of_confidence(model, images, weights)
    assert chosen < random < before


def test_dreamt_images_are_taken_for_digits(digits, capsys):
    from examples import dream
    images, p = dream.main(epochs=8, steps=150)
    assert images.shape == (10, 64) and np.diag(p).min() > 0.5
    assert "0: 0." in capsys.readouterr().out


def test_the_fit_finds_what_the_measurements_are_made_of():
    from examples import gauss_newton
    p, covariance, steps = gauss_newton.main()
    assert steps < 30 and (np.abs(p - gauss_newton.TRUE) < 4 * np.sqrt(np.diag(covariance))).all()


def test_the_pendulum_keeps_its_energy_and_obeys_the_textbook():
    from examples import pendulum
    assert pendulum.main(seconds=1.0) < 1e-6
    (l1, l2), (m1, m2), g = pendulum.LENGTHS, pendulum.MASSES, pendulum.GRAVITY
    q, v = np.array([0.7, -0.4]), np.array([1.1, 0.3])
    difference = q[0] - q[1]
    mass = np.array([[(m1 + m2) * l1 ** 2, m2 * l1 * l2 * np.cos(difference)],
                     [m2 * l1 * l2 * np.cos(difference), m2 * l2 ** 2]])
    force = np.array([-m2 * l1 * l2 * v[1] ** 2 * np.sin(difference) - (m1 + m2) * g * l1 * np.sin(q[0]),
                      m2 * l1 * l2 * v[0] ** 2 * np.sin(difference) - m2 * g * l2 * np.sin(q[1])])
    np.testing.assert_allclose(tj.function(pendulum.acceleration)(q, v), np.linalg.solve(mass, force), rtol=1e-10)


def test_an_example_runs_by_its_path(tmp_path):
    done = subprocess.run([sys.executable, str(ROOT / "examples" / "pendulum.py")], cwd=tmp_path, check=True,
                          capture_output=True, text=True)
    assert "largest change" in done.stdout
