"""Functions which the programs import: no decorator is near them.

Flows in: whatever a program passes.  Flows out: its results.
"""


def bisect(f, low, high):
    """A root of `f` between `low` and `high`."""
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        if f(middle) > 0:
            high = middle
        else:
            low = middle
    return low


def count_above(x, limit):
    count = 0
    for v in x:
        if v > limit:
            count += 1
    return count


def check_positive(v, name):
    """Raises from a module that is not the program's own."""
    if v <= 0:
        raise ValueError(f"{name} is {v}")
    return v
