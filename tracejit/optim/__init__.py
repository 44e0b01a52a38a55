"""`tj.optim`: optimizers, learning-rate schedules and what is done to gradients before.

An optimizer is a fixed object: `state = opt.init(params)`, then `params, state = opt.update(grads, state, params)` in a
training step. Parameters, gradients and states are pytrees; compiled, the update of all of them is one pass.
"""
from __future__ import annotations

from tracejit.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from tracejit.optim.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Nadam,
    Optimizer,
    RMSProp,
    moving_average,
)
from tracejit.optim.schedules import constant, cosine, exponential, piecewise, step_decay, warmup

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "Optimizer", "RMSProp",
           "clip_by_global_norm", "clip_by_norm", "clip_by_value", "constant", "cosine", "exponential", "global_norm",
           "moving_average", "piecewise", "step_decay", "warmup"]
