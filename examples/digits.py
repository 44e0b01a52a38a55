"""Handwritten digits: PCA whitening and softmax regression, fitted and applied with plain NumPy.

Flows in: scikit-learn's digits (1797 images of 8 x 8 in the package).  Flows out: a fitted `Model`, `classify`; the
images split into ones to train with and ones to test with, in batches.
"""

from collections import namedtuple

import numpy as np

Model = namedtuple("Model", "mean components scale weights bias")


def load_images():
    """Images f32[1797, 64] in 0..1 and labels i64[1797]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.data / 16).astype(np.float32), digits.target


def split_images(seed=0, tested=297):
    """((images, labels) to train with, the same to test with), shuffled: neighbours come from one writer."""
    images, labels = load_images()
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], labels[order]
    return (images[tested:], labels[tested:]), (images[:tested], labels[:tested])


def batches(data, size, seed):
    """Images and labels in a new order, `size` at a time; what is left over at the end is dropped."""
    images, labels = data
    order = np.random.default_rng(seed).permutation(len(images))
    for first in range(0, len(images) - size + 1, size):
        chosen = order[first:first + size]
        yield images[chosen], labels[chosen]


def fit(images, labels, dimensions=40, steps=300, rate=0.5):
    """Principal components by an eigen-decomposition, then softmax regression by gradient descent."""
    mean = images.mean(axis=0)
    variances, vectors = np.linalg.eigh(np.cov((images - mean).T))
    components = vectors.T[::-1][:dimensions]
    scale = np.sqrt(variances[::-1][:dimensions])
    z = (images - mean) @ components.T / scale
    truth = np.eye(10)[labels]
    weights, bias = np.zeros((dimensions, 10)), np.zeros(10)
    for _ in range(steps):
        logits = z @ weights + bias
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = e / e.sum(axis=1, keepdims=True) - truth
        weights -= rate * z.T @ error / len(z)
        bias -= rate * error.mean(axis=0)
    return Model(*(a.astype(np.float32) for a in (mean, components, scale, weights, bias)))


def classify(model, images):
    """The most probable digit of each image, and all probabilities."""
    whitened = (images - model.mean) @ model.components.T / model.scale
    logits = whitened @ model.weights + model.bias
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p.argmax(axis=1), p
