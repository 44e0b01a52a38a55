"""`tj.optim`: optimizers, learning-rate schedules and what is done to gradients before.

An optimizer works on pytrees, `state = opt.init(params)` and `params, state = opt.update(grads, state, params)`, or on
Variables, `opt.apply_gradients([(gradient, variable), ...])` and `opt.minimize(loss, variables)`, inside compiled
functions and outside. In reading order: optimizer (what all do), rules, slots, schedules, clipping, averages, lbfgs.
"""
from __future__ import annotations

from tracejit.optim.averages import ExponentialMovingAverage, moving_average
from tracejit.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from tracejit.optim.lbfgs import LBFGS, Minimum
from tracejit.optim.optimizer import Optimizer, chain
from tracejit.optim.rules import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, RMSProp
from tracejit.optim.schedules import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    joined,
    piecewise,
    polynomial,
    step_decay,
    warmup,
)

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "ExponentialMovingAverage", "LBFGS", "Lion", "Minimum",
           "Nadam", "Optimizer", "RMSProp", "chain", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "constant",
           "cosine", "cosine_restarts", "exponential", "global_norm", "joined", "moving_average", "piecewise",
           "polynomial", "step_decay", "warmup"]
