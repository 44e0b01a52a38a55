"""Losses, one number per example: the caller averages.

Flows in:  predictions (logits where the name says cross entropy), targets, of shapes that broadcast.
Flows out: arrays without the axis that was summed over.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.nn.activations import _softplus, log_softmax
from tracejit.tracing.building import lift
from tracejit.tracing.implements import NUMPY


@library(static=("axis",))
def softmax_cross_entropy(logits: Any, targets: Any, axis: int = -1) -> Any:
    """-sum(targets * log_softmax(logits)) along an axis; targets: probabilities."""
    return -np.sum(targets * log_softmax(logits, axis), axis=axis)


@library(static=("axis",))
def sparse_softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1) -> Any:
    """-log_softmax(logits) at the labels: integers, in the shape of the logits without the axis."""
    chosen = NUMPY[np.expand_dims](lift(labels), axis)
    return -np.squeeze(np.take_along_axis(log_softmax(logits, axis), chosen, axis), axis)


@library()
def sigmoid_cross_entropy(logits: Any, targets: Any) -> Any:
    """-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), element by element, without overflow."""
    return _softplus(logits) - logits * targets


@library(static=("axis",))
def mean_squared_error(predictions: Any, targets: Any, axis: Any = -1) -> Any:
    """The mean of squared differences along an axis; axis=None: over all."""
    difference = predictions - targets
    return np.mean(difference * difference, axis=axis)


@library(static=("axis",))
def mean_absolute_error(predictions: Any, targets: Any, axis: Any = -1) -> Any:
    """The mean of absolute differences along an axis. The derivative at 0 is 0."""
    return np.mean(np.abs(predictions - targets), axis=axis)


@library()
def huber(predictions: Any, targets: Any, delta: Any = 1.0) -> Any:
    """Half the squared difference up to delta, linear beyond, element by element."""
    size = np.abs(predictions - targets)
    return np.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


@library(static=("axis",))
def kl_divergence(log_predictions: Any, targets: Any, axis: int = -1) -> Any:
    """sum(targets (log targets - log_predictions)) along an axis; targets of 0 count nothing."""
    logs = np.log(np.where(targets > 0, targets, 1))
    return np.sum(targets * (logs - log_predictions), axis=axis)


@library()
def l2_loss(x: Any) -> Any:
    """Half the sum of squares."""
    return 0.5 * np.sum(x * x)


@library()
def hinge(scores: Any, targets: Any) -> Any:
    """max(0, 1 - scores * targets), targets -1 or 1, element by element."""
    return np.maximum(0, 1 - scores * targets)
