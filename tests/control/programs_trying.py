"""Exceptions that only the run raises, caught: handlers, `else`, `finally`, managers, loops, calls, state.

Flows in: numbers and small arrays.  Flows out: `TABLE`.
"""

import contextlib
import math

import numpy as np

from tests.control.program import Table

TABLE = Table()
program = TABLE.add
NAN = math.nan
KINDS = (ValueError, KeyError)
CALLS = 0


class Rejected(Exception):
    """A user's own exceptions, which form a tree."""


class TooSmall(Rejected):
    """..."""


class TooLarge(Rejected):
    """Holds more than its text."""

    def __init__(self, value, limit):
        super().__init__(f"{value} is more than {limit}")
        self.value, self.limit = value, limit


class Recorded:
    """A manager which writes down what happens."""

    def __init__(self, log):
        self.log = log

    def __enter__(self):
        self.log[0] += 1
        return self.log

    def __exit__(self, kind, error, traceback):
        self.log[1] += 1
        if kind is not None:
            self.log[2] += 1
        return False


class Forgiving:
    """A manager which swallows errors of values."""

    def __init__(self):
        self.left = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.left += 1
        return kind is not None and issubclass(kind, ValueError)


def a(*values):
    return np.array(values, dtype=float)


def quotient(m, n):
    """Catches what it can; its `finally` binds a parameter."""
    try:
        try:
            if m < 0:
                raise ValueError("negative")
            return m // n
        except ZeroDivisionError:
            return -1
    finally:
        n += 1


@program("try / except", (1.0,), (-1.0,), (0.0,), (NAN,))
def catch_by_base_class(x):
    try:
        if x > 0:
            raise TooLarge(x, 0)
        if x < 0:
            raise TooSmall("too small")
        if x == 0:
            raise KeyError("zero")
        r = 0
    except TooSmall:
        r = 1
    except Rejected:
        r = 2
    except LookupError:
        r = 3
    return r


@program("try / except", (1.0,), (30.0,), (300.0,))
def attributes_of_an_error(x):
    try:
        if x > 100:
            raise TooLarge(x, 100)
        if x > 10:
            raise TooLarge(x * 2, 10)
        return x
    except TooLarge as error:
        return error.value * 10 + error.limit


@program("try / except", (1.0,), (300.0,))
def text_of_an_error_with_attributes(x):
    if x > 100:
        raise TooLarge(x, 100)
    return x


@program("try / except", (7, 2), (7, 0), (-7, 2))
def try_in_called_functions(m, n):
    try:
        r = quotient(m, n)
    except ValueError:
        r = quotient(-m, n) + 100
    return r


@program("try / except", (2.0,), (-2.0,), (0.0,))
def raise_in_a_handler(x):
    try:
        try:
            if x <= 0:
                raise ValueError(f"x = {x}")
            r = 1.0
        except ValueError:
            if x < 0:
                raise KeyError("in the handler") from None
            r = 2.0
    except KeyError:
        r = 3.0
    return r


@program("try / except", (2.0,), (-2.0,), (0.0,))
def else_is_not_protected(x):
    try:
        try:
            if x < 0:
                raise ValueError("body")
        except ValueError:
            r = 1
        else:
            if x == 0:
                raise ValueError("else")
            r = 2
    except ValueError:
        r = 3
    return r


@program("try / except", (a(1, 2, 3), 1, 2), (a(1, 2, 3), 3, 0), (a(1, 2, 3), 1, 9), (a(1, 2, 3), -1, -4))
def which_index_was_wrong(x, i, j):
    done = 0
    try:
        s = x[i]
        done = 1
        s = s + x[j]
        done = 2
    except IndexError:
        s = -10.0 * done
    return float(s), done


@program("try / except", (4.0,), (-4.0,), (0.0,))
def catch_domain_error(x):
    try:
        return math.log(math.sqrt(x))
    except ValueError:
        return -1.0


@program("try / except", (4.0,), (-4.0,))
def catch_missing_key(x):
    table = {"a": x}
    try:
        y = table["a"]
        if x < 0:
            y = table["b"]
    except KeyError:
        y = 0.5
    return y


