"""LSTM, GRU and attention, forward and backward, as other systems write them best.

Flows in: the arguments of recurrent.py, in the system's own arrays.  Flows out: `LSTM`, `GRU`, `ATTENTION`.

torch keeps weights as (gates * units, features), with gates in an order of its own: they are brought to that form at
the first call, and stay.
"""

from collections.abc import Callable, Sequence
from typing import Any

# ---- JAX ------------------------------------------------------------------------------------------------------------


def jax_lstm_cell(states, inputs, recurrent):
    import jax
    import jax.numpy as jnp

    h, c = states
    i, f, g, o = jnp.split(inputs + h @ recurrent, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def jax_gru_cell(states, inputs, recurrent):
    import jax
    import jax.numpy as jnp

    (h,) = states
    (xz, xr, xn), (hz, hr, hn) = jnp.split(inputs, 3, axis=-1), jnp.split(h @ recurrent, 3, axis=-1)
    z = jax.nn.sigmoid(xz + hz)
    return (z * h + (1 - z) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn),)


def jax_network(cell: Callable[..., Any], count: int) -> Callable[[], Callable[..., Any]]:
    def build() -> Callable[..., Any]:
        import jax
        import jax.numpy as jnp

        def loss(weights, x):
            kernel, recurrent, bias = weights
            inputs = jnp.swapaxes(x, 0, 1) @ kernel + bias
            zeros = jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype)

            def step(states, now):
                states = cell(states, now, recurrent)
                return states, states[0]

            _, ys = jax.lax.scan(step, (zeros,) * count, inputs)
            return (ys * ys).sum() / 2

        return jax.jit(lambda x, *weights: jax.value_and_grad(loss)(weights, x))

    return build


def jax_attention() -> Callable[..., Any]:
    import jax

    def loss(given):
        y = jax.nn.dot_product_attention(*given, is_causal=True)
        return (y * y).sum() / 2

    return jax.jit(lambda *given: jax.value_and_grad(loss)(given))


# ---- torch ----------------------------------------------------------------------------------------------------------


def turned(weights: Any, order: Sequence[int]) -> Any:
    """Gates in another order; weights turned round."""
    import torch

    parts = torch.chunk(weights, len(order), dim=-1)
    return torch.cat([parts[k] for k in order], dim=-1).T.contiguous()


def torch_network(name: str, order: Sequence[int], back: Sequence[int], count: int) -> Callable[[], Callable[..., Any]]:
    """order: torch's gates by our numbers.  back: our gates by torch's.  count: of states."""
    def build() -> Callable[..., Any]:
        import torch

        forward = getattr(torch, name)
        held: list[Any] = []

        def step(x, kernel, recurrent, bias):
            if not held:
                own = [turned(w, order) for w in (kernel, recurrent, bias)]
                held.extend(w.requires_grad_() for w in (*own, torch.zeros_like(own[2])))
            zeros = x.new_zeros((1, x.shape[0], recurrent.shape[0]))
            with torch.enable_grad():
                y = forward(x, (zeros, zeros) if count == 2 else zeros, held, True, 1, 0.0, True, False, True)[0]
                loss = (y * y).sum() / 2
                grads = torch.autograd.grad(loss, held[:3])
            return loss.detach(), [g.T for g in grads]

        def in_our_order(*args):
            loss, grads = step(*args)
            if list(order) == list(back) == sorted(order):
                return loss, tuple(grads)
            return loss, tuple(turned(g, back).T.contiguous() for g in grads)

        return in_our_order

    return build


def torch_attention() -> Callable[..., Any]:
    import torch

    def step(*given):
        with torch.enable_grad():
            leaves = [a.detach().requires_grad_() for a in given]
            y = torch.nn.functional.scaled_dot_product_attention(*[a.transpose(1, 2) for a in leaves], is_causal=True)
            loss = (y * y).sum() / 2
            grads = torch.autograd.grad(loss, leaves)
        return loss.detach(), tuple(grads)

    return step


LSTM = {"jax": jax_network(jax_lstm_cell, 2), "torch": torch_network("lstm", (0, 1, 2, 3), (0, 1, 2, 3), 2)}
GRU = {"jax": jax_network(jax_gru_cell, 1), "torch": torch_network("gru", (1, 0, 2), (1, 0, 2), 1)}
ATTENTION = {"jax": jax_attention, "torch": torch_attention}
