"""A team in a report: an episode, its agents' beliefs, and what filters let pass."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from syntony.networks.agents import teammates
from syntony.run.lanes import keys
from syntony.study.boards import colour
from syntony.study.episodes import believe, lived, typical
from syntony.study.features import Feature, features
from syntony.study.players import player
from syntony.study.probing import (
    explained,
    principal_components,
    read_classes,
    read_values,
)
from syntony.study.report_parts import Plot, Rows, Section, Trace, figure
from syntony.study.report_runs import Subject, file_name
from syntony.systems.beliefs import encode
from syntony.systems.smpe import Smpe
from syntony.systems.team import Team
from syntony.tasks.rollout import Trajectory

EPISODES = 60
"""Lived for a report: half of them fit the probes, half judge them."""
MOST_SAMPLES = 6_000
"""Moments that the probes see."""
MOST_DOTS = 1_200
"""Beliefs in the picture."""
MOST_COLUMNS = 40
"""Features of an observation that a heat map shows one by one."""


class Samples(NamedTuple):
    """Moments of episodes: what an agent sees, believes, and is."""

    own: Float[np.ndarray, "S O"]
    others: Float[np.ndarray, "S F"]
    """What its teammates see."""
    believed: Float[np.ndarray, "S F"]
    weights: Float[np.ndarray, "S F"]
    mean: Float[np.ndarray, "S Z"]
    """Of its belief."""
    drawn: Float[np.ndarray, "S Z"]
    """z, from its belief."""
    agent: Int[np.ndarray, " S"]
    held_out: Any
    """Whether the episode is one of those that judge."""


def team(number: int, subject: Subject) -> Section:
    """Returns what is to be seen of a trained team: of its first seed."""
    assert subject.run is not None
    system: Any = subject.run.system
    assert isinstance(system, Team)
    seed = subject.run.plan.seed
    state = subject.run.states[seed]
    live_key, draw_key = jax.random.split(keys(seed).assess)
    episodes = lived(system, state, live_key, EPISODES)
    name = file_name(subject.label)
    title = f"Team: {subject.label}"
    first = player(
        f"{name}-episode", "An episode", system, state, typical(episodes), seed
    )
    parts: list[Any] = [first]
    notes = []
    if isinstance(system, Smpe):
        found = samples(system, state, episodes, draw_key)
        parts += [_filters(name, system, found), _beliefs(name, found)]
        parts.append(_probes(found))
    else:
        notes.append(f"{subject.system} has no beliefs about teammates to be shown.")
    if subject.run.plan.seeds > 1:
        notes.append(f"Shown is seed {seed}, the first of {subject.run.plan.seeds}.")
    return Section(f"run-{number}", title, parts, notes)


def samples(
    system: Smpe, state: Any, episodes: Trajectory, key: Key[jax.Array, ""]
) -> Samples:
    """Returns moments of all agents, in the order of time, at most `MOST_SAMPLES`."""
    moments = np.argwhere(np.asarray(episodes.mask))
    agents = system.task.agents
    stride = max(1, -(-len(moments) * agents // MOST_SAMPLES))
    time, episode = moments[::stride].T
    obs = jnp.asarray(np.asarray(episodes.obs)[time, episode])
    found = jax.device_get(jax.jit(believe)(system, state, obs))
    mean, log_var = map(np.asarray, encode(system.beliefs, state.beliefs, obs))
    noise = np.asarray(jax.random.normal(key, mean.shape))

    playing = np.asarray(episodes.playing)[time, episode].ravel()

    def rows(values: Any) -> np.ndarray:
        return np.asarray(values, float).reshape(len(playing), -1)[playing]

    return Samples(
        own=rows(obs),
        others=rows(teammates(obs)),
        believed=rows(found.belief),
        weights=rows(found.weights),
        mean=rows(mean),
        drawn=rows(mean + noise * np.exp(0.5 * log_var)),
        agent=np.tile(np.arange(agents), len(time))[playing],
        held_out=np.repeat(episode % 2 == 1, agents)[playing],
    )


def _filters(name: str, system: Smpe, found: Samples) -> Plot:
    """Returns the mean weight of what each agent infers of each teammate."""
    single = system.task.obs_size <= MOST_COLUMNS
    trace = _heat(system, found, single)
    low, high = float(np.nanmin(trace["z"])), float(np.nanmax(trace["z"]))
    alike = " They let everything pass." if low > 0.99 else ""
    return Plot(
        name=f"{name}-filters",
        title="What filters let pass",
        alt=f"Heat map of mean filter weights, from {low:.2f} to {high:.2f}: a row for "
        "each agent and teammate, a column for each feature of what that sees.",
        caption="Mean weight w, from 0 (filtered out) to 1 (all of it counts), of each "
        f"{'feature' if single else 'group of features'} of what a teammate sees. "
        f"Weights here are {low:.3f} to {high:.3f}.{alike}",
        figure=figure(
            [trace],
            x="",
            y="agent, of teammate",
            xaxis={"tickangle": -60, "nticks": 0, "dtick": 1, "type": "category"},
            yaxis={"autorange": "reversed"},
            height=260 + 24 * len(trace["y"]),
        ),
        width="wide",
        least=28 * len(trace["x"]) + 160,
    )


def _heat(system: Smpe, found: Samples, single: bool) -> Trace:
    agents, size = system.task.agents, system.task.obs_size
    every = features(system.task)
    pairs = [(i, j) for i in range(agents) for j in range(agents) if i != j]
    rows = []
    for i, j in pairs:
        block = (j - (j > i)) * size
        weights = found.weights[found.agent == i][:, block : block + size]
        rows.append(_by_words(every[j], weights.mean(axis=0), single))
    columns = list(dict.fromkeys(word for row in rows for word in row))
    return {
        "type": "heatmap",
        "z": np.array([[row.get(word, np.nan) for word in columns] for row in rows]),
        "x": columns,
        "y": [f"{i + 1} of {j + 1}" for i, j in pairs],
        "zmin": 0,
        "zmax": 1,
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": "w"}, "thickness": 12},
        "hovertemplate": "agent %{y}: %{x}<br>weight %{z:.3f}<extra></extra>",
    }


def _by_words(
    features: list[Feature], weights: Float[np.ndarray, " O"], single: bool
) -> dict[str, float]:
    """Returns mean weights by feature, or by group of features."""
    groups: dict[str, list[float]] = {}
    for feature, weight in zip(features, weights, strict=True):
        word = feature.words if single else feature.group
        groups.setdefault(word, []).append(float(weight))
    return {word: float(np.mean(every)) for word, every in groups.items()}


def _beliefs(name: str, found: Samples) -> Plot:
    """Returns all agents' beliefs on the plane in which they vary most."""
    stride = max(1, -(-len(found.mean) // MOST_DOTS))
    scores, shares = principal_components(found.mean)
    # One after the other of a moment are different agents: no stride may skip any.
    stride += stride % (int(found.agent.max()) + 1) == 0
    kept = np.arange(0, len(scores), stride)
    traces = []
    for agent in np.unique(found.agent):
        mine = kept[found.agent[kept] == agent]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": scores[mine, 0],
                "y": scores[mine, 1] if scores.shape[1] > 1 else 0 * scores[mine, 0],
                "name": f"agent {agent + 1}",
                "marker": {"color": colour(int(agent)), "size": 5, "opacity": 0.6},
            }
        )
    first, second = (*shares, 0.0)[:2]
    return Plot(
        name=f"{name}-beliefs",
        title="Beliefs of all agents",
        alt="Scatter plot of the beliefs of all agents on their first two principal "
        f"components, which hold {first:.0%} and {second:.0%} of their variance.",
        caption="Means of the beliefs z on their first two principal components. Where "
        "colours mix, agents that are in like places believe alike.",
        figure=figure(
            traces,
            x=f"first component ({first:.0%})",
            y=f"second component ({second:.0%})",
            height=380,
        ),
        width="half",
    )


