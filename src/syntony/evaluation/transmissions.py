"""Transmissions of a team: samples, levels of observations, shares of variance.

For systems that are `TransmitsObservations`. Nothing here is differentiated or trained.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.evaluation.episodes import collect_trajectories
from syntony.systems.system import StateT, TransmitsObservations
from syntony.tasks.scene import Feature

MAX_LEVELS = 16
"""Different values of an entity up to which each is a level of its own."""
NUM_BINS = 6
"""Levels of a quantity with more values: bins with equally many observations."""
DIGITS = 5
"""Decimals to which values of an entity are compared."""


class Transmissions(NamedTuple):
    """Observations of single steps of episodes, with what was sent and received."""

    obs: Float[np.ndarray, "S N O"]
    symbols: Float[np.ndarray, "S N C 2"]
    """Symbols that are sent for these observations."""
    received: Float[np.ndarray, "S N R"]
    """As `Trajectory.received`."""
    prediction: Float[np.ndarray, "S N F"]
    """Teammates' observations as decoded from the beliefs, (N − 1) O numbers."""

    def received_block(
        self, receiver: int, sender: int, uses: int
    ) -> Float[np.ndarray, "S {uses} 2"]:
        """Symbols that one agent received of another.

        Args:
            receiver: index of the receiving agent.
            sender: index of the sending agent.
            uses: D, symbols of a received block.
        """
        samples, agents = self.obs.shape[:2]
        blocks = self.received[:, receiver].reshape(samples, agents - 1, uses, 2)
        return blocks[:, sender - (sender > receiver)]

    def predicted_obs(self, receiver: int, sender: int) -> Float[np.ndarray, "S O"]:
        """Observation of an agent as another decodes it from its belief."""
        size = self.obs.shape[-1]
        block = sender - (sender > receiver)
        return self.prediction[:, receiver, block * size : (block + 1) * size]