@program("try / except", (4.0,), (-4.0,), (NAN,))
def catch_failed_assertion(x):
    try:
        assert x > 0, f"{x} is not positive"
    except AssertionError:
        return -1.0
    return x


@program("try / except", (3, 10), (20, 10), (0, 3))
def retry_until_it_works(needed, limit):
    tries = 0
    while True:
        try:
            tries += 1
            if tries < needed:
                raise RuntimeError(f"try {tries}")
            break
        except RuntimeError:
            if tries >= limit:
                raise
    return tries


@program("try / except", (3, 2), (3, 7), (0, 0))
def raise_the_last_error(n, good):
    last = None
    for i in range(n):
        try:
            if i != good:
                raise ValueError(f"try {i}")
            break
        except ValueError as error:
            last = error
    else:
        if last is not None:
            raise last
        return -1
    return i


@program("try / except", (3,), (-3,), (0,))
def two_lines_raise_the_same(n):
    try:
        if n < 0:
            raise ValueError("not positive")
        if n == 0:
            raise ValueError("not positive")
    except ValueError:
        n += 1
        raise
    return n


@program("try / except", (3,), (-3,), (0,))
def another_error_in_its_place(n):
    try:
        return 10 // n
    except ZeroDivisionError:
        raise ValueError(f"n is {n}") from None


@program("try / except", (2,), (-2,), (0,))
def catch_everything(n):
    try:
        r = 10 // n
        assert n > 0
    except Exception:
        r = -1
    return r


@program("try / except", (3.0,), (-3.0,), (0.0,))
def classes_in_a_variable(x):
    kinds = KINDS
    try:
        if x < 0:
            raise KeyError("k")
        if x == 0:
            raise IndexError("i")
    except kinds:
        return 1
    except IndexError:
        return 2
    return 0


@program("try / except", (4, 0), (4, 2), (0, 0))
def continue_in_a_handler(n, d):
    s = 0
    for i in range(n):
        try:
            q = i // d
        except ZeroDivisionError:
            s += 100
            continue
        s += q
    return s


@program("try / except", (4, 0), (4, 2), (0, 0))
def return_in_a_handler(n, d):
    s = 0
    for i in range(n):
        try:
            s += i // d
        except ZeroDivisionError:
            return -1
    return s


@program("try / except", (a(4, 3, 2, 1, 0), 9), (a(4, 3, 2, 1, 5), 3))
def test_of_a_loop_fails(x, n):
    i = 0
    try:
        while x[i] > 0:
            i += 1
    except IndexError:
        i = -i
    return i


@program("try / except", (a(1, 2, 3, 4), 2), (a(1, 2, 3, 4), 4), (a(1, 2, 3, 4), 7))
def state_of_a_loop_that_failed(x, n):
    s, last = 0.0, -1
    try:
        for i in range(n):
            x[i] = x[i] * 2
            s += x[i]
            last = i
    except IndexError:
        s = -s
    return s, last


@program("try / except", (a(1, 2, 3, 4), 2), (a(1, 2, 3, 4), 9), (a(1, 2, 3, 4), -9))
def arrays_changed_before_a_failure(x, i):
    y = np.zeros(3)
    try:
        x[0] = 10
        y[1] = 5
        x[i] = 7
        y[2] = 6
    except IndexError:
        y[0] = x[0]
        x[1] = -1
    return y


@program("try / except", (a(1, 2, 3), 1), (a(1, 2, 3), 5))
def view_changed_before_a_failure(x, i):
    tail = x[1:]
    try:
        tail[0] = 10
        y = float(x[i])
        tail[1] = 20
    except IndexError:
        tail[1] = 30
        y = 0.0
    return x + y, tail.sum()


@program("try / except", (a(1, 2, 3), 1), (a(1, 2, 3), 5))
def array_bound_anew_before_a_failure(x, i):
    y = x
    try:
        y = x + 1
        y[2] = x[i]
        y = y * 2
    except IndexError:
        y[0] = 100
    y[1] = 50
    return y


