"""Small functions over Python's syntax, each with the arguments to call it with.

Flows in:  nothing.
Flows out: `PROGRAMS`: every function of this file decorated with `program`.
"""
# ruff: noqa
import contextlib
import functools
import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

PROGRAMS = []
SCALE = 3
COUNTER = 0
TABLE = {"a": 1, "b": [1, 2, 3]}
Point = namedtuple("Point", "x y")


def program(*cases):
    def add(fn):
        PROGRAMS.append((fn, cases or ((),)))
        return fn
    return add


def x(n=4):
    return np.arange(n, dtype=float) - 1.5


def helper(a, b=2, *rest, key=1, **more):
    return a * b + sum(rest) + key * SCALE + len(more)


def raises_deep(v):
    w = v + 1
    return TABLE["missing"] + w


@program((x(),))
def arithmetic(a):
    return -a ** 2 + a / 3 - a // 2 + a % 2


@program((x(), 2), (x(), 0))
def divide(a, n):
    return a.sum() / n, n // (n - n + 1)


@program((3,), (0,))
def zero_division(n):
    total = 10
    return total // n


@program((x(),))
def numpy_calls(a):
    return np.where(a > 0, np.exp(a), 0.0).sum(axis=0, keepdims=True)


@program((x(),), (x(0),))
def slices(a):
    return a[1:], a[::-1], a[:2], a[..., None], a[1:3, None][:, 0]


@program((np.arange(12).reshape(3, 4),))
def two_dimensions(m):
    m[0, 1:3] = 7
    m[:, -1] += 2
    m[1] *= m[2]
    return m.T @ m


@program((5,), (-1,), (0,))
def branches(n):
    if n > 3:
        r = "big"
    elif n < 0:
        r = "negative"
    else:
        r = "small"
    return r


@program((0,), (5,), (12,))
def loops(n):
    total = 0
    for i in range(n):
        if i % 2:
            continue
        if i > 8:
            break
        total += i
    else:
        total = -total
    while total > 3:
        total -= 2
    else:
        total += 100
    return total


@program((0, 1), (1, 0), ([], "x"), (np.float64(0), 2))
def boolean_values(a, b):
    return a and b, a or b, not a, a and b or 7, (a or b) and 3


@program((1, 2, 3), (3, 2, 1), (2, 2, 2))
def chained(a, b, c):
    return a < b < c, a <= b == c, a is not b is not c, 0 < a < 2 < c in (3, 1)


@program((1,), (0,))
def lazy(a):
    return a and helper(a), a or 1 // a, 5 if a else 1 // (a + 1), a == 0 or 1 // a > 0


@program((x(),))
def ambiguous_truth(a):
    return 1 if a > 0 else 2


@program((x(),))
def ambiguous_and(a):
    first = a > 0
    return (first
            and 3)


