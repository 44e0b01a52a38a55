"""A small convolutional network learns handwritten digits. Parameters are Variables of an object, assigned in place.

Flows in: scikit-learn's digits.  Flows out: the loss at every epoch, accuracy on images that training did not see.
Shows: tj.Variable, tj.GradientTape, `apply_gradients`, dropout from a tj.random.Generator, in one compiled function.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples.digits import batches, split_images  # noqa: E402
from examples.show import Progress, curve, save_curves  # noqa: E402

NOISE = 0.1     # added to the images in training, so that single pixels don't matter
DROP = 0.3      # the part of the features that each step of training does without
BATCH = 50


class CNN:
    """Two convolutions, pooling, two dense layers."""

    def __init__(self, seed=0):
        self.random = tj.random.Generator(seed)
        self.c1, self.c2 = self.weights("c1", 3, 3, 1, 32), self.weights("c2", 3, 3, 32, 64)
        self.d1, self.d2 = self.weights("d1", 1024, 64), self.weights("d2", 64, 10)
        self.variables = [v for layer in (self.c1, self.c2, self.d1, self.d2) for v in layer]

    def weights(self, name, *shape):
        """A layer's weights by He's rule, and its bias."""
        return (tj.Variable(tj.nn.he(self.random.key(), shape, dtype=np.float32), name=f"{name}.w"),
                tj.Variable(np.zeros(shape[-1], np.float32), name=f"{name}.b"))

    def __call__(self, images, training=False):
        """Logits f32[n, 10] of images f32[n, 64]."""
        x = images.reshape(-1, 8, 8, 1)
        for w, b in (self.c1, self.c2):
            x = tj.nn.relu(tj.nn.conv2d(x, w, padding="same") + b)
        x = self.without_some(tj.nn.max_pool(x, 2).reshape(-1, 1024), training)
        w, b = self.d1
        x = self.without_some(tj.nn.relu(x @ w + b), training)
        w, b = self.d2
        return x @ w + b

    def without_some(self, x, training):
        return tj.nn.dropout(self.random.key(), x, DROP) if training else x


def training_step(model, optimizer, plain=False):
    """The compiled step: loss, gradient and update, all in the memory of the Variables. plain: nothing is random."""
    @tj.function
    def step(images, labels):
        if not plain:
            images = images + NOISE * model.random.normal(images.shape, np.float32)
        with tj.GradientTape() as tape:
            value = tj.nn.sparse_softmax_cross_entropy(model(images, not plain), labels).mean()
        gradients = tape.gradient(value, model.variables)
        optimizer.apply_gradients(zip(gradients, model.variables, strict=True))
        return value
    return step


def fit(data, epochs=20, seed=2, quiet=False):
    """A trained model, and the progress: losses and steps per second."""
    model = CNN(seed)
    optimizer = tj.optim.AdamW(tj.optim.cosine(2e-3, epochs * (len(data[0]) // BATCH)), weight_decay=0.01)
    step, progress = training_step(model, optimizer), Progress(epochs, quiet)
    for epoch in range(epochs):
        values = []
        for images, labels in batches(data, BATCH, epoch):
            values.append(step(images, labels))
            progress.step()
        progress.epoch(np.mean(values))
    return model, progress


def accuracy(model, images, labels):
    """The part of the images whose digit is found."""
    found = tj.function(lambda x: model(x).argmax(axis=1))(images)
    return float(np.mean(found == labels))


def main():
    train, test = split_images()
    print(f"CNN 32-64-64-10 on {len(train[0])} images, batches of {BATCH}\n")
    model, progress = fit(train)
    print(f"\n{curve(progress.losses)}\n")
    print(f"  {accuracy(model, *test):.1%} of {len(test[0])} images not seen in training are right")
    save_curves("digits_cnn", {"CNN": progress.losses}, ("epoch", "loss"))


if __name__ == "__main__":
    main()
