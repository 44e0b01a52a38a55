"""A network of three layers learns handwritten digits. Parameters and the optimizer's state are trees of plain arrays.

Flows in: scikit-learn's digits.  Flows out: the loss at every epoch, accuracy on images that training did not see.
Shows: tj.value_and_grad, tj.optim.Adam as `init` and `update`, tj.random keys, a step that is one native call.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples.digits import batches, split_images  # noqa: E402
from examples.show import Progress, curve, save_curves  # noqa: E402

SIZES = (64, 128, 64, 10)
NOISE = 0.2     # added to the images in training, so that single pixels don't matter
BATCH = 50


def init(key):
    """Weights by He's rule, biases 0, of every layer."""
    keys = tj.random.split(key, len(SIZES) - 1)
    return [{"w": tj.nn.he(k, (m, n), dtype=np.float32), "b": np.zeros(n, np.float32)}
            for k, m, n in zip(keys, SIZES, SIZES[1:], strict=False)]


def mlp(params, images):
    """Logits f32[n, 10] of images f32[n, 64]."""
    *hidden, last = params
    x = images
    for layer in hidden:
        x = np.maximum(x @ layer["w"] + layer["b"], 0)
    return x @ last["w"] + last["b"]


def loss(params, images, labels):
    return tj.nn.sparse_softmax_cross_entropy(mlp(params, images), labels).mean()


def training_step(optimizer, plain=False):
    """The compiled step: loss, gradient and update. The new parameters take the memory of the old ones. plain: without
    noise."""
    @tj.function(donate=("params", "state"))
    def step(params, state, images, labels, key):
        if not plain:
            images = images + NOISE * tj.random.normal(key, images.shape, np.float32)
        value, grads = tj.value_and_grad(loss)(params, images, labels)
        params, state = optimizer.update(grads, state, params)
        return value, params, state
    return step


def fit(data, epochs=60, seed=1, quiet=False):
    """Trained parameters, and the progress: losses and steps per second."""
    optimizer = tj.optim.Adam(tj.optim.cosine(2e-3, epochs * (len(data[0]) // BATCH)))
    params = init(tj.random.key(seed))
    step, state, progress = training_step(optimizer), optimizer.init(params), Progress(epochs, quiet)
    for epoch in range(epochs):
        values = []
        for images, labels in batches(data, BATCH, epoch):
            key = tj.random.fold_in(tj.random.key(seed), state["step"])
            value, params, state = step(params, state, images, labels, key)
            values.append(value)
            progress.step()
        progress.epoch(np.mean(values))
    return params, progress


@tj.function
def accuracy(params, images, labels):
    """The part of the images whose digit is found."""
    return (mlp(params, images).argmax(axis=1) == labels).mean()


def main():
    train, test = split_images()
    print(f"MLP {'-'.join(map(str, SIZES))} on {len(train[0])} images, batches of {BATCH}\n")
    params, progress = fit(train)
    print(f"\n{curve(progress.losses)}\n")
    print(f"  {accuracy(params, *test):.1%} of {len(test[0])} images not seen in training are right")
    save_curves("digits_mlp", {"MLP": progress.losses}, ("epoch", "loss"))


if __name__ == "__main__":
    main()