@program("try / except", (1,), (0,), (-1,))
def text_as_state(n):
    stage = "a"
    try:
        stage = "b"
        if n < 0:
            raise ValueError
        stage = "c"
        if n == 0:
            raise ValueError
    except ValueError:
        return 1 if stage == "b" else 2
    return 3


@program("try / except", (3, 2), (0, 2), (-3, 2), (3, 0))
def unbound_in_a_handler(n, d):
    try:
        if n // d > 0:
            v = 3
        w = v + 1
    except ZeroDivisionError:
        v = w = 7
    return v + w


@program("try / except", (3.0,), (-3.0,), (-4.0,), state=("CALLS",))
def global_changed_before_a_failure(x):
    global CALLS
    try:
        CALLS += 1
        if x < 0:
            raise ValueError("negative")
        CALLS += 10
    except ValueError:
        CALLS += 100
    return CALLS


@program("try / except", ({"a": 1.0}, 2.0), ({"a": 1.0}, -2.0))
def dict_changed_before_a_failure(table, x):
    try:
        table["a"] = x
        if x < 0:
            raise ValueError("negative")
        table["a"] = x + 1
    except ValueError:
        table["a"] = table["a"] * 10
    return table["a"]


@program("try / except", (3,), (-3,))
def nonlocal_changed_before_a_failure(n):
    count = 0

    def bump(k):
        nonlocal count
        count += k
        if k < 0:
            raise ValueError(k)
        count += 1

    try:
        bump(n)
    except ValueError:
        count *= 100
    return count


