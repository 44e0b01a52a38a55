"""Which pixels decide: the derivative of a network's answer by its input image.

Flows in: scikit-learn's digits, the network of digits_cnn.  Flows out: images, and how much each pixel matters.
Shows: tj.grad by something else than parameters, tj.vmap over images.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples import digits_cnn  # noqa: E402
from examples.digits import split_images  # noqa: E402
from examples.show import save_images, side_by_side  # noqa: E402


def saliency(model):
    """A compiled function of images f32[n, 64]: the digit found, and |d log p(digit) / d pixel| of every pixel."""
    def confidence(image):
        scores = tj.nn.log_softmax(model(image[None])[0])
        found = scores.argmax()
        return scores[found], found

    @tj.function
    def of_images(images):
        slope, found = tj.vmap(tj.grad(confidence, has_aux=True))(images)
        return found, np.abs(slope)

    return of_images


def drop_of_confidence(model, images, weights, count=6):
    """The mean probability of the digit found: as it is, without the pixels of largest weight, without random ones."""
    probability = tj.function(lambda x: tj.nn.softmax(model(x)))
    before = probability(images)
    found = before.argmax(axis=1)
    rows = np.arange(len(images))

    def without(order):
        changed = images.copy()
        np.put_along_axis(changed, order[:, :count], 0.0, axis=1)
        return probability(changed)[rows, found].mean()

    random = np.random.default_rng(0).permuted(np.tile(np.arange(images.shape[1]), (len(images), 1)), axis=1)
    return before[rows, found].mean(), without(np.argsort(-weights * images, axis=1)), without(random)


def main(epochs=10, shown=4):
    train, (images, labels) = split_images()
    model, _ = digits_cnn.fit(train, epochs, quiet=True)
    found, weights = saliency(model)(images)
    print(f"{np.mean(found == labels):.1%} of {len(images)} images are right. What the answers depend on:\n")
    for k in range(shown):
        pair = [images[k].reshape(8, 8), weights[k].reshape(8, 8)]
        print(side_by_side(pair, [f"a {labels[k]}, found {found[k]}", "pixels that matter"]), "\n")
    before, chosen, random = drop_of_confidence(model, images, weights)
    print(f"  mean probability of the answer {before:.3f}; without the 6 pixels that matter most {chosen:.3f}; "
          f"without 6 random ones {random:.3f}")
    save_images("saliency", [x.reshape(8, 8) for k in range(shown) for x in (images[k], weights[k])],
                [t for k in range(shown) for t in (f"{labels[k]}", "matters")])


if __name__ == "__main__":
    main()
