"""Signals: filters, windows, spectra by direct sums, detection.

Flows in: NumPy arrays.  Flows out: rows of the program table.
"""

import numpy as np

from tests.programs.program import function

SAMPLE_RATE = 8000.0
TAPS = np.array([0.05, 0.25, 0.4, 0.25, 0.05])


def moving_average(x, width=5):
    c = np.cumsum(np.concatenate([np.zeros(1), x]))
    return (c[width:] - c[:-width]) / width


def fir_filter(x):
    """Convolution with the module's taps, 'valid' part, as a sum of shifted slices."""
    n = len(x) - len(TAPS) + 1
    y = np.zeros(n)
    for k, tap in enumerate(TAPS):
        y += tap * x[k : k + n]
    return y


def hann_frames(x, frame=16, hop=8):
    """Overlapping frames under a Hann window."""
    count = 1 + (len(x) - frame) // hop
    index = np.arange(frame)[None, :] + hop * np.arange(count)[:, None]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    return x[index] * window


def power_spectrum(x):
    """A discrete Fourier transform written out, and its power in decibels."""
    n = x.shape[0]
    k = np.arange(n // 2 + 1)
    basis = np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n)
    spectrum = basis @ x
    return 10 * np.log10(np.abs(spectrum) ** 2 / n + 1e-12)


def demodulate(x, carrier):
    """Mixes to base band, keeps envelope and phase."""
    t = np.arange(x.size) / SAMPLE_RATE
    z = x * np.exp(-2j * np.pi * carrier * t)
    smooth = 0.5 * (z[1:] + z[:-1])
    return np.abs(smooth), np.angle(smooth), smooth.conj()


def zero_crossings(x):
    s = np.signbit(x)
    return int(np.count_nonzero(s[1:] != s[:-1])), np.mean(np.abs(np.diff(x)))


def median_filter3(x):
    padded = np.pad(x, 1, mode="edge")
    stacked = np.stack([padded[:-2], padded[1:-1], padded[2:]])
    return np.sort(stacked, axis=0)[1]


def quantize_pcm16(x):
    """Float samples to 16-bit integers, with clipping."""
    return np.clip(np.rint(x * 32767.0), -32768, 32767).astype(np.int16)


def autocorrelation(x, lags=6):
    d = x - x.mean()
    denominator = np.dot(d, d)
    return np.array([np.dot(d[: len(d) - k], d[k:]) / denominator for k in range(lags)])


def rms_envelope_db(block):
    """block: f32[channels, frames, samples]."""
    rms = np.sqrt(np.mean(np.square(block), axis=-1))
    floor = np.float32(1e-6)
    return 20 * np.log10(np.maximum(rms, floor))


def haar_level(x):
    """One level of the Haar wavelet and its inverse."""
    even, odd = x[::2], x[1::2]
    approx = (even + odd) / np.sqrt(2)
    detail = (even - odd) / np.sqrt(2)
    back = np.empty_like(x)
    back[::2] = (approx + detail) / np.sqrt(2)
    back[1::2] = (approx - detail) / np.sqrt(2)
    return approx, detail, back


PROGRAMS = [
    function(
        moving_average, lambda r: [(r.normal(size=50),), (r.normal(size=91),), (r.normal(size=50), 7)], rtol=1e-10
    ),
    function(fir_filter, lambda r: [(r.normal(size=40),), (r.normal(size=101),)]),
    function(hann_frames, lambda r: [(r.normal(size=64),), (r.normal(size=100).astype("f4"), 20, 10)]),
    function(power_spectrum, lambda r: [(r.normal(size=32),), (r.normal(size=45),)], rtol=1e-9),
    function(demodulate, lambda r: [(r.normal(size=64), 440.0), (r.normal(size=30), 1000.0)], rtol=1e-10),
    function(zero_crossings, lambda r: [(r.normal(size=64),), (r.normal(size=31),)]),
    function(median_filter3, lambda r: [(r.normal(size=20),), (r.normal(size=33).astype("f4"),)]),
    function(quantize_pcm16, lambda r: [(r.normal(size=40),), (r.normal(size=(2, 25)).astype("f4"),)]),
    function(autocorrelation, lambda r: [(r.normal(size=60),), (r.normal(size=90),)], rtol=1e-10),
    function(
        rms_envelope_db,
        lambda r: [(r.normal(size=(2, 5, 32)).astype("f4"),), (r.normal(size=(1, 9, 64)).astype("f4"),)],
    ),
    function(haar_level, lambda r: [(r.normal(size=32),), (r.normal(size=50),)]),
]
