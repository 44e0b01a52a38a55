"""Interrupts loops that do not end, one after the other; prints a line for each. Run by test_interrupts.py.

Flows in: nothing.  Flows out: name, what happened, seconds after the signal, whether the function works afterwards.
"""

import os
import signal
import threading
import time

import numpy as np

import tracejit as tj

DELAY = 0.15


def while_of_ints(n):
    s = 0
    while n > 0:
        s += n
    return s


def while_of_floats(x):
    while x < 1e300:
        x = x * 0.5 + 1
    return x


def nested_for(n):
    s = 0
    for i in range(n):
        for j in range(n):
            s += i ^ j
    return s


def long_for(n):
    s = 0
    for i in range(n):
        s = s * 3 + i
    return s


def while_with_break(n):
    while True:
        n = (n * 1103515245 + 12345) % 2147483648
        if n == 18:
            break
    return n


def while_that_writes(x, n):
    i = 0
    while n:
        x[i] += 1
        i = (i + 1) % 4
    return x


def while_around_a_growing_list(n):
    kept = []
    rounds = 0
    while n > 0:
        if rounds % 1000 == 0:
            kept.append(rounds)
        if len(kept) > 3:
            kept.pop()
        rounds += 1
    return len(kept)


def while_around_a_try(n):
    count = 0
    while n > 0:
        try:
            if count % 7 == 3:
                raise ValueError("three")
            count += 1
        except ValueError:
            count += 2
    return count


# A call that ends and one that does not.
LOOPS = [
    (while_of_ints, (0,), (1,)),
    (while_of_floats, (1e301,), (1.0,)),
    (nested_for, (2,), (10**8,)),
    (long_for, (3,), (2**62,)),
    (while_with_break, (2147471187 * 1857678181 % 2147483648,), (1,)),
    (while_that_writes, (np.zeros(4), 0), (np.zeros(4), 1)),
    (while_around_a_growing_list, (0,), (1,)),
    (while_around_a_try, (0,), (1,)),
]


def interrupt(fn, ends, endless) -> None:
    compiled = tj.function(fn)
    compiled.trace(*ends)
    start = time.perf_counter()
    timer = threading.Timer(DELAY, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        compiled(*endless)
        result = "ended"
    except KeyboardInterrupt:
        result = "interrupted"
    timer.join()
    seconds = time.perf_counter() - start - DELAY
    usable = fn is while_with_break or np.all(compiled(*ends) == fn(*ends))
    print(fn.__name__, result, f"{seconds:.2f}", "usable" if usable else "broken", flush=True)


if __name__ == "__main__":
    for row in LOOPS:
        interrupt(*row)
