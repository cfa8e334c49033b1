"""Section of a team that transmits: what is sent, what is believed, and its worth."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float

from syntony.channels.channel import output_uses
from syntony.errors import InvalidInputError
from syntony.evaluation.over_snr import TeamOverSNR, evaluate_over_snr
from syntony.evaluation.transmissions import (
    AgentCode,
    ObservationLevels,
    Transmissions,
    agent_codes,
    collect_transmissions,
)
from syntony.report.components import (
    LineStyle,
    Plot,
    Section,
    SectionPart,
    Slider,
    Trace,
    line_trace,
    plotly_figure,
)
from syntony.report.runs import ReportRun, sanitize_filename
from syntony.report.sections.codebook import (
    GRID_COLUMNS,
    MAX_SHOWN_USES,
    symbol_grid_layout,
)
from syntony.systems.system import HasSnapshots, TransmitsObservations
from syntony.training.metrics_log import MetricsRow
from syntony.training.run_folder import RunFolder
from syntony.training.seed_scheduler import seed_keys
from syntony.training.snapshots import SnapshotHistory, read_history
from syntony.visualization.obs_features import obs_features
from syntony.visualization.style import (
    SCREEN_GRAY,
    agent_color,
    agent_name,
    level_color,
)
from syntony.visualization.transmission_figures import plotted_snrs_db, seed_returns

NUM_EPISODES = 200
"""Episodes of which observations are taken."""
MAX_SAMPLES = 1_500
"""Observations of each agent at most."""
MAX_STEPS, MIN_EPISODES = 2_000, 100
"""Environment steps of all episodes of a seed at each SNR, and episodes at least."""
BOUND_DASHES = ("dot", "longdash", "dashdot", "dash")
ObsAndSymbols = tuple[Float[np.ndarray, "_ O"], Float[np.ndarray, "_ C 2"]]
"""Observations of one agent, and the symbols that it sends for them."""
MAX_BELIEF_PLOTS = 6
"""Pairs of agents whose beliefs are shown at most."""
BELIEF_BINS = 25
"""Bins of each axis in the plot of beliefs."""


def transmission_section(index: int, report_run: ReportRun) -> Section:
    """Section of a run whose agents transmit what they observe.

    Args:
        index: index of the run in the report.
        report_run: the run, with its trained states.
    """
    run = report_run.stored.run
    assert run is not None
    system = run.system
    assert isinstance(system, TransmitsObservations)
    seed, name = run.seeds[0], sanitize_filename(report_run.label)
    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 5)
    samples = collect_transmissions(
        system,
        run.states[seed],
        key,
        episodes=NUM_EPISODES,
        max_samples=MAX_SAMPLES,
    )
    codes = agent_codes(samples, obs_features(system.task))
    notes: list[str] = []
    history = _symbol_history(report_run, system, seed, notes)
    parts: list[SectionPart] = []
    snrs_db = plotted_snrs_db(system)
    if snrs_db:
        episodes = max(MIN_EPISODES, MAX_STEPS // system.task.time_limit)
        over_snr = evaluate_over_snr(run, snrs_db, episodes=episodes)
        parts.append(_return_plot(report_run, over_snr))
    parts += [
        _constellation_plot(name, agent, samples, code, history)
        for agent, code in enumerate(codes)
    ]
    parts += _belief_plots(name, system, samples, codes)
    parts.append(_share_plot(name, codes))
    if len(run.seeds) > 1:
        notes.append(
            f"Returns are of all {len(run.seeds)} seeds, everything else is of seed "
            f"{seed}, the first."
        )
    title = f"Transmission: {report_run.label}"
    return Section(f"transmission-{index}", title, parts, notes)


def _symbol_history(
    report_run: ReportRun,
    system: TransmitsObservations,
    seed: int,
    notes: list[str],
) -> SnapshotHistory | None:
    """Observations and symbols of the training, if the system stores them."""
    if not isinstance(system, HasSnapshots):
        return None
    try:
        history = read_history(RunFolder(report_run.stored.path), seed)
        return None if history is None else _validated_history(history, system)
    except InvalidInputError as error:
        notes.append(f"{error}.")
        return None


def _validated_history(
    history: SnapshotHistory, system: TransmitsObservations
) -> SnapshotHistory | None:
    """The history, if it has the arrays `obs` and `symbols` of this team.

    Raises:
        InvalidInputError: they have other shapes.
    """
    obs, symbols = map(history.arrays.get, ("obs", "symbols"))
    if obs is None or symbols is None or not len(history.step):
        return None
    agents = system.task.num_agents
    valid = obs.ndim == 4 and obs.shape[2:] == (agents, system.task.obs_dim)
    if not (valid and symbols.shape == (*obs.shape[:3], system.uses, 2)):
        raise InvalidInputError("the snapshots hold no symbols of this team")
    return history


def _return_plot(report_run: ReportRun, over_snr: TeamOverSNR) -> Plot:
    """Plot of returns over the SNR: of every seed, and what is known of the task."""
    points = over_snr["points"]
    snrs_db = np.array([point["snr_db"] for point in points], float)
    traces = [
        _seed_trace(snrs_db, [point["seeds"][index] for point in points], report_run)
        | {"showlegend": index == 0}
        for index in range(len(points[0]["seeds"]))
    ]
    for index, name in enumerate(points[0]["bounds"]):
        style = LineStyle(SCREEN_GRAY, BOUND_DASHES[index % len(BOUND_DASHES)])
        known = [point["bounds"][name] for point in points]
        traces.append(line_trace(snrs_db, known, name, style))
    note = " Gray: known returns of the task." if points[0]["bounds"] else ""
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-return-over-snr",
        title="Return over SNR",
        alt=f"Line chart of the mean return over the SNR, {snrs_db[0]:g} to "
        f"{snrs_db[-1]:g} dB; {len(points[0]['bounds'])} known returns of the task.",
        caption=f"Mean return of {over_snr['episodes']:,} episodes with sampled "
        "actions at each SNR, with 95 % intervals, of every seed; trained over "
        f"{over_snr['channel']}.{note}",
        figure=plotly_figure(traces, xlabel="Es/N0 (dB)", ylabel="return", height=420),
        width="wide",
    )


def _seed_trace(
    snrs_db: Float[np.ndarray, " K"], rows: Sequence[MetricsRow], report_run: ReportRun
) -> Trace:
    """Trace of the mean return of one seed, with intervals."""
    mean, low, high = seed_returns(rows)
    return line_trace(
        snrs_db,
        mean,
        "trained",
        report_run.style,
        mode="lines+markers",
        legendgroup="trained",
        error_y={"array": high - mean, "arrayminus": mean - low, "thickness": 1},
    )


def _constellation_plot(
    name: str,
    agent: int,
    samples: Transmissions,
    code: AgentCode,
    history: SnapshotHistory | None,
) -> Plot:
    """Symbols of an agent, colored by what it saw, with a slider through training."""
    uses = min(samples.symbols.shape[2], MAX_SHOWN_USES)
    end = samples.obs[:, agent], samples.symbols[:, agent]
    frames, slider = [end], None
    if history is not None:
        frames = [*_frames_of_training(history, agent), end]
        slider = _training_slider(history, code.levels, uses, frames)
    limit = 1.08 * max(float(np.abs(symbols).max()) for _, symbols in frames)
    hint = "" if slider is None else " The slider shows them during training."
    return Plot(
        name=f"{name}-constellation-{agent + 1}",
        title=f"Symbols of {agent_name(agent)}",
        alt=f"{uses} scatter plots, one per channel use: the symbols that "
        f"{agent_name(agent)} sends, in {len(code.levels.names)} colors by what it "
        "saw.",
        caption="The symbols that the agent sends for its observations in episodes, "
        f"colored by what they follow most: {_level_title(code.levels)}.{hint}",
        figure=plotly_figure(
            list(_level_traces(code.levels, uses, *frames[-1])),
            xlabel="",
            ylabel="",
            **symbol_grid_layout(uses, limit),
        ),
        width="half" if uses <= 2 else "wide",
        slider=slider,
        min_width_px=150 * min(uses, GRID_COLUMNS),
    )


def _frames_of_training(
    history: SnapshotHistory, agent: int
) -> Iterator[ObsAndSymbols]:
    """Yields the observations and symbols of an agent in each snapshot."""
    stored = zip(history.arrays["obs"], history.arrays["symbols"], strict=True)
    for obs, symbols in stored:
        yield obs[:, agent].astype(float), symbols[:, agent].astype(float)


def _training_slider(
    history: SnapshotHistory,
    levels: ObservationLevels,
    uses: int,
    frames: Sequence[ObsAndSymbols],
) -> Slider:
    """Slider through the symbols of the snapshots, and of the end."""
    by_frame = [_symbols_by_level(levels, uses, *frame) for frame in frames]
    return Slider(
        label="step",
        frame_labels=[*(f"{step:,}" for step in history.step.tolist()), "end"],
        x=[[points[:, 0] for points in frame] for frame in by_frame],
        y=[[points[:, 1] for points in frame] for frame in by_frame],
    )


def _level_title(levels: ObservationLevels) -> str:
    first, last = levels.names[0], levels.names[-1]
    return first if first == last else f"{first} … {last}"


def _symbols_by_level(
    levels: ObservationLevels,
    uses: int,
    obs: Float[np.ndarray, "S O"],
    symbols: Float[np.ndarray, "S C 2"],
) -> list[Float[np.ndarray, "points 2"]]:
    """Symbols of each level in each use, in the order of `_level_traces`."""
    index = levels.assign(obs)
    return [
        symbols[index == level, use]
        for use in range(uses)
        for level in range(len(levels.names))
    ]


def _level_traces(
    levels: ObservationLevels,
    uses: int,
    obs: Float[np.ndarray, "S O"],
    symbols: Float[np.ndarray, "S C 2"],
) -> Iterator[Trace]:
    """Yields a scatter trace of each level in each channel use."""
    count = len(levels.names)
    groups = _symbols_by_level(levels, uses, obs, symbols)
    for position, points in enumerate(groups):
        use, level = divmod(position, count)
        suffix = "" if use == 0 else str(use + 1)
        yield _scatter_trace(points, levels.names[level], level_color(level, count)) | {
            "xaxis": f"x{suffix}",
            "yaxis": f"y{suffix}",
            "legendgroup": levels.names[level],
            "showlegend": use == 0,
        }


def _scatter_trace(
    points: Float[np.ndarray, "points 2"], name: str, color: str
) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": points[:, 0],
        "y": points[:, 1],
        "name": name,
        "hovertemplate": "%{x:.2f} + %{y:.2f}i",
        "marker": {"color": color, "size": 7, "opacity": 0.7},
    }


def _belief_plots(
    name: str,
    system: TransmitsObservations,
    samples: Transmissions,
    codes: Sequence[AgentCode],
) -> list[Plot]:
    """Plots of the mean belief over the plane of received symbols, by linked pairs."""
    received_uses = output_uses(system.channel, system.uses)
    if samples.received.shape[-1] != (len(codes) - 1) * received_uses * 2:
        return []
    pairs = np.argwhere(np.asarray(system.links)).tolist()
    pairs = [(i, j) for i, j in pairs if i != j][:MAX_BELIEF_PLOTS]
    return [
        _belief_plot(name, samples, codes[j].levels, i, j, received_uses)
        for i, j in pairs
    ]


def _belief_plot(
    name: str,
    samples: Transmissions,
    levels: ObservationLevels,
    receiver: int,
    sender: int,
    received_uses: int,
) -> Plot:
    """Plot of the mean belief of one agent about another, over what it received."""
    block = samples.received_block(receiver, sender, received_uses)[:, 0]
    cells = mean_by_cell(block, samples.predicted_obs(receiver, sender))
    traces = list(_belief_traces(levels, *cells))
    first = " in the first channel use" if received_uses > 1 else ""
    return Plot(
        name=f"{name}-belief-{receiver + 1}-{sender + 1}",
        title=f"Belief of {agent_name(receiver)} about {agent_name(sender)}",
        alt=f"The plane of the symbols that {agent_name(receiver)} receives of "
        f"{agent_name(sender)}, colored by its mean belief, in {len(levels.names)} "
        "colors.",
        caption=f"Mean belief for each received symbol{first}: the color is that of "
        "the level nearest to the mean of the decoded observations in a cell of the "
        "plane; point at it to read the mean. The colors are those of the symbols.",
        figure=plotly_figure(
            traces,
            xlabel="received, in phase",
            ylabel="received, quadrature",
            yaxis={"scaleanchor": "x"},
            height=400,
        ),
        width="half",
    )


def _belief_traces(
    levels: ObservationLevels,
    centers: Float[np.ndarray, "K 2"],
    means: Float[np.ndarray, "K F"],
) -> Iterator[Trace]:
    """Yields the cells of each level, by the level nearest to their mean belief."""
    believed = levels.assign(means)
    for level, label in enumerate(levels.names):
        cells = believed == level
        color = level_color(level, len(levels.names))
        text = [_belief_text(mean[levels.columns]) for mean in means[cells]]
        yield _scatter_trace(centers[cells], label, color) | {
            "marker": {"color": color, "size": 9, "symbol": "square"},
            "text": text,
            "hovertemplate": "%{x:.2f} + %{y:.2f}i: %{text}",
        }


def _belief_text(values: Float[np.ndarray, " K"]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def mean_by_cell(
    points: Float[np.ndarray, "S 2"], values: Float[np.ndarray, "S F"]
) -> tuple[Float[np.ndarray, "K 2"], Float[np.ndarray, "K F"]]:
    """Centers of the cells of the plane that contain points, and means of values.

    Args:
        points: points; the largest hundredth of each axis is left out.
        values: values at the points.
    """
    limit = float(np.quantile(np.abs(points), 0.99)) + 1e-9
    inside = (np.abs(points) <= limit).all(axis=1)
    points, values = points[inside], values[inside]
    side = 2.0 * limit / BELIEF_BINS
    cells = np.minimum((points + limit) // side, BELIEF_BINS - 1).astype(int)
    unique, index = np.unique(cells, axis=0, return_inverse=True)
    sums = np.zeros((len(unique), values.shape[1]))
    np.add.at(sums, index.ravel(), values)
    counts = np.bincount(index.ravel(), minlength=len(unique))
    return (unique + 0.5) * side - limit, sums / counts[:, None]


def _share_plot(name: str, codes: Sequence[AgentCode]) -> Plot:
    """Bars of the share of the codewords' variance that follows each entity."""
    entities = list(dict.fromkeys(entity for code in codes for entity in code.shares))
    traces: list[Trace] = [
        {
            "type": "bar",
            "x": entities,
            "y": [code.shares.get(entity, np.nan) for entity in entities],
            "name": agent_name(agent),
            "marker": {"color": agent_color(agent)},
        }
        for agent, code in enumerate(codes)
    ]
    largest = max(codes[0].shares.items(), key=lambda item: item[1])
    return Plot(
        name=f"{name}-energy-per-feature",
        title="Energy per feature",
        alt="Bar chart of the share of the variance of the codewords that follows each "
        f"of {len(entities)} entities; of agent A most, {largest[1]:.0%}, follows "
        f"{largest[0]}.",
        caption="Share of the variance of an agent's codewords that follows each "
        "entity of its observation: 1 − E‖x − E[x | entity]‖² / E‖x − E[x]‖². Shares "
        "of entities that depend on each other overlap.",
        figure=plotly_figure(
            traces,
            xlabel="",
            ylabel="share of variance",
            xaxis={"type": "category", "nticks": 0},
            yaxis={"range": [0, 1.02]},
            barmode="group",
        ),
        width="wide",
    )
