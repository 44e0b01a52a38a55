"""A recurrent network learns a text letter by letter, then writes by itself.

Flows in: the Zen of Python.  Flows out: the loss, and what the network writes in between and at the end.
Shows: tj.nn.lstm, truncated backpropagation with the state carried on, a compiled loop that draws letters.
"""

import codecs
import contextlib
import io
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples.show import curve, save_curves  # noqa: E402

UNITS = 96
LANES = 16      # parts of the text that are read side by side
STEPS = 16      # letters between two updates


def zen():
    """The text of `import this`."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13").replace("\n", " ")


def encode(text):
    """Letters that occur, and the text as their numbers."""
    letters = sorted(set(text))
    return letters, np.array([letters.index(c) for c in text])


def init(key, letters):
    keys = tj.random.split(key, 4)
    make = tj.nn.glorot
    return {"embedding": make(keys[0], (letters, 16), dtype=np.float32),
            "kernel": make(keys[1], (16, 4 * UNITS), dtype=np.float32),
            "recurrent": make(keys[2], (UNITS, 4 * UNITS), dtype=np.float32),
            "bias": np.repeat(np.array([0, 1, 0, 0], np.float32), UNITS),       # forget little at first
            "out": make(keys[3], (UNITS, letters), dtype=np.float32)}


def network(params, numbers, state):
    """Logits f32[lanes, steps, letters] of what comes next, and the state after."""
    x = tj.nn.embedding(params["embedding"], numbers)
    h, state = tj.nn.lstm(x, params["kernel"], params["recurrent"], params["bias"], state)
    return h @ params["out"], state


def loss(params, numbers, following, state):
    logits, state = network(params, numbers, state)
    return tj.nn.sparse_softmax_cross_entropy(logits, following).mean(), state


def training_step(optimizer):
    @tj.function(donate=("params", "opt_state"))
    def step(params, opt_state, numbers, following, state):
        (value, state), grads = tj.value_and_grad(loss, has_aux=True)(params, numbers, following, state)
        params, opt_state = optimizer.update(grads, opt_state, params)
        return value, params, opt_state, state
    return step


@tj.function(static=("count",))
def write(params, key, first, count):
    """Numbers of `count` letters, each drawn from what the network expects after those before."""
    state = np.zeros((1, UNITS), np.float32), np.zeros((1, UNITS), np.float32)
    letter = first
    written = np.zeros(count, np.int64)
    for t in range(count):
        logits, state = network(params, np.full((1, 1), letter), state)
        letter = tj.random.categorical(tj.random.fold_in(key, t), 2.0 * logits[0, 0])
        written[t] = letter
    return written


def rows(numbers):
    """The text as LANES rows that follow each other, and the same one letter later."""
    length = (len(numbers) - 1) // LANES // STEPS * STEPS
    return (numbers[:LANES * length].reshape(LANES, length), numbers[1:LANES * length + 1].reshape(LANES, length))


def fit(numbers, letters, epochs=120, seed=0, show=None):
    """Trained parameters, losses, steps per second. show(epoch, params, loss) is called now and then."""
    inputs, targets = rows(numbers)
    rate = tj.optim.cosine(1e-2, epochs * (inputs.shape[1] // STEPS))
    optimizer = tj.optim.chain(lambda g: tj.optim.clip_by_global_norm(g, 1.0), tj.optim.Adam(rate))
    params = init(tj.random.key(seed), letters)
    step, opt_state = training_step(optimizer), optimizer.init(params)
    losses, start = [], time.perf_counter()
    for epoch in range(epochs):
        state = np.zeros((LANES, UNITS), np.float32), np.zeros((LANES, UNITS), np.float32)
        values = []
        for t in range(0, inputs.shape[1], STEPS):
            value, params, opt_state, state = step(params, opt_state, inputs[:, t:t + STEPS], targets[:, t:t + STEPS],
                                                   state)
            values.append(value)
        losses.append(float(np.mean(values)))
        if show and (epoch + 1) % max(1, epochs // 5) == 0:
            show(epoch + 1, params, losses[-1])
    steps = epochs * (inputs.shape[1] // STEPS)
    return params, losses, steps / (time.perf_counter() - start)


def main():
    letters, numbers = encode(zen())
    print(f"LSTM of {UNITS} units, {len(numbers)} letters of the Zen of Python, {len(letters)} different ones\n")

    def text(params, count):
        return "".join(letters[k] for k in write(params, tj.random.key(1), letters.index("B"), count))

    def show(epoch, params, value):
        print(f"  epoch {epoch:3d}   loss {value:.3f}   B{text(params, 60)}", flush=True)

    params, losses, rate = fit(numbers, len(letters), show=show)
    print(f"\n{curve(losses)}\n\n  {rate:,.0f} steps per second, compilation included\n\n  B{text(params, 240)}")
    save_curves("char_lstm", {"LSTM": losses}, ("epoch", "loss"))


if __name__ == "__main__":
    main()
