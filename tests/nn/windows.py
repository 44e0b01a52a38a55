"""Convolutions and pooling by their definitions, for any number of axes of space, channels last.

Flows in:  arrays and options.  Flows out: `convolution`, `pooling`, options drawn at random.
"""
from __future__ import annotations

import itertools

import numpy as np


def sides(padding, sizes, window, strides, dilation):
    """What is put before and behind, as TensorFlow has it."""
    if padding == "valid":
        return [(0, 0)] * len(window)
    if padding == "same":
        spans = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in zip(sizes, strides, spans, strict=True)]
        return [(t // 2, t - t // 2) for t in totals]
    return list(padding)


def parts(x, window, strides, padding, dilation, fill):
    """(place of the window, its elements (batch, *window, channels)), one after the other; and how many there are."""
    rank = len(window)
    pads = sides(padding, x.shape[1:-1], window, strides, dilation)
    x = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    axes = zip(x.shape[1:-1], window, strides, dilation, strict=True)
    counts = [(n - (w - 1) * d - 1) // s + 1 for n, w, s, d in axes]

    def found():
        for place in itertools.product(*map(range, counts)):
            index = tuple(slice(place[a] * strides[a], place[a] * strides[a] + (window[a] - 1) * dilation[a] + 1,
                                dilation[a]) for a in range(rank))
            yield place, x[(slice(None), *index)]

    return found(), counts


def convolution(x, kernel, strides, padding, dilation, groups):
    *window, inside, outputs = kernel.shape
    found, counts = parts(x, window, strides, padding, dilation, 0)
    out = np.zeros((x.shape[0], *counts, outputs), np.result_type(x, kernel))
    for place, part in found:
        for g in range(groups):
            mine = slice(g * (outputs // groups), (g + 1) * (outputs // groups))
            taken = part[..., g * inside:(g + 1) * inside].reshape(x.shape[0], -1)
            out[(slice(None), *place, mine)] = taken @ kernel[..., mine].reshape(-1, outputs // groups)
    return out


def pooling(x, fold, window, strides, padding, dilation, fill):
    found, counts = parts(x, window, strides, padding, dilation, fill)
    out = np.zeros((x.shape[0], *counts, x.shape[-1]))
    for place, part in found:
        out[(slice(None), *place)] = fold(part, axis=tuple(range(1, len(window) + 1)))
    return out


def drawn(r, rank):
    """Options of a convolution, with sizes that fit: (shape of x, shape of the kernel, options)."""
    window = tuple(int(r.integers(1, 5)) for _ in range(rank))
    dilation, strides = (tuple(int(r.integers(1, 4)) for _ in range(rank)) for _ in range(2))
    sizes = tuple((w - 1) * d + 1 + int(r.integers(0, 6)) for w, d in zip(window, dilation, strict=True))
    padding = [lambda: "valid", lambda: "same",
               lambda: tuple((int(r.integers(0, 4)), int(r.integers(0, 4))) for _ in range(rank))][r.integers(3)]()
    groups = int(r.choice([1, 1, 2, 3]))
    inside, outside = int(r.integers(1, 4)), int(r.choice([1, 2, 5, 17]))
    options = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    return (int(r.integers(1, 4)), *sizes, inside * groups), (*window, inside, outside * groups), options
