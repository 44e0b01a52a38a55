"""Training an MLP and a small CNN on handwritten digits: one compiled function per step.

Flows in: scikit-learn's digits.  Flows out: accuracy on images that training did not see; the loss at every epoch.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples.digits import load_images  # noqa: E402
from tracejit import nn, optim, random  # noqa: E402

TRAINED = 1500      # images used for training; the other 297 are for the test


# ---- models ----------------------------------------------------------------------------------------------------


def init_mlp(key):
    sizes = (64, 128, 64, 10)
    keys = random.split(key, len(sizes))
    return [{"w": nn.he(k, (m, n), dtype=np.float32), "b": np.zeros(n, np.float32)}
            for k, m, n in zip(keys, sizes, sizes[1:], strict=False)]


def mlp(params, images):
    *hidden, last = params
    x = images
    for layer in hidden:
        x = nn.relu(x @ layer["w"] + layer["b"])
    return x @ last["w"] + last["b"]


def init_cnn(key):
    keys = random.split(key, 4)
    shapes = {"c1": (3, 3, 1, 16), "c2": (3, 3, 16, 32), "d1": (128, 64), "d2": (64, 10)}
    return {name: {"w": nn.he(k, shape, dtype=np.float32), "b": np.zeros(shape[-1], np.float32)}
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)}


def cnn(params, images):
    x = images.reshape(-1, 8, 8, 1)
    for name in ("c1", "c2"):
        x = nn.relu(nn.conv2d(x, params[name]["w"], padding="same") + params[name]["b"])
        x = nn.max_pool(x, 2)
    x = nn.relu(x.reshape(-1, 128) @ params["d1"]["w"] + params["d1"]["b"])
    return x @ params["d2"]["w"] + params["d2"]["b"]


# ---- training --------------------------------------------------------------------------------------------------


def training_step(model, optimizer):
    """The compiled step: (params, state, images, labels) -> (loss, params, state)."""
    @tj.function
    def step(params, state, images, labels):
        def loss(p):
            return nn.sparse_softmax_cross_entropy(model(p, images), labels).mean()
        value, grads = tj.value_and_grad(loss)(params)
        params, state = optimizer.update(grads, state, params)
        return value, params, state
    return step


def shuffled_images():
    """The images in a random order that is always the same: neighbours come from one writer."""
    images, labels = load_images()
    order = random.permutation(random.key(7), np.arange(len(images)))
    return images[order], labels[order]


def train(model, params, epochs, batch=50, rate=2e-3, seed=0):
    """Trained parameters, the mean loss of every epoch, steps per second after the first one."""
    images, labels = shuffled_images()
    images, labels = images[:TRAINED], labels[:TRAINED]
    optimizer = optim.Adam(optim.cosine(rate, epochs * (TRAINED // batch)))
    step, state = training_step(model, optimizer), optimizer.init(params)
    losses, steps, start = [], 0, None
    for epoch in range(epochs):
        order = random.permutation(random.fold_in(random.key(seed), epoch), np.arange(TRAINED))
        total = 0.0
        for first in range(0, TRAINED, batch):
            chosen = order[first:first + batch]
            value, params, state = step(params, state, images[chosen], labels[chosen])
            total += float(value)
            if start is None:
                start = time.perf_counter()
            else:
                steps += 1
        losses.append(total / (TRAINED // batch))
    return params, losses, steps / (time.perf_counter() - start)


def accuracy(model, params):
    """The part of the images not seen in training whose digit is found."""
    images, labels = shuffled_images()
    found = tj.function(lambda p, x: model(p, x).argmax(axis=1))(params, images[TRAINED:])
    return float(np.mean(found == labels[TRAINED:]))


def curve(values, width=60, height=8):
    """The numbers as a picture of characters, logarithmic."""
    logs = np.log10(np.maximum(values, 1e-6))
    columns = np.interp(np.linspace(0, len(logs) - 1, width), np.arange(len(logs)), logs)
    low, high = columns.min(), columns.max()
    levels = np.round((columns - low) / max(high - low, 1e-9) * (height - 1)).astype(int)
    rows = ["".join("*" if level == row else " " for level in levels) for row in reversed(range(height))]
    labels = [f"{10 ** (low + (high - low) * row / (height - 1)):8.1e}" for row in reversed(range(height))]
    return "\n".join(f"  {label} |{row}" for label, row in zip(labels, rows, strict=True))


def main():
    for title, model, params, epochs in (("MLP 64-128-64-10", mlp, init_mlp(random.key(1)), 40),
                                         ("CNN 16-32-64-10", cnn, init_cnn(random.key(2)), 20)):
        params, losses, rate = train(model, params, epochs)
        print(f"\n{title}: {accuracy(model, params):.1%} of {1797 - TRAINED} images not seen in training are right, "
              f"{rate:,.0f} steps per second\n")
        print(curve(losses))


if __name__ == "__main__":
    main()
