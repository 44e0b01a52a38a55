"""A training step of an MLP whose products run in pieces on several threads.

As a program, `python -m tests.programs.training_step`, it prints a digest of what three steps leave.
"""
from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import tracejit as tj

SIZES = ((200, 256), (256, 130), (130, 10))


def loss_of(params: Any, images: Any, labels: Any) -> Any:
    x = images
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    return tj.nn.sparse_softmax_cross_entropy(x @ params[-1][0] + params[-1][1], labels).mean()


def step(params: Any, images: Any, labels: Any, rate: Any) -> Any:
    loss, grads = tj.value_and_grad(loss_of)(params, images, labels)
    return loss, [(w - rate * gw, b - rate * gb) for (w, b), (gw, gb) in zip(params, grads, strict=True)]


def first_params() -> list[tuple[Any, Any]]:
    r = np.random.default_rng(0)
    return [((r.normal(size=(m, n)) / np.sqrt(m)).astype(np.float32), np.zeros(n, np.float32)) for m, n in SIZES]


def batch(size: int) -> tuple[Any, Any]:
    r = np.random.default_rng(1)
    return r.normal(size=(size, SIZES[0][0])).astype(np.float32), r.integers(0, SIZES[-1][1], size)


def main() -> None:
    """Three steps of a batch that is no multiple of anything."""
    train, params = tj.function(step), first_params()
    for _ in range(3):
        loss, params = train(params, *batch(333), np.float32(0.1))
    data = b"".join(a.tobytes() for pair in params for a in pair)
    print(f"{loss:.3f}:{hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