@program((4,), (20,))
def walrus(n):
    if (half := n // 2) > 5 and (third := n // 3) > 2:
        return half, third
    return [y for k in range(n) if (y := k * half) > 3], y


@program(((1, 2, 3),), ((1,),))
def unpacking(t):
    first, *rest = t
    (a, b), c = (first, rest), len(rest)
    [d, e] = a, b
    return first, rest, a, b, c, d, e, [*t, *rest], {**{"k": 1}, "l": 2}


@program(((1, 2, 3),))
def unpack_error(t):
    a, b = t
    return a


@program()
def target_order():
    log, values = [], [0, 0, 0]
    i = 0
    i, values[i], log = 1, 5, values
    values[i], i = i, 2
    return i, values, log


@program()
def nested_targets():
    d, p = {}, Holder()
    (d["a"], (p.x, *d["rest"])), q = ((1, (2, 3, 4)), 5)
    d["b"] = p.y = z = [9]
    return d, p.x, p.y is z, q


class Holder:
    x = 0

    def __init__(self, **kw):
        for name, value in kw.items():
            setattr(self, name, value)


@program((3,))
def attributes(n):
    h = Holder(a=n, b=[1])
    h.a += 1
    h.b += [2]
    h.b[0] -= 5
    h.c: int = 4
    del h.b[1], h.c
    return sorted(vars(h).items()), hasattr(h, "c")


@program()
def attribute_error():
    h = Holder()
    return (h.
            nothing)


@program((x(),))
def global_names(a):
    global COUNTER
    COUNTER = 5
    COUNTER += 1
    for COUNTER in range(3):
        pass
    (COUNTER, b) = COUNTER + 1, 2
    return a * SCALE + COUNTER, b


@program()
def global_definitions():
    global made, made_too, mod, err
    def made(): return 1
    class made_too: v = 2
    import math as mod
    try:
        raise ValueError("v")
    except ValueError as err:
        seen = str(err)
    made_alias = made() + made_too.v
    del made
    return made_alias, mod.floor(2.5), seen, "made" in globals(), "err" in globals()


@program()
def missing_name():
    a = 1
    return a + not_defined_anywhere


@program((0,), (1,))
def unbound_local(n):
    if n:
        v = 2
    return v


@program((2,))
def nested_functions(n):
    count = 0

    def add(k, *, step=n):
        nonlocal count
        count += k * step
        return count
    for i in range(3):
        add(i)
    return add(1, step=10), count, add.__name__, add.__qualname__.endswith("add")


def make_closure(k):
    state = [k]

    def inner(v):
        nonlocal k
        k = k + v
        k += 1
        state.append(k)
        return k, list(state), (lambda: k * SCALE)()
    return inner


PROGRAMS.append((make_closure(3), ((1,), (2,))))


@program((3,))
def lambdas(n):
    f, g = lambda a, b=n, *c, **d: a + b + sum(c), lambda: n
    return f(1), f(1, 2, 3), g(), (lambda *, k: k)(k=4), list(map(lambda v: v * n, [1, 2]))


@program((4,))
def comprehensions(n):
    return ([i * j for i in range(n) if i % 2 for j in range(i) if j],
            {i: i * n for i in range(n)}, {i % 2 for i in range(n)},
            sum(i * n for i in range(n) if i > 1), [[k for k in range(j)] for j in range(3)])


@program((3,))
def generators(n):
    def count(k):
        for i in range(k):
            got = yield i * n
            if got and got > 1:
                yield from (got, n)
    g = count(3)
    return [next(g), g.send(5), next(g), *g], max(count(4)), sorted(count(3), key=lambda v: -v)


@program((0,), (1,), ("s",), (None,))
def exceptions(n):
    log = []
    try:
        log.append(10 // n)
    except ZeroDivisionError as e:
        log.append(str(e))
    except (TypeError, KeyError):
        log.append("type")
        raise
    else:
        log.append("else")
    finally:
        log.append("finally")
    return log


@program((1,))
def raise_from(n):
    try:
        return TABLE["zzz"]
    except KeyError as e:
        raise RuntimeError(f"lost {n}") from e


@program((3,))
def raises_in_callee(n):
    m = n + 1
    return raises_deep(
        m)


@program((1,), (5,))
def asserts(n):
    assert n
    assert n < 3, f"{n} is too large"
    return n


@program((1,), ([1, 2],), ({"k": 3, "z": 4},), (Point(1, 2),), ("s",), (7,), (None,))
def matches(v):
    match v:
        case 1 | 2:
            return "one"
        case [a, *b]:
            return a, b
        case {"k": k, **rest}:
            return k, rest
        case Point(x=px, y=2):
            return px
        case str() as s if len(s) == SCALE - 2:
            return s
        case int(n) if n > SCALE and n:
            return n
    return "other"


@contextlib.contextmanager
def manager(log, name):
    log.append(name)
    try:
        yield name
    finally:
        log.append("-" + name)


@program()
def with_statements():
    log, d = [], {}
    with manager(log, "a") as d["a"], manager(log, d["a"] + "b") as b:
        log.append(b)
    with contextlib.suppress(KeyError):
        TABLE["none"]
    return log, d


@program((2,))
def star_arguments(n):
    args, kw = (n, 3), {"key": 4, "other": 5}
    return helper(*args, 7, *[8, 9], **kw), helper(n, key=2), helper(b=1, a=5)


@program()
def wrong_arguments():
    k = 1
    return helper(key=k)


@program((2,), (2, 3), (2, 3, 4, 5))
def defaults(a, /, b=SCALE, *c, d=SCALE + 1, **e):
    return a, b, c, d, e


class Base:
    def __init__(self, w):
        self.w = w
        self.__secret = 5

    @property
    def double(self):
        return self.w * 2 if self.w else None

    @double.setter
    def double(self, v):
        self.w = v / 2

    @staticmethod
    def static(v): return v + 1

    @classmethod
    def build(cls, v): return cls(v)

    def __secret_method(self, __v): return __v + self.__secret

    def secret(self):
        return self.__secret_method(1)

    def scaled(self, v): return self.w * v


class Derived(Base):
    def __init__(self, w, v):
        super().__init__(w)
        self.v = v

    def scaled(self, v):
        return super().scaled(v) + super(Derived, self).scaled(1) + (self.v if __class__ is Derived else 0)

    def __call__(self, v, *, k=1):
        return self.scaled(v) * k


@program((x(),))
def classes(a):
    d = Derived(2, 3)
    d.double = 10
    d.double += 2
    return d.scaled(a), d(a, k=2), d.double, Base.static(1), Base.build(4).w, d.secret(), Derived.scaled(d, 1)


@program((3,))
def local_class(n):
    class Local(Base):
        size = n * 2
        pairs = [i for i in range(size) if i > 3]
        picked = size and (pairs or n)
        __hidden = 9

        def value(self, __k=2):
            return self.size + n + self.__hidden + __k + super().scaled(1)
    return Local(1).value(), Local.pairs, Local.picked, sorted(k for k in vars(Local) if "hidden" in k)


@dataclass
class Data:
    a: float
    b: list


@program((1.5,))
def dataclasses_(v):
    d = Data(v, [1])
    d.a += 1
    return d, d == Data(2.5, [1])


@program((2,))
def partials(n):
    f = functools.partial(helper, n, key=5)
    m = functools.partial(Base(3).scaled, 4)
    return f(), f(4, key=1), m(), functools.reduce(lambda p, q: p * q + SCALE, [1, 2, 3])


@program((5,))
def recursion(n):
    return 1 if n <= 1 else n * recursion(n - 1)


@program((3,))
def local_recursion(n):
    def fib(k): return k if k < 2 else fib(k - 1) + fib(k - 2)
    return fib(n + 5)


@program((1,))
def imports(n):
    import os.path as path
    from math import floor as down, sqrt
    return down(2.5) + sqrt(4), path.join("a", "b"), math.pi


@program((2,))
def deletions(n):
    a, b, d = 1, [1, 2, 3], {"k": 1}
    del b[0], d["k"]
    del (a, b[0])
    try:
        a
    except UnboundLocalError:
        return b, d
    return "not reached"


@program((1.25, "s"))
def strings(v, s):
    return f"{v:.1f} {s!r:>5} {v + 1=} {helper(1)}", "%s" % s, s * 2, "{v}".format(**locals())


@program((1, 2))
def frame_functions(a, b):
    return sorted(locals()), eval("a + b"), sorted(dir()), "SCALE" in globals(), sorted(vars())


@program((x(3), x(3)))
def in_place(a, b):
    a += b
    a[0] = 9
    a[1:] -= 1
    b = a
    b *= 2
    return a is b, a


@program((3,))
def mutable_arguments(n, acc=[]):
    acc.append(n)
    return list(acc)


@program((x(),))
def out_argument(a):
    r = np.empty_like(a)
    np.add(a, 1, out=r)
    return r


@program((6,))
def tuples_and_sets(n):
    s = {1, 2} | {n}
    d = {k: v for k, v in zip("ab", (1, n))}
    return sorted(s), d, (1,) + (n,), n in s, n not in d


@program((0,), (3,))
def early_returns(n):
    for i in range(n):
        for j in range(i):
            if i * j == 2:
                return i, j
    if not n:
        return
    return "end"


@program((1,))
def conditional_lambda(n):
    f = (lambda v: v + n) if n else (lambda v: v)
    return f(1)


@program((3,))
def annotated(n: "int") -> "list[int]":
    """Has a docstring."""
    total: int = 0
    undefined: float
    values: list[int] = [n]
    return values, total


@program((2,))
def semicolons(n): a = n; b = a + 1; return a * b


@program((2,))
def multi_line(
    n,
):
    text = """
not indented
"""
    values = [
n,
        n + 1,
    ]
    return (text
            + str(values))


@program((2,))
def while_else_try(n):
    out = []
    while True:
        try:
            n -= 1
            if n < -2:
                break
            out.append(1 / n)
        except ZeroDivisionError:
            out.append("zero")
            continue
        finally:
            out.append("f")
    return out


@program((3,))
def sorted_with_key(n):
    pairs = [(i, (i * 7) % 5) for i in range(n + 3)]
    return sorted(pairs, key=lambda p: p[1]), min(pairs, key=lambda p: -p[1]), list(filter(lambda p: p[1] > 1, pairs))


@program(("äöü",))
def unicode_names(größe):
    ß, 变量 = größe + "ß", größe[0]
    return ß, 变量, größe["x"]


@program((x(),))
def numpy_error(a):
    b = np.ones(3)
    return a @ (b +
                a)


@program((2,))
def star_index(n):
    m = np.arange(24).reshape(2, 3, 4)
    i = (1, 2)
    return m[*i], m[1, *i], m[i][n]


@program((2,))
def decorators_inside(n):
    def twice(f):
        @functools.wraps(f)
        def run(*args):
            return f(*args) * n
        return run

    @twice
    def g(v): return v + 1
    return g(3), g.__wrapped__(3)


@program((2,))
def exception_groups(n):
    try:
        raise ExceptionGroup("g", [ValueError(n), KeyError("k")])
    except* ValueError as e:
        found = len(e.exceptions)
    except* KeyError:
        pass
    return found


class Lazy(Base):
    def scaled(self, v):
        return v and super().scaled(v) if v != 2 else (super()
                                                       .scaled(3))

    @classmethod
    def build(cls, v):
        return [super().build(v + 1)] or 1


@program((0,), (1,), (2,))
def super_in_lazy_operands(n):
    return Lazy(3).scaled(n), Lazy.build(n)[0].w, n or sorted(locals()), n and eval("n + 1")


@program((0,), (3,))
def super_needs_a_parameter(n):
    class A(Base):
        def scaled(): return super().scaled
    return A.scaled()


@program((1,), (-1,))
def comprehension_in_condition(n):
    return any(v > n for v in (0, 1)) and all([v != n for v in range(3)]) or {k: not k for k in (n, 0) if k or n > 0}


@program((np.array([1., np.nan, -1.]),))
def masks(a):
    b = a.copy()
    b[np.isnan(b)] = 0
    b[b < 0], c = -b[b < 0], b > 0
    return b, c, ~c, (b != 0) & c | (b == 0), 0 <= b.max() <= 5


@program((3,))
def nested_data(n):
    tree = {"w": [np.ones(n), {"b": np.zeros(n)}], "k": (1, Point(2, 3))}
    tree["w"][1]["b"][1:] += tree["w"][0][1:] * tree["k"][1].y
    tree["k"] += (4,)
    return tree["w"], tree["k"][1]._replace(x=9), tree.get("z", n), [*tree]


@program((10,))
def sieve(n):
    prime = np.ones(n, bool)
    prime[:2] = False
    for i in range(2, int(n ** 0.5) + 1):
        if prime[i]:
            prime[i * i::i] = False
    return np.flatnonzero(prime)


@program((27,))
def collatz(n):
    steps = 0
    while n != 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


@program((1071, 462))
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a


@program((0,), (2,))
def unbound_in_lazy_operand(n):
    if n > 5:
        v = 1
    return n and v


@program((2,))
def bare_raise_and_reraise(n):
    try:
        try:
            raise KeyError(n)
        except KeyError:
            raise
        finally:
            n += 1
    except LookupError as e:
        caught = e
        e = None
    return repr(caught), n


@program((4,))
def iterators(n):
    out = []
    for i, (a, b) in enumerate(zip(range(n), reversed(range(n))), start=1):
        out.append((i, a, b))
    for k, v in {"a": 1, "b": n}.items():
        out.append((k, divmod(v, 3), abs(-v), round(v / 3, 2), complex(v).imag))
    it = iter(out)
    return next(it), list(it), sum([1, n]), min(n, 2), max([n], default=0)
