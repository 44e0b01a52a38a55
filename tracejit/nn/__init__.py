"""`tj.nn`: functions of neural networks. No layer classes: parameters are arrays that the caller keeps.

Everything works on NumPy arrays, Tensors and traced arrays, inside compiled functions and outside (where each function
compiles itself), and has derivatives.
"""
from __future__ import annotations

from tracejit.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    standardize,
)
from tracejit.nn.attention import attention
from tracejit.nn.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    depthwise_conv2d,
    separable_conv2d,
)
from tracejit.nn.initializers import glorot, he, lecun, orthogonal, truncated_normal, variance_scaling
from tracejit.nn.losses import (
    hinge,
    huber,
    kl_divergence,
    l2_loss,
    mean_absolute_error,
    mean_squared_error,
    sigmoid_cross_entropy,
    smooth_labels,
    softmax_cross_entropy,
    sparse_softmax_cross_entropy,
)
from tracejit.nn.normalization import batch_norm, group_norm, instance_norm, layer_norm, moments, rms_norm
from tracejit.nn.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool
from tracejit.nn.recurrent import gru, lstm, simple_rnn
from tracejit.nn.selection import dropout, embedding, in_top_k, one_hot, top_k

__all__ = [
    "attention", "avg_pool", "batch_norm", "celu", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "depthwise_conv2d", "dropout", "elu", "embedding", "gelu",
    "global_avg_pool", "global_max_pool", "glorot", "glu", "group_norm", "gru", "hard_sigmoid", "hard_swish",
    "hard_tanh", "he", "hinge", "huber", "in_top_k", "instance_norm", "kl_divergence", "l2_loss", "layer_norm",
    "leaky_relu", "lecun", "log_sigmoid", "log_softmax", "lstm", "max_pool", "mean_absolute_error",
    "mean_squared_error", "mish", "moments", "one_hot", "orthogonal", "prelu", "relu", "relu6", "rms_norm", "selu",
    "separable_conv2d", "sigmoid", "sigmoid_cross_entropy", "silu", "simple_rnn", "smooth_labels", "softmax",
    "softmax_cross_entropy", "softplus", "softsign", "sparse_softmax_cross_entropy", "standardize", "top_k",
    "truncated_normal", "variance_scaling"]
