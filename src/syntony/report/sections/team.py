"""A team in a report: an episode, its agents' beliefs, and what filters let pass."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from syntony.evaluation.episodes import (
    collect_trajectories,
    decode_beliefs,
    select_median_episode,
)
from syntony.evaluation.probes import (
    logistic_probe,
    principal_components,
    r2_score,
    ridge_probe,
)
from syntony.networks.agents import other_agents_obs
from syntony.report.components import Plot, Section, Table, Trace, plotly_figure
from syntony.report.episode_player import build_episode_player
from syntony.report.runs import ReportRun, sanitize_filename
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import encode
from syntony.tasks.rollout import Trajectory
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization.obs_features import Feature, obs_features
from syntony.visualization.scene_drawing import agent_color

NUM_EPISODES = 60
"""Lived for a report: half of them fit the probes, half judge them."""
MAX_PROBE_SAMPLES = 6_000
"""Moments that the probes see."""
MAX_SHOWN_BELIEFS = 1_200
"""Beliefs in the picture."""
MAX_HEATMAP_COLUMNS = 40
"""Features of an observation that a heat map shows one by one."""


class BeliefSamples(NamedTuple):
    """Moments of episodes: what an agent sees, believes, and is."""

    own_obs: Float[np.ndarray, "S O"]
    teammate_obs: Float[np.ndarray, "S F"]
    """What its teammates see."""
    decoded_obs: Float[np.ndarray, "S F"]
    filter_weights: Float[np.ndarray, "S F"]
    latent_mean: Float[np.ndarray, "S Z"]
    """Of its belief."""
    latent_sample: Float[np.ndarray, "S Z"]
    """z, from its belief."""
    agent: Int[np.ndarray, " S"]
    held_out: Any
    """Whether the episode is one of those that judge."""


def team_section(index: int, report_run: ReportRun) -> Section:
    """Returns what is to be seen of a trained team: of its first seed."""
    assert report_run.run is not None
    system: Any = report_run.run.system
    assert isinstance(system, MultiAgentSystem)
    seed = report_run.run.config.seed
    state = report_run.run.states[seed]
    live_key, draw_key = jax.random.split(seed_keys(seed).post_training_eval)
    episodes = collect_trajectories(system, state, live_key, NUM_EPISODES)
    name = sanitize_filename(report_run.label)
    title = f"Team: {report_run.label}"
    first = build_episode_player(
        f"{name}-episode",
        "An episode",
        system,
        state,
        select_median_episode(episodes),
        seed,
    )
    parts: list[Any] = [first]
    notes = []
    if isinstance(system, SMPE):
        found = collect_belief_samples(system, state, episodes, draw_key)
        parts += [
            _filter_weight_plot(name, system, found),
            _belief_scatter_plot(name, found),
        ]
        parts.append(_probe_table(found))
    else:
        notes.append(f"{report_run.system} has no beliefs about teammates to be shown.")
    if report_run.run.config.seeds > 1:
        notes.append(
            f"Shown is seed {seed}, the first of {report_run.run.config.seeds}."
        )
    return Section(f"run-{index}", title, parts, notes)


def collect_belief_samples(
    system: SMPE, state: Any, episodes: Trajectory, key: Key[jax.Array, ""]
) -> BeliefSamples:
    """Returns moments of all agents, in the order of time, at most `MOST_SAMPLES`."""
    moments = np.argwhere(np.asarray(episodes.valid))
    agents = system.task.num_agents
    stride = max(1, -(-len(moments) * agents // MAX_PROBE_SAMPLES))
    time, episode = moments[::stride].T
    obs = jnp.asarray(np.asarray(episodes.obs)[time, episode])
    found = jax.device_get(jax.jit(decode_beliefs)(system, state, obs))
    mean, log_var = map(np.asarray, encode(system.beliefs, state.beliefs, obs))
    noise = np.asarray(jax.random.normal(key, mean.shape))

    playing = np.asarray(episodes.alive)[time, episode].ravel()

    def rows(values: Any) -> np.ndarray:
        return np.asarray(values, float).reshape(len(playing), -1)[playing]

    return BeliefSamples(
        own_obs=rows(obs),
        teammate_obs=rows(other_agents_obs(obs)),
        decoded_obs=rows(found.prediction),
        filter_weights=rows(found.weights),
        latent_mean=rows(mean),
        latent_sample=rows(mean + noise * np.exp(0.5 * log_var)),
        agent=np.tile(np.arange(agents), len(time))[playing],
        held_out=np.repeat(episode % 2 == 1, agents)[playing],
    )


def _filter_weight_plot(name: str, system: SMPE, samples: BeliefSamples) -> Plot:
    """Returns the mean weight of what each agent infers of each teammate."""
    single = system.task.obs_dim <= MAX_HEATMAP_COLUMNS
    trace = _filter_weight_heatmap(system, samples, single)
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
        figure=plotly_figure(
            [trace],
            xlabel="",
            ylabel="agent, of teammate",
            xaxis={"tickangle": -60, "nticks": 0, "dtick": 1, "type": "category"},
            yaxis={"autorange": "reversed"},
            height=260 + 24 * len(trace["y"]),
        ),
        width="wide",
        min_width_px=28 * len(trace["x"]) + 160,
    )


def _filter_weight_heatmap(
    system: SMPE, samples: BeliefSamples, per_feature: bool
) -> Trace:
    agents, size = system.task.num_agents, system.task.obs_dim
    every = obs_features(system.task)
    pairs = [(i, j) for i in range(agents) for j in range(agents) if i != j]
    rows = []
    for i, j in pairs:
        block = (j - (j > i)) * size
        weights = samples.filter_weights[samples.agent == i][:, block : block + size]
        rows.append(_mean_weight_by_name(every[j], weights.mean(axis=0), per_feature))
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


def _mean_weight_by_name(
    features: list[Feature], weights: Float[np.ndarray, " O"], per_feature: bool
) -> dict[str, float]:
    """Returns mean weights by feature, or by group of features."""
    groups: dict[str, list[float]] = {}
    for feature, weight in zip(features, weights, strict=True):
        word = feature.label if per_feature else feature.group
        groups.setdefault(word, []).append(float(weight))
    return {word: float(np.mean(every)) for word, every in groups.items()}


def _belief_scatter_plot(name: str, samples: BeliefSamples) -> Plot:
    """Returns all agents' beliefs on the plane in which they vary most."""
    stride = max(1, -(-len(samples.latent_mean) // MAX_SHOWN_BELIEFS))
    scores, shares = principal_components(samples.latent_mean)
    # One after the other of a moment are different agents: no stride may skip any.
    stride += stride % (int(samples.agent.max()) + 1) == 0
    kept = np.arange(0, len(scores), stride)
    traces = []
    for agent in np.unique(samples.agent):
        mine = kept[samples.agent[kept] == agent]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": scores[mine, 0],
                "y": scores[mine, 1] if scores.shape[1] > 1 else 0 * scores[mine, 0],
                "name": f"agent {agent + 1}",
                "marker": {"color": agent_color(int(agent)), "size": 5, "opacity": 0.6},
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
        figure=plotly_figure(
            traces,
            xlabel=f"first component ({first:.0%})",
            ylabel=f"second component ({second:.0%})",
            height=380,
        ),
        width="half",
    )


def _probe_table(samples: BeliefSamples) -> Table:
    """Returns how well the agent, and what teammates see, can be read off beliefs."""
    agents = int(samples.agent.max()) + 1
    judged, fitted = samples.held_out, ~samples.held_out
    if not judged.any() or len(np.unique(samples.agent[fitted])) < 2:
        return Table("What can be read off beliefs", ["", ""], [])

    def accuracy(z: np.ndarray) -> float:
        told = logistic_probe(z[fitted], samples.agent[fitted], z[judged])
        return float(np.mean(told == samples.agent[judged]))

    def share(z: np.ndarray) -> float:
        # Each agent has encoder and teammates of its own, and so a reader of its own.
        read = np.zeros_like(samples.teammate_obs)
        for agent in range(agents):
            mine = samples.agent == agent
            known, asked = mine & fitted, mine & judged
            read[asked] = ridge_probe(z[known], samples.teammate_obs[known], z[asked])
        return r2_score(samples.teammate_obs[judged], read[judged])

    chance, decoded = f"{1 / agents:.1%}", samples.decoded_obs[judged]
    rows = [
        ["agent, from the mean of z", f"{accuracy(samples.latent_mean):.1%}", chance],
        ["agent, from z as drawn", f"{accuracy(samples.latent_sample):.1%}", chance],
        ["what teammates see, from z: R²", f"{share(samples.latent_mean):.3f}", "0"],
        [
            "the same, from what it sees itself: R²",
            f"{share(samples.own_obs):.3f}",
            "0",
        ],
        [
            "the same, from the belief as decoded: R²",
            f"{r2_score(samples.teammate_obs[judged], decoded):.3f}",
            "0",
        ],
    ]
    half = NUM_EPISODES // 2
    caption = (
        f"Logistic and ridge regression, fitted on {half} episodes, judged on {half} "
        "others. The paper's Table 1 reads the agent off a t-SNE of z at step 45: "
        "57.5 % for SMPE², 99.3 % without the KL term, 80.8 % without filters. Here it "
        "is read off z itself, at all steps: near to that, and not the same."
    )
    heads = ["what is read", "held out", "by guessing"]
    return Table("What can be read off beliefs", heads, rows, caption, width="half")
