"""`make demo`: two NumPy programs on real input, plain and compiled; two networks that learn digits.

Flows in: the TEOS-10 polynomial over an ocean section; scikit-learn's digits.  Flows out: pages of text.
"""

import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tracejit as tj  # noqa: E402
from examples import digits, digits_cnn, digits_mlp, rivals, seawater, show  # noqa: E402


def title(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}")


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """Name and value, aligned."""
    for name, value in rows:
        print(f"  {name + ' ':.<34} {value}")


def best_time(fn: Callable[..., Any], *args: Any, seconds: float = 1.0) -> float:
    """The fastest of as many calls as fit into `seconds`, three at least."""
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        fn(*args)
        times.append(time.perf_counter() - start)
    return min(times)


def duration(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def largest_difference(actual: Any, expected: Any) -> str:
    """Relative to the largest value."""
    difference = np.max(np.abs(np.asarray(actual, np.float64) - expected)) / np.max(np.abs(expected))
    return f"{difference:.2g} of the largest value"


def count_kernels(text: str) -> int:
    """Kernels besides `main`, which calls them."""
    lines = text.splitlines()
    return sum(line.startswith("kernel ") and not line.startswith("kernel main") for line in lines)


def compare(plain: Callable[..., Any], args: tuple[Any, ...], show: Callable[[Any], Any]) -> Any:
    """Compiles, prints both times, the speed-up, the difference and the number of kernels; gives the compiled one."""
    compiled = tj.function(plain)
    start = time.perf_counter()
    first = compiled(*args)
    first_call = time.perf_counter() - start
    plain_time, compiled_time = best_time(plain, *args), best_time(compiled, *args)
    stages = compiled.stages(*args)
    operations = sum(" = " in line for line in str(stages.graph).splitlines())
    facts([
        ("plain NumPy", duration(plain_time)),
        ("compiled", duration(compiled_time)),
        ("speed-up", f"{plain_time / compiled_time:.1f} x"),
        ("first call, compilation included", duration(first_call)),
        ("largest difference", largest_difference(show(first), show(plain(*args)))),
        ("operations traced", str(operations)),
        ("kernels after fusion", str(count_kernels(str(stages.kernels)))),
    ])
    return compiled


def explain(compiled: Any) -> None:
    print("\n  explain() after a call with another size:\n")
    for line in str(compiled.explain()).splitlines():
        print(textwrap.fill(line, 110, initial_indent="    ", subsequent_indent="        "))


def sea_water() -> None:
    title("Sea water: specific volume by the 75-term TEOS-10 polynomial, 1,000,000 points, float64")
    point = tuple(map(np.float64, seawater.CHECK_POINT))
    value = float(tj.function(seawater.specific_volume)(*point))
    facts([
        ("published check value", f"{seawater.CHECK_VALUE:.15g} m3/kg"),
        ("compiled, at the same point", f"{value:.15g} m3/kg"),
        ("relative difference", f"{abs(value / seawater.CHECK_VALUE - 1):.1g}"),
    ])
    assert abs(value / seawater.CHECK_VALUE - 1) < 1e-13, "the compiled polynomial misses the published value"
    print()
    compiled = compare(seawater.specific_volume, seawater.ocean_grid(1_000_000), lambda volume: volume)
    compiled(*seawater.ocean_grid(50_000))
    explain(compiled)


def handwritten_digits() -> None:
    title("Digits: PCA whitening and softmax regression on scikit-learn's 1797 images, float32")
    images, labels = digits.load_images()
    model = digits.fit(images[:1200], labels[:1200])
    found, _ = tj.function(digits.classify)(model, images)
    plain, _ = digits.classify(model, images)
    facts([
        ("images not seen in fitting", f"{np.mean(found[1200:] == labels[1200:]):.1%} right"),
        ("same digits as plain NumPy", f"{np.count_nonzero(found == plain)} of {len(images)}"),
    ])
    print()
    compiled = compare(digits.classify, (model, images), lambda result: result[1])
    compiled(model, images[:500])
    explain(compiled)


Step = Callable[[], float]


def mlp_step(images: Any, labels: Any) -> tuple[Step, dict[str, Any]]:
    """A step of the MLP in which nothing is random, and the parameters it begins with, by layer."""
    params = digits_mlp.init(tj.random.key(1))
    layers = {f"d{k}": (layer["w"].copy(), layer["b"].copy()) for k, layer in enumerate(params)}
    optimizer, key = tj.optim.Adam(rivals.RATE), tj.random.key(0)
    state, compiled = optimizer.init(params), digits_mlp.training_step(optimizer, plain=True)

    def step() -> float:
        nonlocal params, state
        value, params, state = compiled(params, state, images, labels, key)
        return float(value)
    return step, layers


def cnn_step(images: Any, labels: Any) -> tuple[Step, dict[str, Any]]:
    """The same of the CNN."""
    model = digits_cnn.CNN(2)
    layers = {name: tuple(v.numpy() for v in getattr(model, name)) for name in ("c1", "c2", "d1", "d2")}
    compiled = digits_cnn.training_step(model, tj.optim.Adam(rivals.RATE), plain=True)
    return lambda: float(compiled(images, labels)), layers


def rates(steps: dict[str, list[Step]], rounds: int = 3, seconds: float = 0.25) -> dict[str, float]:
    """Steps per second: the best of each system's forms and of several rounds, in which all take turns."""
    best = dict.fromkeys(steps, 0.0)
    for _ in range(rounds):
        for name, step in [(name, step) for name, forms in steps.items() for step in forms]:
            count, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds:
                step()
                count += 1
            best[name] = max(best[name], count / elapsed)
    return best


def compare_steps(kind: str, data: Any) -> None:
    """Prints how many training steps each system does in a second, after the losses are found equal."""
    images, labels = data[0][:digits_mlp.BATCH], data[1][:digits_mlp.BATCH]
    ours, layers = {"mlp": mlp_step, "cnn": cnn_step}[kind](images, labels)
    steps = {"tracejit": [ours], **{name: [rivals.make(maker, kind, layers, images, labels) for maker in forms]
                                    for name, forms in rivals.makers(tj.config.num_threads).items()}}
    expected = [ours() for _ in range(5)]
    for name, step in [(name, step) for name, forms in steps.items() if name != "tracejit" for step in forms]:
        losses = [step() for _ in range(5)]
        assert np.allclose(losses, expected, rtol=1e-3), f"the losses of {name} are others: {losses}"
    found = rates(steps)
    print(f"  Steps of one second, batches of {len(images)}, the same losses in each:\n")
    facts((name, f"{rate:10,.0f}   tracejit does {found['tracejit'] / rate:.1f} x as many" if name != "tracejit"
           else f"{rate:10,.0f}") for name, rate in found.items())


def training() -> None:
    train, test = digits.split_images()
    for kind, name, module, goal in (("mlp", "MLP 64-128-64-10", digits_mlp, 0.97),
                                     ("cnn", "CNN 32-64-64-10", digits_cnn, 0.98)):
        title(f"Training: {name} on {len(train[0])} of scikit-learn's digits, Adam, float32")
        model, progress = module.fit(train)
        accuracy = float(module.accuracy(model, *test))
        print(f"\n{show.curve(progress.losses)}\n")
        facts([("images not seen in training", f"{accuracy:.1%} of {len(test[0])} right")])
        assert accuracy >= goal, f"the {name} should be right on {goal:.0%}"
        print()
        compare_steps(kind, train)
        show.save_curves(f"demo_{kind}", {name: progress.losses}, ("epoch", "loss"))


def main() -> None:
    print(f"tracejit on NumPy {np.__version__}, {tj.config.num_threads} threads")
    sea_water()
    handwritten_digits()
    training()
    print()


if __name__ == "__main__":
    main()
