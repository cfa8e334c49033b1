"""Section of a team: an episode, and the agents' beliefs and filters."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Key
from numpy.typing import ArrayLike

from syntony.evaluation.episodes import (
    collect_trajectories,
    select_median_episode,
)
from syntony.evaluation.probes import (
    logistic_probe,
    principal_components,
    r2_score,
    ridge_probe,
)
from syntony.networks.agents import other_agents_obs
from syntony.report.components import (
    Plot,
    Section,
    SectionPart,
    Table,
    Trace,
    plotly_figure,
)
from syntony.report.episode_player import build_episode_player
from syntony.report.runs import ReportRun, sanitize_filename
from syntony.systems.system import (
    ActsInEpisodes,
    HasBeliefs,
    StateT,
    TransmitsObservations,
)
from syntony.tasks.rollout import Trajectory
from syntony.tasks.scene import Feature
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization.obs_features import obs_features
from syntony.visualization.style import agent_color, agent_name

NUM_EPISODES = 60
"""Episodes collected for a report: half of them to fit the probes, half to test."""
MAX_PROBE_SAMPLES = 6_000
"""Samples for the probes at most; one sample is one agent at one step."""
MAX_SHOWN_BELIEFS = 1_200
"""Beliefs in the scatter plot at most."""
MAX_HEATMAP_COLUMNS = 40
"""Features of an observation up to which the heat map has a column for each; above,
one for each entity."""


class BeliefSamples(NamedTuple):
    """Observations and beliefs of single agents at single steps of episodes."""

    own_obs: Float[np.ndarray, "S O"]
    """o_i."""
    teammate_obs: Float[np.ndarray, "S F"]
    """o_-i, the teammates' observations."""
    decoded_obs: Float[np.ndarray, "S F"]
    """ô_-i, decoded from the mean of the belief."""
    filter_weights: Float[np.ndarray, "S F"]
    """w_i."""
    latent_mean: Float[np.ndarray, "S Z"]
    """Mean of the belief."""
    latent_sample: Float[np.ndarray, "S Z"]
    """z, sampled from the belief."""
    agent: Int[np.ndarray, " S"]
    """Index i."""
    held_out: Bool[np.ndarray, " S"]
    """Whether the episode is one of the test half."""


def team_section(index: int, report_run: ReportRun) -> Section:
    """Section of a run of a team, with its first seed.

    Args:
        index: index of the run in the report.
        report_run: the run, with its trained states.
    """
    run = report_run.stored.run
    assert run is not None
    system = run.system
    assert isinstance(system, ActsInEpisodes)
    seed = run.seeds[0]
    state = run.states[seed]
    episodes_key, latent_key = jax.random.split(seed_keys(seed).post_training_eval)
    episodes = collect_trajectories(system, state, episodes_key, NUM_EPISODES)
    name = sanitize_filename(report_run.label)
    title = f"Team: {report_run.label}"
    median = select_median_episode(episodes)
    player = build_episode_player(
        f"{name}-episode", "An episode", system, state, median, seed
    )
    parts: list[SectionPart] = [player]
    notes = []
    if isinstance(system, HasBeliefs):
        samples = collect_belief_samples(system, state, episodes, latent_key)
        parts += [
            *_filter_weight_plots(name, system, samples, notes),
            _belief_scatter_plot(name, samples),
            _probe_table(samples),
        ]
    elif not isinstance(system, TransmitsObservations):
        notes.append(f"{report_run.stored.system} has no beliefs about teammates.")
    if len(run.seeds) > 1:
        notes.append(f"Shown is seed {seed}, the first of {len(run.seeds)}.")
    return Section(f"team-{index}", title, parts, notes)