def collect_transmissions(
    system: TransmitsObservations[StateT],
    state: StateT,
    key: Key[Array, ""],
    *,
    episodes: int,
    max_samples: int,
) -> Transmissions:
    """Transmissions at evenly spaced steps of episodes.

    Args:
        system: the team.
        state: its training state.
        key: consumed.
        episodes: number of episodes.
        max_samples: number of steps at most.
    """
    trajectory = collect_trajectories(system, state, key, episodes)
    assert trajectory.received is not None, "the team transmits"
    steps = np.argwhere(np.asarray(trajectory.valid))
    time, episode = steps[:: max(1, -(-len(steps) // max_samples))].T
    obs = jnp.asarray(np.asarray(trajectory.obs)[time, episode])
    received = jnp.asarray(np.asarray(trajectory.received)[time, episode])
    belief = jax.jit(system.decode_received)(state, obs, received)
    symbols = jax.jit(system.symbols)(state, obs)
    return Transmissions(
        *(np.asarray(x, float) for x in (obs, symbols, received, belief.prediction))
    )


def group_features(features: Sequence[Feature]) -> dict[str, list[int]]:
    """Indices of the features of each entity; of each feature, if there is but one."""
    groups: dict[str, list[int]] = {}
    for index, feature in enumerate(features):
        groups.setdefault(feature.entity, []).append(index)
    if len(groups) > 1:
        return groups
    return {feature.label: [index] for index, feature in enumerate(features)}


def variance_shares(
    obs: Float[np.ndarray, "S O"],
    symbols: Float[np.ndarray, "S C 2"],
    features: Sequence[Feature],
) -> dict[str, float]:
    """Share of the variance of an agent's codewords that follows each entity.

        share = 1 − E‖x − E[x | entity]‖² / E‖x − E[x]‖²

    The energy per feature. E[x | entity] is additive in the features of the entity,
    each in its levels; exact for a one-hot entity. The sums of squares are divided by
    their degrees of freedom, so that an entity that is not followed has a share near 0.
    Shares add up to 1 at most where the entities are independent.

    Args:
        obs: observations of one agent.
        symbols: symbols that it sends for them.
        features: names of its features.
    """
    x = symbols.reshape(len(symbols), -1)
    centered = x - x.mean(axis=0)
    total = float(np.sum(centered**2)) / max(len(x) - 1, 1)
    shares = {}
    for entity, columns in group_features(features).items():
        design = np.concatenate([_level_indicators(obs[:, c]) for c in columns], axis=1)
        fit, _, rank, _ = np.linalg.lstsq(design, centered)
        rest = float(np.sum((centered - design @ fit) ** 2))
        left = rest / max(len(x) - int(rank), 1)
        shares[entity] = max(0.0, 1.0 - left / total) if total > 1e-12 else 0.0
    return shares


def _level_indicators(values: Float[np.ndarray, " S"]) -> Bool[np.ndarray, "S L"]:
    """Indicators of the levels of a feature: its values, or bins of many values."""
    levels = np.unique(values.round(DIGITS))
    if len(levels) <= MAX_LEVELS:
        return values.round(DIGITS)[:, None] == levels
    index = np.searchsorted(_bin_edges(values), values)
    return index[:, None] == np.arange(index.max() + 1)


def _bin_edges(values: Float[np.ndarray, " S"]) -> Float[np.ndarray, " edges"]:
    quantiles = np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1])
    return np.unique(quantiles)


class ObservationLevels(NamedTuple):
    """Levels by which observations are told apart in figures.

    They are the values of an entity; or bins of one feature, if there are many values.
    """

    columns: list[int]
    """Indices of the features."""
    centers: Float[np.ndarray, "L columns"]
    """Values of the features at each level."""
    names: list[str]

    def assign(self, obs: Float[np.ndarray, "S O"]) -> Int[np.ndarray, " S"]:
        """Level of each observation, or of a belief about it: the nearest."""
        offset = obs[:, None, self.columns] - self.centers
        return np.argmin(np.sum(offset**2, axis=-1), axis=-1)


def observation_levels(
    obs: Float[np.ndarray, "S O"],
    symbols: Float[np.ndarray, "S C 2"],
    features: Sequence[Feature],
) -> ObservationLevels:
    """Levels of what an agent's codewords follow most.

    Args:
        obs: observations of one agent.
        symbols: symbols that it sends for them.
        features: names of its features.
    """
    shares = variance_shares(obs, symbols, features)
    entity = max(shares, key=lambda name: shares[name])
    columns = group_features(features)[entity]
    rows = np.unique(obs[:, columns].round(DIGITS), axis=0)
    if len(rows) <= MAX_LEVELS:
        # In the order of the features of a one-hot entity.
        rows = rows[::-1]
        return ObservationLevels(
            columns, rows, [_row_name(row, entity, features, columns) for row in rows]
        )
    single = {features[c].label: c for c in columns}
    by_feature = [Feature(features[c].label, "") for c in columns]
    shares = variance_shares(obs[:, columns], symbols, by_feature)
    label = max(shares, key=lambda name: shares[name])
    column = next(c for name, c in single.items() if name == label)
    return _binned_levels(obs[:, column], column, label)


def _row_name(
    row: Float[np.ndarray, " K"],
    entity: str,
    features: Sequence[Feature],
    columns: Sequence[int],
) -> str:
    """Name of a level: of the feature that is 1 alone, or all values."""
    if np.array_equal(np.sort(row), np.eye(len(row))[-1]) and len(row) > 1:
        return features[columns[int(row.argmax())]].label
    return f"{entity} {', '.join(f'{value:g}' for value in row)}"


def _binned_levels(
    values: Float[np.ndarray, " S"], column: int, label: str
) -> ObservationLevels:
    edges = _bin_edges(values)
    index = np.searchsorted(edges, values)
    present = np.unique(index)
    centers = np.array([[values[index == b].mean()] for b in present])
    names = [f"{label} near {center:.2g}" for center in centers[:, 0]]
    return ObservationLevels([column], centers, names)


class AgentCode(NamedTuple):
    """Code of an agent: levels of what it saw, and what its codewords follow."""

    levels: ObservationLevels
    shares: dict[str, float]
    """Share of the variance of its codewords that follows each entity."""


def agent_codes(
    samples: Transmissions, features: Sequence[Sequence[Feature]]
) -> list[AgentCode]:
    """Code of each agent.

    Args:
        samples: observations and symbols.
        features: names of the features of each agent's observation.
    """
    codes = []
    for agent, names in enumerate(features):
        obs, symbols = samples.obs[:, agent], samples.symbols[:, agent]
        levels = observation_levels(obs, symbols, names)
        codes.append(AgentCode(levels, variance_shares(obs, symbols, names)))
    return codes
