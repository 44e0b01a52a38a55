"""Images: colour, filters, resampling, masks; mostly uint8 and float32.

Flows in: NumPy arrays.  Flows out: rows of the program table.
"""

import numpy as np

from tests.programs.program import function

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def picture(r, *shape):
    return r.integers(0, 256, size=shape, dtype=np.uint8)


def to_gray(image):
    """u8[h, w, 3] to u8[h, w]."""
    return (image.astype(np.float32) @ LUMA + 0.5).astype(np.uint8)


def box_blur(image):
    """3 x 3 mean with reflected borders, as nine shifted slices."""
    h, w = image.shape
    p = np.pad(image, 1, mode="reflect").astype(np.float32)
    total = np.zeros((h, w), np.float32)
    for dy in range(3):
        for dx in range(3):
            total = total + p[dy : dy + h, dx : dx + w]
    return total / 9


def sobel_magnitude(image):
    p = np.pad(image.astype(np.float64), 1)
    gx = (p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:]) - (p[:-2, :-2] + 2 * p[1:-1, :-2] + p[2:, :-2])
    gy = (p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:]) - (p[:-2, :-2] + 2 * p[:-2, 1:-1] + p[:-2, 2:])
    return np.hypot(gx, gy), np.arctan2(gy, gx)


def gamma_by_table(image, gamma):
    """A look-up table of 256 bytes, applied by indexing."""
    table = np.clip(255.0 * (np.arange(256) / 255.0) ** (1.0 / gamma) + 0.5, 0, 255).astype(np.uint8)
    return table[image]


def alpha_blend(front, back, alpha):
    a = alpha[..., np.newaxis].astype(np.float32) / 255
    return (front * a + back * (1 - a)).round().astype(np.uint8)


def brighten_in_place(image, amount):
    """Adds without wrapping round, in the caller's array."""
    wide = image.astype(np.int16) + amount
    image[...] = np.clip(wide, 0, 255)


def halve(image):
    """Block means of 2 x 2."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    return image[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean(axis=(1, 3))


def threshold_and_box(image, level):
    """Mask, its area, and the box around it from the projections."""
    mask = image > level
    rows, cols = mask.any(axis=1), mask.any(axis=0)
    top, bottom = rows.argmax(), len(rows) - 1 - rows[::-1].argmax()
    left, right = cols.argmax(), len(cols) - 1 - cols[::-1].argmax()
    return mask, mask.sum(), (top, bottom, left, right)


def histogram(image, bins=16):
    level = image.ravel() // (256 // bins)
    return (level[:, None] == np.arange(bins)).sum(axis=0)


def rotate_and_mirror(image):
    quarter = np.rot90(image)
    return quarter, image[:, ::-1], np.flipud(image), np.swapaxes(image, 0, 1)


def normalize_channels(batch):
    """f32[n, h, w, c] with the mean and scale of each channel."""
    mean = batch.mean(axis=(0, 1, 2))
    std = np.sqrt(((batch - mean) ** 2).mean(axis=(0, 1, 2)) + 1e-5)
    return (batch - mean) / std


def bilinear_sample(image, y, x):
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - y0, x - x0
    top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    bottom = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


PROGRAMS = [
    function(to_gray, lambda r: [(picture(r, 8, 10, 3),), (picture(r, 5, 7, 3),)]),
    function(box_blur, lambda r: [(picture(r, 9, 12),), (picture(r, 16, 7),)]),
    function(sobel_magnitude, lambda r: [(picture(r, 9, 12),), (picture(r, 6, 20),)]),
    function(gamma_by_table, lambda r: [(picture(r, 6, 8), 2.2), (picture(r, 5, 5, 3), 1.8)]),
    function(
        alpha_blend,
        lambda r: [(picture(r, h, w, 3), picture(r, h, w, 3), picture(r, h, w)) for h, w in [(6, 8), (9, 4)]],
    ),
    function(brighten_in_place, lambda r: [(picture(r, 6, 8), 40), (picture(r, 7, 3), -90)]),
    function(halve, lambda r: [(r.random((9, 12)).astype("f4"),), (r.random((6, 7)).astype("f4"),)]),
    function(threshold_and_box, lambda r: [(r.random((9, 12)), 0.9), (r.random((20, 6)), 0.8)]),
    function(histogram, lambda r: [(picture(r, 9, 12),), (picture(r, 5, 5),), (picture(r, 9, 12), 32)]),
    function(rotate_and_mirror, lambda r: [(picture(r, 4, 6),), (picture(r, 3, 5),)]),
    function(normalize_channels, lambda r: [(r.random((n, 6, 5, 3)).astype("f4"),) for n in (2, 5)]),
    function(bilinear_sample, lambda r: [(r.random((8, 9)), 6 * r.random(n), 7 * r.random(n)) for n in (20, 11)]),
]
