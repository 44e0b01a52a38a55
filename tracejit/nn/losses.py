"""Losses, one number per example: the caller weights and averages examples.

Flows in:  predictions (logits where the name says cross entropy), targets, of shapes that broadcast.
Flows out: arrays without the axis that was summed over. Targets that are integers take the dtype of the predictions.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.library import library
from tracejit.base.errors import DtypeError
from tracejit.nn.activations import log_softmax
from tracejit.nn.arguments import along, floats, like, normal_axes, require, shape_text
from tracejit.tracing.building import assert_, lift
from tracejit.tracing.sizes import same_size
from tracejit.tracing.spans import current_span

# ---- classes -----------------------------------------------------------------------------------------------------


@library(static=("axis",))
def smooth_labels(targets: Any, smoothing: Any, axis: int = -1) -> Any:
    """(1 - smoothing) targets + smoothing / classes. Source: C. Szegedy et al. (2016)."""
    return _smoothed(floats(targets), smoothing, axis)


def _smoothed(targets: Any, smoothing: Any, axis: int) -> Any:
    return targets * (1 - smoothing) + smoothing / targets.shape[axis]


@library(static=("axis",))
def softmax_cross_entropy(logits: Any, targets: Any, axis: int = -1, weights: Any = None, smoothing: Any = None) -> Any:
    """-sum(targets * log_softmax(logits)) along an axis; targets: probabilities, of which those of 0 count nothing.

    weights: one per class, multiply its terms.  smoothing: as `smooth_labels` does.
    """
    logits = floats(logits)
    targets = like(logits, targets)
    if smoothing is not None:
        targets = _smoothed(targets, smoothing, axis)
    terms = _times_logs(targets, log_softmax(logits, axis))
    if weights is not None:
        terms = terms * along(weights, axis, logits.ndim)
    return -np.sum(terms, axis=axis)


def _times_logs(targets: Any, logs: Any) -> Any:
    """targets * logs, but 0 * -inf = 0."""
    return targets * np.where((targets == 0) & np.isinf(logs), 0, logs)


@library(static=("axis",))
def sparse_softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1, weights: Any = None, smoothing: Any = None,
                                 ignore: Any = None) -> Any:
    """-log_softmax(logits) at the labels: integers, in the shape of the logits without the axis.

    weights, smoothing: as in `softmax_cross_entropy`.  ignore: examples with this label count 0.  Raises IndexError for
    labels that are no classes.
    """
    logits, labels = floats(logits), _labels(logits, labels, axis)
    counted = None if ignore is None else labels != ignore
    chosen = labels if counted is None else np.where(counted, labels, 0)
    _require_classes(chosen, logits.shape[axis])
    logs = log_softmax(logits, axis)
    loss = -np.squeeze(np.take_along_axis(logs, np.expand_dims(chosen, axis), axis), axis)
    if weights is not None:
        loss = loss * np.take(lift(weights), chosen)
    if smoothing is not None:
        all_logs = logs if weights is None else logs * along(weights, axis, logits.ndim)
        loss = (1 - smoothing) * loss - smoothing * np.mean(all_logs, axis=axis)
    return loss if counted is None else np.where(counted, loss, 0)


def _labels(logits: Any, labels: Any, axis: int) -> Any:
    """Labels, whose shape must be that of the logits without the axis."""
    found = lift(labels)
    if found.type.dtype.kind not in "iu":
        raise DtypeError(f"labels are {found.type}", span=current_span(), why="they are numbers of classes",
                         fix="use softmax_cross_entropy for probabilities, or labels.astype(int)")
    (at,) = normal_axes(axis, logits.ndim)
    wanted = [n for a, n in enumerate(logits.type.shape) if a != at]
    fits = len(wanted) == found.ndim and all(map(same_size, wanted, found.type.shape))
    require(fits, f"labels of shape {shape_text(found)} do not fit logits of shape {shape_text(logits)}",
            why="each example has one label: the shape of the logits without the axis of classes",
            fix="use softmax_cross_entropy if targets are probabilities; else index or reshape the labels")
    return found


def _require_classes(labels: Any, classes: Any) -> None:
    """Negative labels would count from the end; too large ones are refused by the look-up."""
    if labels.type.dtype.kind == "i":
        low = np.min(labels, initial=0)
        assert_(low >= 0, "IndexError", "label {0} is none of {1} classes", low, classes)


@library()
def sigmoid_cross_entropy(logits: Any, targets: Any, positive_weight: Any = 1.0) -> Any:
    """-w t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), element by element, accurate at both ends."""
    logits = floats(logits)
    targets = like(logits, targets)
    rest = np.log1p(np.exp(-np.abs(logits)))
    return positive_weight * targets * (np.maximum(-logits, 0) + rest) + (1 - targets) * (np.maximum(logits, 0) + rest)


@library(static=("axis",))
def kl_divergence(log_predictions: Any, targets: Any, axis: int = -1) -> Any:
    """sum(targets (log targets - log_predictions)) along an axis; targets of 0 count nothing."""
    log_predictions = floats(log_predictions)
    targets = like(log_predictions, targets)
    logs = np.log(np.where(targets > 0, targets, 1))
    return np.sum(targets * logs - _times_logs(targets, log_predictions), axis=axis)


# ---- distances ---------------------------------------------------------------------------------------------------


def _difference(predictions: Any, targets: Any) -> Any:
    predictions = floats(predictions)
    return predictions - like(predictions, targets)


@library(static=("axis",))
def mean_squared_error(predictions: Any, targets: Any, axis: Any = -1) -> Any:
    """The mean of squared differences along an axis; axis=None: over all."""
    difference = _difference(predictions, targets)
    return np.mean(difference * difference, axis=axis)


@library(static=("axis",))
def mean_absolute_error(predictions: Any, targets: Any, axis: Any = -1) -> Any:
    """The mean of absolute differences along an axis. The derivative at 0 is 0."""
    return np.mean(np.abs(_difference(predictions, targets)), axis=axis)


@library()
def huber(predictions: Any, targets: Any, delta: Any = 1.0) -> Any:
    """Half the squared difference up to delta, linear beyond, element by element."""
    size = np.abs(_difference(predictions, targets))
    return np.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


@library()
def l2_loss(x: Any) -> Any:
    """Half the sum of squares."""
    x = floats(x)
    return 0.5 * np.sum(x * x)


@library()
def hinge(scores: Any, targets: Any) -> Any:
    """max(0, 1 - scores * targets), targets -1 or 1, element by element."""
    scores = floats(scores)
    return np.maximum(0, 1 - scores * like(scores, targets))