def collect_belief_samples(
    system: HasBeliefs[StateT],
    state: StateT,
    episodes: Trajectory,
    key: Key[jax.Array, ""],
) -> BeliefSamples:
    """Samples of all agents at evenly spaced steps, at most `MAX_PROBE_SAMPLES`.

    Args:
        system: the system, which decodes the beliefs.
        state: its training state.
        episodes: the trajectories to sample from.
        key: for the latent samples.
    """
    steps = np.argwhere(np.asarray(episodes.valid))
    agents = system.task.num_agents
    time, episode = steps[:: _stride(len(steps) * agents, MAX_PROBE_SAMPLES)].T
    obs = jnp.asarray(np.asarray(episodes.obs)[time, episode])
    beliefs = jax.device_get(jax.jit(system.decode_beliefs)(state, obs))
    mean, log_var = map(np.asarray, system.encode_beliefs(state, obs))
    noise = np.asarray(jax.random.normal(key, mean.shape))
    alive = np.asarray(episodes.alive)[time, episode].ravel()

    def rows(values: ArrayLike) -> np.ndarray:
        return np.asarray(values, float).reshape(len(alive), -1)[alive]

    return BeliefSamples(
        own_obs=rows(obs),
        teammate_obs=rows(other_agents_obs(obs)),
        decoded_obs=rows(beliefs.prediction),
        filter_weights=rows(beliefs.filter_weights),
        latent_mean=rows(mean),
        latent_sample=rows(mean + noise * np.exp(0.5 * log_var)),
        agent=np.tile(np.arange(agents), len(time))[alive],
        held_out=np.repeat(episode % 2 == 1, agents)[alive],
    )


def _stride(size: int, max_count: int) -> int:
    """Smallest stride that selects at most `max_count` of `size` elements."""
    return max(1, -(-size // max_count))


def _filter_weight_plots(
    name: str, system: HasBeliefs, samples: BeliefSamples, notes: list[str]
) -> list[Plot]:
    """Heat map of mean filter weights of each agent and teammate; a note if all are 1.

    Args:
        name: prefix of the name of downloaded files.
        system: the team.
        samples: its beliefs.
        notes: gets the sentence that takes the place of a plot of one color.
    """
    per_feature = system.task.obs_dim <= MAX_HEATMAP_COLUMNS
    trace = _filter_weight_heatmap(system, samples, per_feature)
    low, high = float(np.nanmin(trace["z"])), float(np.nanmax(trace["z"]))
    if low > 0.99:
        notes.append("All filter weights are above 0.99: every feature is kept.")
        return []
    plot = Plot(
        name=f"{name}-filters",
        title="Filter weights",
        alt=f"Heat map of mean filter weights, from {low:.2f} to {high:.2f}: a row for "
        "each agent and teammate, a column for each feature of its observation.",
        caption="Mean filter weight w, from 0 (ignored) to 1 (kept), of each "
        f"{'feature' if per_feature else 'entity'} in a teammate's observation. "
        f"Weights here are {low:.3f} to {high:.3f}.",
        figure=plotly_figure(
            [trace],
            xlabel="",
            ylabel="",
            xaxis={"tickangle": -60, "nticks": 0, "dtick": 1, "type": "category"},
            yaxis={"autorange": "reversed"},
            height=260 + 24 * len(trace["y"]),
        ),
        width="wide",
        min_width_px=28 * len(trace["x"]) + 160,
    )
    return [plot]


def _filter_weight_heatmap(
    system: HasBeliefs, samples: BeliefSamples, per_feature: bool
) -> Trace:
    agents, size = system.task.num_agents, system.task.obs_dim
    features = obs_features(system.task)
    pairs = [(i, j) for i in range(agents) for j in range(agents) if i != j]
    rows = []
    for i, j in pairs:
        block = (j - (j > i)) * size
        weights = samples.filter_weights[samples.agent == i][:, block : block + size]
        rows.append(
            _mean_weight_by_name(features[j], weights.mean(axis=0), per_feature)
        )
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return {
        "type": "heatmap",
        "z": np.array([[row.get(name, np.nan) for name in columns] for row in rows]),
        "x": columns,
        "y": [_pair_name(i, j) for i, j in pairs],
        "zmin": 0,
        "zmax": 1,
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": "w"}, "thickness": 12},
        "hovertemplate": "%{y}: %{x}<br>weight %{z:.3f}<extra></extra>",
    }


def _pair_name(agent: int, teammate: int) -> str:
    return f"{agent_name(agent)}, of {agent_name(teammate).removeprefix('agent ')}"


def _mean_weight_by_name(
    features: Sequence[Feature], weights: Float[np.ndarray, " O"], per_feature: bool
) -> dict[str, float]:
    """Mean weights by feature, or by entity."""
    groups: dict[str, list[float]] = {}
    for feature, weight in zip(features, weights, strict=True):
        name = feature.label if per_feature else feature.entity
        groups.setdefault(name, []).append(float(weight))
    return {name: float(np.mean(group)) for name, group in groups.items()}


def _belief_scatter_plot(name: str, samples: BeliefSamples) -> Plot:
    """Scatter plot of the belief means on their first two principal components."""
    stride = _stride(len(samples.latent_mean), MAX_SHOWN_BELIEFS)
    scores, shares = principal_components(samples.latent_mean)
    # Agents alternate: a stride divisible by their number would select only one agent.
    stride += stride % (int(samples.agent.max()) + 1) == 0
    kept = np.arange(0, len(scores), stride)
    traces = []
    for agent in np.unique(samples.agent).tolist():
        selected = kept[samples.agent[kept] == agent]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": scores[selected, 0],
                "y": scores[selected, 1]
                if scores.shape[1] > 1
                else 0 * scores[selected, 0],
                "name": agent_name(agent),
                "marker": {"color": agent_color(int(agent)), "size": 5, "opacity": 0.6},
            }
        )
    first, second = (*shares, 0.0)[:2]
    return Plot(
        name=f"{name}-beliefs",
        title="Beliefs of all agents",
        alt="Scatter plot of the beliefs of all agents on their first two principal "
        f"components, which explain {first:.0%} and {second:.0%} of their variance.",
        caption="Means of the beliefs z on their first two principal components. Where "
        "colors mix, agents in similar situations have similar beliefs.",
        figure=plotly_figure(
            traces,
            xlabel=f"first component ({first:.0%})",
            ylabel=f"second component ({second:.0%})",
            height=380,
        ),
        width="half",
    )


