"""What a network takes for a digit: images that grow from grey by gradient ascent on the network's own answer.

Flows in: scikit-learn's digits, the network of digits_mlp.  Flows out: an image for each digit.
Shows: tj.grad inside of a loop of a compiled function; 10 images side by side by tj.vmap.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples import digits_mlp  # noqa: E402
from examples.digits import split_images  # noqa: E402
from examples.show import save_images, side_by_side  # noqa: E402


def roughness(image):
    """The mean squared difference of neighbouring pixels."""
    picture = image.reshape(8, 8)
    return (np.diff(picture, axis=0) ** 2).mean() + (np.diff(picture, axis=1) ** 2).mean()


@tj.function
def dream(params, start, smooth, ink, rate, steps):
    """Images f32[10, 64], one for each digit, after `steps` steps uphill: log p(digit) less roughness and ink."""
    def score(image, digit):
        certainty = tj.nn.log_softmax(digits_mlp.mlp(params, image))[digit]
        return certainty - smooth * roughness(image) - ink * image.mean()

    climb = tj.vmap(tj.grad(score))
    images, digits = start, np.arange(10)
    for _ in range(steps):
        images = np.clip(images + rate * climb(images, digits), 0, 1)
    return images


def main(epochs=30, steps=400):
    train, _ = split_images()
    params, _ = digits_mlp.fit(train, epochs, quiet=True)
    start = np.full((10, 64), 0.3, np.float32)
    images = dream(params, start, 2.0, 2.0, 0.05, steps)
    scores = digits_mlp.mlp(params, images)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    print(f"Images after {steps} steps of gradient ascent from grey, with the network's probability of the digit:\n")
    for first in (0, 5):
        chosen = range(first, first + 5)
        print(side_by_side([images[d].reshape(8, 8) for d in chosen], [f"{d}: {p[d, d]:.2f}" for d in chosen]), "\n")
    save_images("dream", [image.reshape(8, 8) for image in images], [str(d) for d in range(10)])
    return images, p


if __name__ == "__main__":
    main()
