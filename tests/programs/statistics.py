"""Statistics: moments, robust estimates, correlation, likelihoods, resampling.

Flows in: NumPy arrays.  Flows out: rows of the program table.
"""

import numpy as np

from tests.programs.program import function


def standardize(samples):
    """Z-scores of each column."""
    return (samples - samples.mean(axis=0)) / samples.std(axis=0, ddof=1)


def weighted_moments(x, w):
    w = w / np.sum(w)
    mean = np.sum(w * x)
    var = np.sum(w * (x - mean) ** 2)
    skew = np.sum(w * (x - mean) ** 3) / var**1.5
    kurtosis = np.sum(w * (x - mean) ** 4) / var**2 - 3.0
    return mean, var, skew, kurtosis


def correlation(x):
    d = x - x.mean(axis=0)
    cov = d.T @ d / (x.shape[0] - 1)
    s = np.sqrt(np.diag(cov))
    return cov / np.outer(s, s)


def describe(x):
    """The summary table that everybody prints first."""
    q = np.sort(x)
    n = x.size
    return {
        "n": n,
        "mean": x.mean(),
        "std": x.std(),
        "min": q[0],
        "median": 0.5 * (q[(n - 1) // 2] + q[n // 2]),
        "max": q[-1],
        "range": np.ptp(x),
    }


def median_absolute_deviation(x):
    def median(v):
        v = np.sort(v)
        return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2

    return 1.4826 * median(np.abs(x - median(x)))


def trimmed_mean(x, cut=2):
    return np.sort(x, axis=-1)[..., cut:-cut].mean(axis=-1)


def logsumexp(a):
    m = np.max(a, axis=-1, keepdims=True)
    return np.log(np.sum(np.exp(a - m), axis=-1)) + m[..., 0]


def gaussian_mixture_log_likelihood(x, means, sigmas, weights):
    z = (x[:, None] - means[None, :]) / sigmas
    log_p = -0.5 * z**2 - np.log(sigmas) - 0.5 * np.log(2 * np.pi) + np.log(weights)
    top = log_p.max(axis=1)
    per_point = top + np.log(np.exp(log_p - top[:, None]).sum(axis=1))
    responsibility = np.exp(log_p - per_point[:, None])
    return per_point.sum(), responsibility


def jackknife_mean(x):
    """Leave-one-out means and the standard error they give."""
    n = len(x)
    loo = (x.sum() - x) / (n - 1)
    return loo, np.sqrt((n - 1) / n * np.sum((loo - loo.mean()) ** 2))


def two_sample_t(a, b):
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    t = (a.mean() - b.mean()) / np.sqrt(va + vb)
    dof = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return t, dof


def rank_correlation(x, y):
    """Spearman's rho without ties."""
    rx = np.argsort(np.argsort(x))
    ry = np.argsort(np.argsort(y))
    d = (rx - ry).astype(np.float64)
    n = len(x)
    return 1 - 6 * np.sum(d * d) / (n * (n**2 - 1))


def confusion_scores(truth, predicted):
    """Counts and rates of a binary classifier: booleans in, Python-style report out."""
    tp = np.count_nonzero(truth & predicted)
    fp = np.count_nonzero(~truth & predicted)
    fn = np.count_nonzero(truth & ~predicted)
    tn = np.sum(~truth & ~predicted)
    return {
        "tp": tp,
        "tn": tn,
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "any_error": np.any(truth ^ predicted),
    }


def running_mean_and_variance(x):
    n = np.arange(1, len(x) + 1)
    s1 = np.cumsum(x)
    s2 = np.cumsum(x * x)
    mean = s1 / n
    return mean, s2 / n - mean**2


PROGRAMS = [
    function(
        standardize,
        lambda r: [(r.normal(size=(50, 3)),), (r.normal(size=(31, 3)).astype("f4"),), (r.normal(size=(77, 4)),)],
    ),
    function(weighted_moments, lambda r: [(r.normal(size=100), r.random(100)), (r.normal(size=37), r.random(37))]),
    function(correlation, lambda r: [(r.normal(size=(40, 5)),), (r.normal(size=(60, 3)),)]),
    function(describe, lambda r: [(r.normal(size=41),), (r.normal(size=100),), (r.normal(size=9).astype("f4"),)]),
    function(median_absolute_deviation, lambda r: [(r.normal(size=30),), (r.normal(size=51),)]),
    function(trimmed_mean, lambda r: [(r.normal(size=20),), (r.normal(size=(3, 15)),), (r.normal(size=(4, 40)), 5)]),
    function(
        logsumexp,
        lambda r: [
            (r.normal(size=(6, 100)) * 300,),
            (r.normal(size=(9, 7)),),
            (r.normal(size=(2, 3, 5)).astype("f4"),),
        ],
    ),
    function(
        gaussian_mixture_log_likelihood,
        lambda r: [
            (r.normal(size=n), np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 2.0]), np.array([0.2, 0.5, 0.3]))
            for n in (60, 25)
        ],
    ),
    function(jackknife_mean, lambda r: [(r.normal(size=20),), (r.normal(size=33),)]),
    function(
        two_sample_t,
        lambda r: [(r.normal(size=20), r.normal(size=30)), (r.normal(size=15), r.normal(size=15))],
        rtol=1e-10,
    ),
    function(
        rank_correlation, lambda r: [(r.normal(size=25), r.normal(size=25)), (r.normal(size=60), r.normal(size=60))]
    ),
    function(
        confusion_scores, lambda r: [(r.random(50) > 0.5, r.random(50) > 0.4), (r.random(80) > 0.5, r.random(80) > 0.4)]
    ),
    function(running_mean_and_variance, lambda r: [(r.normal(size=64),), (r.normal(size=200),)], rtol=1e-10),
]