@program("try / except", (5, 2), (5, 0))
def generator_fails(n, d):
    try:
        return sum(i // d for i in range(n))
    except ZeroDivisionError:
        return -1


@program("try / except", (a(1, 2), a(1, 2, 3), 1.0), (a(1, 2), a(1, 2, 3), -1.0))
def numpy_refuses_in_a_branch(x, y, t):
    r = 0.0
    try:
        if t > 0:
            r = (x + y).sum()
        r += 1.0
    except ValueError:
        r = -5.0
    return r


@program("return in a loop", (a(1, 2, 3), 5), (a(1, 2, 3), 2), (a(1, 2, 3), 0))
def return_the_array_that_rounds_write(x, n):
    for i in range(n):
        for j in range(n):
            x[0] += 1
            if i * j == 6:
                return i, x
    return -1, x


@program("return in a loop", (a(1, 2, 3), 5), (a(1, 2, 3), 2), (a(1, 2, 3), 0))
def array_written_after_its_return(x, n):
    i = 0
    while i < n:
        i += 1
        try:
            if i == 3:
                return i, x
        finally:
            x[0] += 1
    return -1, x


@program("try / finally", (5,), (-5,), (0,))
def return_through_finally(x):
    count = 0
    try:
        if x > 0:
            return x * 2, count
        count += 1
        if x < 0:
            raise ValueError(f"negative: {x}")
    finally:
        count += 10
    return x, count


@program("try / finally", (6, 2), (6, 20), (0, 1))
def break_through_finally(n, stop):
    total = closed = 0
    for i in range(n):
        try:
            total += 1
            if i == stop:
                break
            total += i
        finally:
            closed += 1
    return total, closed


@program("try / finally", (5, 2), (5, 3), (5, 9))
def order_of_the_parts(n, bad):
    log = 0
    try:
        for i in range(n):
            try:
                if i == bad:
                    raise ValueError(i)
                log = log * 10 + 1
            except KeyError:
                log = -1
            else:
                log = log * 10 + 2
            finally:
                log = log * 10 + 3
    except ValueError:
        log = log * 10 + 4
    return log


@program("try / finally", (3,), (-3,), (0,))
def finally_raises(n):
    r = 0
    try:
        try:
            if n < 0:
                raise ValueError("body")
            r = 1
        finally:
            r += 10
            if n == 0:
                raise KeyError("finally")
    except ValueError:
        r += 100
    except KeyError:
        r += 1000
    return r


@program("try / finally", (5, 1), (5, 0), (-5, 1), (-5, 0))
def error_in_finally_drops_the_return(n, d):
    try:
        try:
            if n > 0:
                return n, -1
            n -= 1
        finally:
            r = n // d
    except ZeroDivisionError:
        n *= 2
        r = 0
    return n, r


@program("try / finally", (5,), (-5,), (0,), (7,))
def finally_may_return(n):
    r = 0
    try:
        if n < 0:
            raise ValueError("dropped")
        r = 10 // n
    finally:
        if n < 3:
            return -1    # noqa: B012
        r += 1000
    return r


@program("try / finally", (5, 2), (5, -1), (5, 9), (0, 0))
def finally_may_break(n, bad):
    s = 0
    for i in range(n):
        try:
            if i == bad:
                raise KeyError(i)
            if bad < 0:
                return 77
            s += i
        finally:
            if i == 3:
                break    # noqa: B012
            s += 10
    return s


@program("try / finally", (5, 2), (5, -1), (5, 9), (6, 4))
def finally_continues(n, bad):
    s = 0
    for i in range(n):
        try:
            if i == bad:
                raise KeyError(i)
            if bad < 0:
                return 77
            if i == 5:
                break
            s += i
        finally:
            s += 10
            continue    # noqa: B012
    else:
        s += 1000
    return s


@program("with", (a(0, 0, 0), 3.0), (a(0, 0, 0), -3.0))
def manager_records_an_error(log, x):
    with Recorded(log) as entered:
        entered[0] += x
        if x < 0:
            raise ValueError(f"negative: {x}")
        x = x * 2
    return x


@program("with", (3.0,), (-3.0,), (0.0,))
def manager_swallows_an_error(x):
    manager = Forgiving()
    r = 0.0
    with manager as entered:
        r = 1.0
        if x < 0:
            raise ValueError("swallowed")
        if x == 0:
            raise KeyError("not swallowed")
        r = 2.0
    return r, manager.left, entered.left


@program("with", (3.0,), (-3.0,))
def return_from_with(x):
    manager = Forgiving()
    with manager:
        if x > 0:
            return x, manager.left
        raise ValueError("swallowed")
    return -1.0, manager.left


@program("with", (5, 1), (5, 0), (-5, 1), (-5, 0))
def swallowed_error_drops_the_return(n, d):
    r = 0
    with contextlib.suppress(ZeroDivisionError):
        try:
            if n > 0:
                return n, -1
            n -= 1
        finally:
            r = n // d
    return n, r


@program("with", (2.0,), (-2.0,), (0.0,))
def several_managers(x):
    log = np.zeros(3)
    with Recorded(log) as entered, Forgiving() as outcome:
        if x < 0:
            raise ValueError("swallowed by the inner one")
        x = x + float(entered[0])
    return x, outcome.left, log


@program("with", (2.0, 3.0), (-2.0, 3.0), (1.0, 3.0))
def suppress_several(x, y):
    with contextlib.suppress(ValueError, ZeroDivisionError):
        y = 1.0
        y = math.log(x)
        y = 1.0 / (x - 1.0)
    return y


@program("try / except", (1, 5.0, a(0, 0.5, -2)), (2, 5.0, a(0, 0.5, -2)), (-3, 1.0, a(1, 2, 3)))
def handler_writes_one_of_two_arrays(i, x, values):
    try:
        n = 0
        while n < 1 and i % 2 == 0:
            n += 1
            values = values * 0.5 + x
        if i > 0:
            raise ValueError("positive")
    except ValueError:
        values[1] += x
    return values


@program("try / except", (1, 0.5, a(1, 2)), (2, 0.5, a(1, 2)), (4, 0.5, a(1, 2)), (9, 0.5, a(1, 2)))
def one_of_two_arrays_is_written_after_a_failure(i, x, values):
    try:
        if i > 1:
            values = values + x
            if i > 2:
                raise ValueError("large")
        if i > 3:
            values[0] = x
        if i > 4:
            raise ValueError("larger")
    except ValueError:
        x = -x
    values[1] = x
    return values
