"""Transmission between agents: symbols, links, and the scale of received blocks.

Agent j sends C symbols in every environment step. Agent i receives a block of each
teammate j in a slot of its own, over its own draw of the channel.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from syntony.channels.channel import AnyChannel, ChannelState, init_channel, transmit
from syntony.equations import signal
from syntony.errors import InvalidInputError
from syntony.networks.agents import apply_per_agent, init_per_agent
from syntony.networks.layers import MLP
from syntony.systems.link.received_stats import ReceivedStats, normalize_received

MIN_AMPLITUDE = 1e-6
"""Amplitude of a symbol that would be zero, and could not be normalized."""
MIN_LEVEL_RATE = 0.01
"""Weight of the newest batch in the running mean energy, at least."""


def parse_graph(graph: str, num_agents: int) -> Bool[np.ndarray, "N N"]:
    """Communication graph: whether agent i (row) receives agent j (column).

    Args:
        graph: "all", or a row of zeros and ones of each receiver: "01/10".
        num_agents: N.

    Raises:
        InvalidInputError: the text is no such graph.
    """
    others = ~np.eye(num_agents, dtype=bool)
    if graph == "all":
        return others
    rows = graph.split("/")
    lengths = {len(row) for row in rows}
    if not re.fullmatch("[01/]+", graph) or lengths | {len(rows)} != {num_agents}:
        raise InvalidInputError(
            f"graph is {graph!r}; expected all, or {num_agents} rows of {num_agents} "
            f"zeros and ones, e.g. {'/'.join('1' * num_agents for _ in rows[:1])}"
            f"{('/' + '1' * num_agents) * (num_agents - 1)}"
        )
    return others & np.array([[char == "1" for char in row] for row in rows])


def teammate_indices(num_agents: int) -> np.ndarray:
    """Indices of the teammates of each agent, in index order, [N, N − 1]."""
    agents = range(num_agents)
    return np.array([[j for j in agents if j != i] for i in agents]).reshape(
        num_agents, num_agents - 1
    )


def teammate_links(links: Bool[np.ndarray, "N N"]) -> Bool[np.ndarray, "N N1"]:
    """Whether each agent receives each teammate, these in index order."""
    return np.take_along_axis(links, teammate_indices(len(links)), axis=1)


def init_transmitters(
    obs_dim: int, uses: int, hidden: int, num_agents: int, key: Key[Array, ""]
) -> MLP:
    """A transmitter of each agent, with biases of zero.

    Biases are the same for every observation: with those of a usual initialization the
    symbols of all observations are close to each other at the start.
    """

    def init(key: Key[Array, ""]) -> MLP:
        mlp = MLP(obs_dim, hidden, 2 * uses, key=key)
        return jax.tree.map(lambda p: p * (p.ndim == 2), mlp)

    return init_per_agent(init, num_agents, key)


def raw_symbols(
    transmitters: MLP, own: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N C 2"]:
    """Symbols before normalization, from normalized observations."""
    out = apply_per_agent(transmitters, own)
    raw = out.reshape(*out.shape[:-1], -1, 2)
    is_zero = jnp.all(raw == 0.0, axis=-1, keepdims=True)
    return jnp.where(is_zero, jnp.array([MIN_AMPLITUDE, 0.0]), raw)


def normalize_power(
    constraint: str,
    raw: Float[Array, "*batch N C 2"],
    mean_energy: Float[Array, " N"],
) -> Float[Array, "*batch N C 2"]:
    """Symbols x with mean energy 1 per use.

    Args:
        constraint: what has this energy: every block (codeword), every symbol, or the
            blocks of an agent on average over its observations (average).
        raw: symbols before normalization.
        mean_energy: running mean of each agent's energy per use, of raw symbols.
    """
    if constraint == "average":
        return raw * jax.lax.rsqrt(mean_energy)[:, None, None]
    blocks = raw.reshape(-1, *raw.shape[-2:])
    if constraint == "symbol":
        return signal.normalize_symbol_power(blocks).reshape(raw.shape)
    return signal.normalize_codeword_power(blocks).reshape(raw.shape)


def update_mean_energy(
    mean_energy: Float[Array, " N"],
    raw: Float[Array, "*batch N C 2"],
    batches: Float[Array, ""],
) -> Float[Array, " N"]:
    """Running mean energy per use of each agent's raw symbols after one more batch.

    Args:
        mean_energy: before the batch.
        raw: symbols before normalization.
        batches: number of batches before.
    """
    energy = signal.mean_power(raw).reshape(-1, raw.shape[-3])
    rate = jnp.maximum(1.0 / (batches + 1.0), MIN_LEVEL_RATE)
    return mean_energy + rate * (jnp.mean(energy, axis=0) - mean_energy)


def init_channels(channel: AnyChannel, key: Key[Array, ""], count: int) -> ChannelState:
    """States of so many independent channels, [count, ...] each leaf."""
    keys = jax.random.split(key, count)
    return jax.vmap(lambda key: init_channel(channel, key))(keys)


def transmit_to_teammates(
    channel: AnyChannel,
    key: Key[Array, ""],
    channel_state: ChannelState,
    sent: Float[Array, "B N C 2"],
) -> tuple[ChannelState, Float[Array, "B N N1 D 2"]]:
    """States of the channels after a step, and the block of each teammate.

    The slots of one environment follow each other over a channel of its own. A black
    box has no copies: the blocks of all environments follow each other.

    Args:
        channel: the channel.
        key: consumed.
        channel_state: of each of B environments; () without memory.
        sent: symbols of all agents.
    """
    batch, num_agents = sent.shape[:2]
    blocks = _blocks_of_links(sent)
    if not jax.tree.leaves(channel_state):
        _, y = transmit(
            channel, key, channel_state, blocks.reshape(-1, *sent.shape[2:])
        )
    elif channel.is_black_box:
        first = jax.tree.map(lambda x: x[0], channel_state)
        last, y = transmit(channel, key, first, blocks.reshape(-1, *sent.shape[2:]))
        channel_state = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (batch, *x.shape)), last
        )
    else:
        keys = jax.random.split(key, batch)
        channel_state, y = jax.vmap(
            lambda key, state, x: transmit(channel, key, state, x)
        )(keys, channel_state, blocks)
    return channel_state, y.reshape(batch, num_agents, num_agents - 1, -1, 2)


@jax.jit
def _blocks_of_links(sent: Float[Array, "B N C 2"]) -> Float[Array, "B L C 2"]:
    """Sent block of each link: of the teammates of the first agent, of the second …."""
    blocks = sent[:, teammate_indices(sent.shape[1])]
    return blocks.reshape(len(sent), -1, *sent.shape[2:])


def noise_power_of(snr_db: Float[Array, ""] | float | None) -> Float[Array, ""]:
    """N_0 where the receivers know the SNR; 0 where the channel states none."""
    return jnp.zeros(()) if snr_db is None else signal.noise_power(snr_db)


def unit_level(
    y: Float[Array, "*batch D 2"], noise: Float[Array, ""]
) -> Float[Array, "*batch D 2"]:
    """Received blocks y / √(1 + N_0): of mean energy 1 per use over a gain of 1."""
    return y * jax.lax.rsqrt(1.0 + noise)


def scale_received(
    stats: ReceivedStats, noise: Float[Array, ""], y: Float[Array, "*batch D 2"]
) -> Float[Array, "*batch D 2"]:
    """Received blocks as the encoders see them, ŷ = (y / g − μ) / (1 + N_0).

    Over y = x + n this is the linear estimate of x with the least mean squared error:
    it vanishes as the SNR goes to −∞. The gain g and the offset μ of the channel are
    running statistics, so that they do not matter.

    Args:
        stats: statistics of received blocks of unit level.
        noise: N_0.
        y: received blocks.
    """
    blocks = unit_level(y, noise).reshape(-1, *y.shape[-2:])
    return unit_level(normalize_received(stats, blocks), noise).reshape(y.shape)
