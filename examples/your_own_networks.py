"""Networks of one's own: a convolution over the cells around a warehouse's agent.

    cd examples
    syntony train smpe --task rware-tiny-2ag --actor python:your_own_networks:cnn \
        --encoder python:your_own_networks:cnn
    syntony train qmix --task probe-remember --actor python:your_own_networks:lstm
    syntony train link --transmitter python:your_own_networks:deep \
        --receiver python:your_own_networks:deep

Each function makes the network of one agent, for one input: batches and, with
`--no-shared-actor`, agents are added by `jax.vmap`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

OWN, SIDE, CHANNELS = 8, 3, 7
"""An observation in rware-*: 8 features of the agent, then 3 x 3 cells with 7 each."""
CELLS = SIDE * SIDE * CHANNELS


class CNN(eqx.Module):
    """Convolution over the cells, and an MLP of its features and all other inputs."""

    conv: eqx.nn.Conv2d
    mlp: eqx.nn.MLP

    def __init__(self, in_size: int, out_size: int, hidden: int, key: Key[Array, ""]):
        conv_key, mlp_key = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(CHANNELS, 16, kernel_size=2, key=conv_key)
        num_features = 16 * (SIDE - 1) ** 2 + in_size - CELLS
        self.mlp = eqx.nn.MLP(num_features, out_size, hidden, 1, key=mlp_key)

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        # Of an actor, the belief (SMPE²) and the one-hot agent id follow the cells.
        own, cells, rest = jnp.split(x, [OWN, OWN + CELLS])
        image = cells.reshape(SIDE, SIDE, CHANNELS).transpose(2, 0, 1)
        features = jax.nn.relu(self.conv(image)).ravel()
        return self.mlp(jnp.concatenate([own, features, rest]))


def cnn(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]) -> CNN:
    """Actor or encoder for a task rware-*."""
    return CNN(in_size, out_size, hidden, key)


class LSTM(eqx.Module):
    """Recurrent network: its hidden state is a pair of vectors."""

    cell: eqx.nn.LSTMCell
    out: eqx.nn.Linear

    def __init__(self, in_size: int, out_size: int, hidden: int, key: Key[Array, ""]):
        cell_key, out_key = jax.random.split(key)
        self.cell = eqx.nn.LSTMCell(in_size, hidden, key=cell_key)
        self.out = eqx.nn.Linear(hidden, out_size, key=out_key)

    def initial_hidden(self) -> tuple[Array, Array]:
        zeros = jnp.zeros(self.cell.hidden_size)
        return zeros, zeros

    def __call__(
        self, x: Float[Array, " in"], h: tuple[Array, Array]
    ) -> tuple[Float[Array, " out"], tuple[Array, Array]]:
        h = self.cell(x, h)
        return self.out(h[0]), h


def lstm(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]) -> LSTM:
    """Recurrent actor for any task."""
    return LSTM(in_size, out_size, hidden, key)


def deep(
    in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]
) -> eqx.nn.MLP:
    """MLP with three hidden layers, for any network that is replaced."""
    return eqx.nn.MLP(in_size, out_size, hidden, 3, key=key)