def _probes(found: Samples) -> Rows:
    """Returns how well the agent, and what teammates see, can be read off beliefs."""
    agents = int(found.agent.max()) + 1
    judged, fitted = found.held_out, ~found.held_out
    if not judged.any() or len(np.unique(found.agent[fitted])) < 2:
        return Rows("What can be read off beliefs", ["", ""], [])

    def accuracy(z: np.ndarray) -> float:
        told = read_classes(z[fitted], found.agent[fitted], z[judged])
        return float(np.mean(told == found.agent[judged]))

    def share(z: np.ndarray) -> float:
        # Each agent has encoder and teammates of its own, and so a reader of its own.
        read = np.zeros_like(found.others)
        for agent in range(agents):
            mine = found.agent == agent
            known, asked = mine & fitted, mine & judged
            read[asked] = read_values(z[known], found.others[known], z[asked])
        return explained(found.others[judged], read[judged])

    chance, decoded = f"{1 / agents:.1%}", found.believed[judged]
    rows = [
        ["agent, from the mean of z", f"{accuracy(found.mean):.1%}", chance],
        ["agent, from z as drawn", f"{accuracy(found.drawn):.1%}", chance],
        ["what teammates see, from z: R²", f"{share(found.mean):.3f}", "0"],
        ["the same, from what it sees itself: R²", f"{share(found.own):.3f}", "0"],
        [
            "the same, from the belief as decoded: R²",
            f"{explained(found.others[judged], decoded):.3f}",
            "0",
        ],
    ]
    half = EPISODES // 2
    caption = (
        f"Logistic and ridge regression, fitted on {half} episodes, judged on {half} "
        "others. The paper's Table 1 reads the agent off a t-SNE of z at step 45: "
        "57.5 % for SMPE², 99.3 % without the KL term, 80.8 % without filters. Here it "
        "is read off z itself, at all steps: near to that, and not the same."
    )
    heads = ["what is read", "held out", "by guessing"]
    return Rows("What can be read off beliefs", heads, rows, caption, width="half")
