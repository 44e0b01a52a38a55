"""Numbers as pictures: characters on the terminal, PNG files where matplotlib is installed.

Flows in: lists and arrays of numbers.  Flows out: text; files in examples/pictures.
"""

import time
from pathlib import Path

import numpy as np

SHADES = " .:-=+*#%@"
PICTURES = Path(__file__).resolve().parent / "pictures"


def curve(values, width=60, height=8):
    """The numbers as a curve of characters, logarithmic."""
    logs = np.log10(np.maximum(values, 1e-9))
    columns = np.interp(np.linspace(0, len(logs) - 1, width), np.arange(len(logs)), logs)
    low, high = columns.min(), columns.max()
    levels = np.round((columns - low) / max(high - low, 1e-9) * (height - 1)).astype(int)
    rows = ["".join("*" if level == row else " " for level in levels) for row in reversed(range(height))]
    labels = [f"{10 ** (low + (high - low) * row / (height - 1)):8.1e}" for row in reversed(range(height))]
    return "\n".join(f"  {label} |{row}".rstrip() for label, row in zip(labels, rows, strict=True))


def shades(image):
    """An image as rows of characters, two for each pixel, from its lowest to its highest number."""
    low, high = np.min(image), np.max(image)
    levels = ((image - low) / max(high - low, 1e-12) * (len(SHADES) - 1)).round().astype(int)
    return ["".join(SHADES[level] * 2 for level in row) for row in levels]


def side_by_side(images, titles):
    """Several images as text, each below its title."""
    blocks = [shades(image) for image in images]
    width = max(max(map(len, titles)), max(len(rows[0]) for rows in blocks)) + 2
    lines = ["".join(title.ljust(width) for title in titles)]
    lines += ["".join(row.ljust(width) for row in rows) for rows in zip(*blocks, strict=True)]
    return "\n".join(f"  {line}".rstrip() for line in lines)


def save_curves(name, curves, labels=("step", "loss"), logarithmic=True):
    """A PNG with curves by name; says where it is. Nothing without matplotlib."""
    def draw(plt):
        for title, values in curves.items():
            plt.plot(*(values if isinstance(values, tuple) else (values,)), label=title)
        plt.xlabel(labels[0])
        plt.ylabel(labels[1])
        plt.yscale("log" if logarithmic else "linear")
        plt.legend()
    _save(name, draw)


def save_images(name, images, titles):
    """A PNG with images side by side; says where it is. Nothing without matplotlib."""
    def draw(plt):
        for k, (image, title) in enumerate(zip(images, titles, strict=True)):
            plt.subplot(1, len(images), k + 1, title=title, xticks=[], yticks=[])
            plt.imshow(image, cmap="gray")
    _save(name, draw)


def _save(name, draw):
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    PICTURES.mkdir(exist_ok=True)
    plt.figure(figsize=(8, 4))
    draw(plt)
    plt.tight_layout()
    plt.savefig(PICTURES / f"{name}.png", dpi=100)
    plt.close()
    print(f"\n  picture: {PICTURES / f'{name}.png'}")


class Progress:
    """Prints the loss about ten times in a training, and counts steps per second after the first, which compiles."""

    def __init__(self, epochs, quiet=False):
        self.epochs, self.quiet = epochs, quiet
        self.losses, self.steps, self.start = [], 0, None

    def step(self):
        """After every step."""
        if self.start is None:
            self.start = time.perf_counter()
        else:
            self.steps += 1

    def epoch(self, loss):
        """After every epoch, with its mean loss."""
        self.losses.append(float(loss))
        done = len(self.losses)
        if not self.quiet and (done == 1 or done % max(1, self.epochs // 10) == 0):
            print(f"  epoch {done:3d} of {self.epochs}   loss {loss:.4f}   {self.rate:,.0f} steps/s", flush=True)

    @property
    def rate(self):
        """Steps per second."""
        return self.steps / max(time.perf_counter() - self.start, 1e-9)