def _probe_table(samples: BeliefSamples) -> Table:
    """Table of how well probes predict the agent and the teammates' observations."""
    title = "Probes of the beliefs"
    if (
        not samples.held_out.any()
        or len(np.unique(samples.agent[~samples.held_out])) < 2
    ):
        return Table(title, ["", ""], [])
    half = NUM_EPISODES // 2
    caption = (
        f"Logistic and ridge regression, fitted on {half} episodes and tested on "
        f"{half} others. The paper's Table 1 predicts the agent from a t-SNE of z at "
        "step 45: 57.5 % for SMPE², 99.3 % without the KL term, 80.8 % without "
        "filters. Here the agent is predicted from z itself, at all steps: similar, "
        "but not the same."
    )
    header = ["prediction", "held out", "by guessing"]
    return Table(title, header, _probe_rows(samples), caption, width="half")


def _probe_rows(samples: BeliefSamples) -> list[list[str]]:
    test = samples.held_out
    accuracies = {
        "agent, from the mean of z": _agent_accuracy(samples, samples.latent_mean),
        "agent, from a sample of z": _agent_accuracy(samples, samples.latent_sample),
    }
    scores = {
        "teammates' observations, from z: R²": _obs_r2(samples, samples.latent_mean),
        "the same, from the own observation: R²": _obs_r2(samples, samples.own_obs),
        "the same, by the decoder: R²": r2_score(
            samples.teammate_obs[test], samples.decoded_obs[test]
        ),
    }
    chance = f"{1 / (int(samples.agent.max()) + 1):.1%}"
    return [
        *([name, f"{value:.1%}", chance] for name, value in accuracies.items()),
        *([name, f"{value:.3f}", "0"] for name, value in scores.items()),
    ]


def _agent_accuracy(samples: BeliefSamples, inputs: Float[np.ndarray, "S D"]) -> float:
    """Accuracy of predicting the agent, on the held-out episodes."""
    test, train = samples.held_out, ~samples.held_out
    predicted = logistic_probe(inputs[train], samples.agent[train], inputs[test])
    return float(np.mean(predicted == samples.agent[test]))


def _obs_r2(samples: BeliefSamples, inputs: Float[np.ndarray, "S D"]) -> float:
    """R² of predicting the teammates' observations, on the held-out episodes."""
    targets, test = samples.teammate_obs, samples.held_out
    predicted = np.zeros_like(targets)
    # A probe per agent, as each agent has its own encoder and teammates.
    for agent in np.unique(samples.agent):
        is_own = samples.agent == agent
        fit, apply = is_own & ~test, is_own & test
        predicted[apply] = ridge_probe(inputs[fit], targets[fit], inputs[apply])
    return r2_score(targets[test], predicted[test])
