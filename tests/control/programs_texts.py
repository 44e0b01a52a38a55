"""Texts that only the run knows: chosen by branches, states of loops, made of values, returned.

Flows in: numbers.  Flows out: `TABLE`.
"""

from tests.control.program import Table

TABLE = Table()
program = TABLE.add


@program("texts", (2.0,), (-2.0,), (0.0,))
def text_chosen_by_branches(x):
    if x > 0:
        name = "positive"
    elif x < 0:
        name = "negative"
    else:
        name = "zero"
    return name, x


@program("texts", (5,), (0,), (1,), (40,))
def texts_as_states(n):
    state, t = "idle", 0
    for _ in range(n):
        if state == "idle":
            state = "run"
        elif state == "run":
            t += 1
            if t > 2:
                state = "done"
        else:
            t += 100
    return state, t


@program("texts", (5,), (2,), (0,))
def text_ends_a_loop(n):
    mode, x, rounds = "up", 0, 0
    while mode != "end":
        rounds += 1
        if mode == "up":
            x += 1
            if x >= n:
                mode = "down"
        elif mode == "down":
            x -= 2
            if x < 0:
                mode = "end"
    return x, rounds


@program("texts", (5.25,), (0.0,), (-1e10,))
def text_made_of_values(x):
    return f"x is {x:.3f}, {int(x)} as an int", str(x)


@program("texts", (5,), (0,), (-1,))
def text_chosen_or_made(n):
    mode = "many" if n > 2 else "none" if n == 0 else "few"
    if mode in ("none", "few"):
        mode = f"{mode}: {n}"
    return mode, [mode, {"key": mode}]


@program("texts", (5,), (0,), (-1,))
def text_or_none(n):
    name = None
    if n > 0:
        name = "positive"
    elif n < 0:
        name = f"{n}"
    return name


@program("texts", (5,), (0,), (1,))
def texts_in_a_list(n):
    names = []
    for i in range(n):
        names.append("even" if i % 2 == 0 else f"odd {i}")
    return names


@program("texts", (5,), (0,))
def text_given_by_a_function(n):
    def level(k):
        if k > 3:
            return "high"
        return "low"

    count = 0
    for i in range(n + 2):
        if level(i) == "high":
            count += 1
    return count, level(n)


@program("texts", (5,), (1,), (0,))
def chosen_text_in_an_error(n):
    mode = "a" if n > 2 else ""
    if n == 0:
        raise ValueError(f"mode {mode!r} of {n}")
    return 1 if mode else 2
