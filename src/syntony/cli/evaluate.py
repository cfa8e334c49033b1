"""Evaluates the seeds of a run, each alone and all together.

A link's error rates are measured over SNR, beside other codes and bounds; the metrics
of every other system in new episodes, and with --snr-db over SNR for a team whose
agents transmit; both, where a system is both.

Intervals are 95 % confidence intervals of the mean: over episodes for a seed, over
seeds for all.
"""

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from syntony.cli.arguments import BoolFlag, RunArgument
from syntony.cli.console import (
    make_console,
    make_table,
    print_table,
    print_visible,
    stdout_to_stderr,
)
from syntony.cli.run_options import (
    CheckpointFlag,
    SeedsFlag,
    parse_checkpoint,
    parse_seeds,
)
from syntony.cli.trust import ask_trust
from syntony.errors import InvalidInputError, visible
from syntony.number_parsing import parse_number, quote

if TYPE_CHECKING:
    import syntony.evaluation.bler_curves
    import syntony.evaluation.evaluate
    import syntony.evaluation.link
    import syntony.evaluation.over_snr
    import syntony.training.metrics_log
    import syntony.training.run

MAX_SNR_POINTS = 200
"""Largest number of SNRs in one evaluation."""
OVER_SNR = ("eval/return_mean", "eval/return_mean_greedy", "eval/belief_error")
"""Metrics of a team that are shown over SNR."""
MAX_COUNT = 10**9
"""Largest number of SNRs that an error message tells."""


@dataclass(frozen=True)
class Evaluate:
    """Arguments of `syntony evaluate`."""

    run: RunArgument
    """Run folder."""
    checkpoint: CheckpointFlag = "last"
    """Checkpoint of each seed: the newest, that of the best evaluation (of a run with
    --keep-best), or the one of a step (of a run with --save-every)."""
    seeds: SeedsFlag = None
    """Seeds that are evaluated, e.g. 0 or 0,2."""
    with_: Annotated[
        str | None,
        tyro.conf.arg(
            name="with", metavar="OTHER", help_behavior_hint="(default: none)"
        ),
    ] = None
    """Cross-play with another run, or with RUN itself: a table of both runs' seeds.
    Teams: the return when one agent is of OTHER and all others are of RUN, averaged
    over that agent. Links: the error rate of RUN's transmitter with OTHER's receiver,
    over RUN's channel. --checkpoint is of both."""
    episodes: int = 1000
    """Teams: episodes of each seed."""
    task: Annotated[
        str | None,
        tyro.conf.arg(metavar="ID", help_behavior_hint="(default: that of training)"),
    ] = None
    """Teams: another task with the same shapes, e.g. the original of a task of ours,
    gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3."""
    snr_db: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="LOW:HIGH:STEP", help_behavior_hint="(default: that of training)"
        ),
    ] = None
    """Links, and teams that transmit: SNRs in dB, e.g. 0:12:1, or one, e.g. 10."""
    target_block_errors: int = 1000
    """Links: number of block errors at which the simulation of an SNR ends."""
    max_blocks: int = 2_000_000
    """Links: number of blocks at which the simulation of an SNR ends in any case."""
    reference: str = "auto"
    """Links: classical code that is compared over the same channel, with a receiver
    that is trained for it once, in RUN/reference: a name as of train --transmitter,
    e.g. qpsk; auto: the best that fits, where the optimal detector of the channel is
    not known; or none."""
    trust: BoolFlag = False
    """Use the modules and programs that the run names, also if it is from elsewhere."""
    json: BoolFlag = False
    """Print one JSON object, and nothing else. Of a link it also has the bit error rate
    of each seed, ber, with the bit labels of RUN/model.npz."""

    def execute(self) -> None:
        """Evaluates the run and prints tables or JSON; of a link also draws it."""
        # Imported late: --help need not wait for JAX.
        from syntony.systems.system import (
            ActsInEpisodes,
            HasChannel,
            TransmitsMessages,
        )
        from syntony.training.devices import enable_compilation_cache
        from syntony.training.verification import find_damage, warn_of_damage

        enable_compilation_cache()
        if self.with_ is not None:
            self._cross_play()
            return
        with stdout_to_stderr():
            run = self._load()
            transmits = isinstance(run.system, TransmitsMessages)
            acts = isinstance(run.system, ActsInEpisodes)
            has_channel = isinstance(run.system, HasChannel)
            self._check_flags(has_channel=has_channel, acts=acts)
            self._check_counts(transmits=transmits, acts=acts)
            over_snr = None
            if self.snr_db is not None and not transmits:
                over_snr = _evaluate_over_snr(run, self)
            # A link's metrics are its error rates, which are measured with more blocks.
            metrics = None
            if over_snr is None and (acts or not transmits):
                metrics = _evaluate_metrics(run, self)
            error_rates = _evaluate_link(run, self) if transmits else None
            warn_of_damage(run.path, find_damage(run.path, run.settings))
        if self.json:
            results = {**(metrics or {}), **(over_snr or {}), **(error_rates or {})}
            print(json.dumps(results, allow_nan=False))
            return
        if metrics is not None:
            _print_metrics(metrics)
        if over_snr is not None:
            _print_over_snr(over_snr)
        if error_rates is not None:
            _print_and_draw_link(run, error_rates)

    def _load(self) -> "syntony.training.run.Run":
        from syntony.training.run import load

        runs = [self.run] if self.with_ is None else [self.run, self.with_]
        return load(
            self.run,
            checkpoint=parse_checkpoint(self.checkpoint),
            seeds=parse_seeds(self.seeds),
            trust=ask_trust(runs, trust=self.trust),
        )

    def _cross_play(self) -> None:
        """Evaluates the run beside another one, and prints tables or JSON."""
        from syntony.cli.cross_play import evaluate_cross_play, print_cross_play
        from syntony.systems.system import ActsInEpisodes, TransmitsMessages
        from syntony.training.verification import find_damage, warn_of_damage

        assert self.with_ is not None
        if self.reference != "auto":
            raise InvalidInputError("--with compares runs alone; leave out --reference")
        with stdout_to_stderr():
            run = self._load()
            transmits = isinstance(run.system, TransmitsMessages)
            acts = isinstance(run.system, ActsInEpisodes)
            self._check_flags(has_channel=transmits, acts=acts)
            self._check_counts(transmits=transmits, acts=acts)
            results = evaluate_cross_play(
                run,
                self.with_,
                episodes=self.episodes,
                task_id=self.task,
                snrs_db=None if self.snr_db is None else parse_snr_range(self.snr_db),
                target_block_errors=self.target_block_errors,
                max_blocks=self.max_blocks,
                trust=self.trust,
            )
            warn_of_damage(run.path, find_damage(run.path, run.settings))
        if self.json:
            print(json.dumps(results, allow_nan=False))
        else:
            print_cross_play(results)

    def _check_flags(self, *, has_channel: bool, acts: bool) -> None:
        """Raises InvalidInputError for a flag that the system has no use for."""
        if self.snr_db is not None and not has_channel:
            raise InvalidInputError(
                f"{self.run} transmits no messages, and has no SNR; leave out --snr-db"
            )
        if self.task is not None and not acts:
            raise InvalidInputError(
                f"{self.run} is no team, and has no task; leave out --task"
            )
        for name in ("target_block_errors", "max_blocks"):
            if (value := getattr(self, name)) < 1:
                raise InvalidInputError(f"{name} is {value}; expected at least 1")

    def _check_counts(self, *, transmits: bool, acts: bool) -> None:
        """Raises InvalidInputError for a count that nothing would be done with."""
        link_alone = transmits and not acts
        if self.episodes != type(self).episodes and link_alone:
            raise InvalidInputError(
                f"{self.run} is a link, and has no episodes; leave out --episodes, or "
                "give --target-block-errors or --max-blocks"
            )
        others = ("target_block_errors", "max_blocks", "reference")
        for name in others if not transmits else ():
            if getattr(self, name) != getattr(type(self), name):
                raise InvalidInputError(
                    f"{self.run} transmits no messages; leave out "
                    f"--{name.replace('_', '-')}"
                )


def _evaluate_metrics(
    run: "syntony.training.run.Run", args: Evaluate
) -> "syntony.evaluation.evaluate.MetricsEvaluation":
    from syntony.evaluation.evaluate import evaluate_metrics
    from syntony.tasks.registry import task

    other_task = None if args.task is None else task(args.task)
    return evaluate_metrics(run, episodes=args.episodes, task=other_task)


def _evaluate_over_snr(
    run: "syntony.training.run.Run", args: Evaluate
) -> "syntony.evaluation.over_snr.TeamOverSNR":
    from syntony.evaluation.over_snr import evaluate_over_snr

    if args.task is not None:
        raise InvalidInputError("--task is given beside --snr-db; expected one of them")
    assert args.snr_db is not None
    return evaluate_over_snr(run, parse_snr_range(args.snr_db), episodes=args.episodes)


def _print_over_snr(results: "syntony.evaluation.over_snr.TeamOverSNR") -> None:
    """Prints a table: return and belief error over SNR, and known returns."""
    from syntony.training.progress import metric_label

    points = results["points"]
    metrics = [name for name in OVER_SNR if name in points[0]["all"]]
    columns = [*map(metric_label, metrics), *points[0]["bounds"]]
    table = make_table(["SNR dB", *columns])
    for point in points:
        row = point["seeds"][0] if len(point["seeds"]) == 1 else point["all"]
        cells = [_format_cell(row, name) for name in metrics]
        known = [f"{value:.3f}" for value in point["bounds"].values()]
        table.add_row(f"{point['snr_db']:g}", *cells, *known)
    console = make_console()
    title = (
        f"{results['run']}: {results['task']} over {results['channel']}, "
        f"{results['uses']} channel uses an agent and step, "
        f"{results['episodes']:,} episodes of each seed, mean [95 % interval]"
    )
    console.print(visible(title), markup=False)
    print_table(console, table)


def _evaluate_link(
    run: "syntony.training.run.Run", args: Evaluate
) -> "syntony.evaluation.link.LinkEvaluation":
    from syntony.evaluation.link import evaluate_link

    snrs_db = None if args.snr_db is None else parse_snr_range(args.snr_db)
    return evaluate_link(
        run,
        snrs_db,
        target_block_errors=args.target_block_errors,
        max_blocks=args.max_blocks,
        reference=args.reference,
        # The standard output is the JSON object's alone.
        notify=lambda line: print(line, file=sys.stderr),
    )


def _print_and_draw_link(
    run: "syntony.training.run.Run", results: "syntony.evaluation.link.LinkEvaluation"
) -> None:
    from syntony.visualization.run_figures import save_evaluation, save_run_figures

    _print_link(results)
    save_evaluation(run, results)
    for path in save_run_figures(run):
        print_visible(path)


def parse_snr_range(text: str) -> list[float]:
    """Parses `0:12:1`, `0:12` or `10` into SNRs in dB; both ends are included.

    Raises:
        InvalidInputError: the text is no such range, or has too many SNRs.
    """
    example = "expected LOW:HIGH:STEP in dB, e.g. 0:12:1, or one SNR, e.g. 10"
    try:
        numbers = [parse_number(part) for part in text.split(":")]
    except ValueError:
        raise InvalidInputError(f"snr_db is {quote(text)}; {example}") from None
    if len(numbers) == 1:
        return numbers
    if len(numbers) > 3:
        raise InvalidInputError(f"snr_db is {quote(text)}; {example}")
    low, high, step = (*numbers, 1.0)[:3]
    if low > high or step <= 0.0:
        raise InvalidInputError(
            f"snr_db is {quote(text)}, which holds no SNR; {example}"
        )
    # The tolerance, a hundredth of a step, is for rounding: 0.1 + 0.2 is not 0.3.
    count = math.floor(min((high - low) / step, MAX_COUNT) + 0.01) + 1
    if count > MAX_SNR_POINTS:
        raise InvalidInputError(
            f"snr_db is {quote(text)}, {count:,} SNRs; expected {MAX_SNR_POINTS}"
        )
    return [round(low + i * step, 6) for i in range(count)]


def _print_link(results: "syntony.evaluation.link.LinkEvaluation") -> None:
    from syntony.evaluation.bler_table import rate_cells, reference_sources, snr_cell

    points = results["points"]
    table = make_table(["SNR dB", *rate_cells(points[0]), "errors / blocks"], ())
    for point in points:
        errors = sum(seed["errors"] for seed in point["seeds"])
        blocks = sum(seed["blocks"] for seed in point["seeds"])
        cells = rate_cells(point).values()
        table.add_row(snr_cell(point), *cells, f"{errors:,} / {blocks:,}")
    console = make_console()
    size = f"{results['messages']} messages in {results['uses']} channel uses"
    title = f"{results['run']}: {results['channel']}, {size}; block error rates"
    console.print(visible(title), markup=False)
    print_table(console, table)
    for line in reference_sources(points):
        console.print(line, markup=False)
    for codebook in results["codebooks"]:
        console.print(
            f"seed {codebook['seed']}: minimum distance "
            f"{codebook['min_distance']:.3f}, energy {codebook['energy_low']:.2f} to "
            f"{codebook['energy_high']:.2f} a use"
        )


def _print_metrics(
    results: "syntony.evaluation.evaluate.MetricsEvaluation",
) -> None:
    from syntony.systems.registry import system_label
    from syntony.training.progress import eval_metric_names, metric_label

    metrics = eval_metric_names(results["all"])
    table = make_table(["", "steps", *map(metric_label, metrics)])
    for label, steps, row in _table_rows(results):
        table.add_row(label, steps, *(_format_cell(row, name) for name in metrics))
    console = make_console()
    task = results["task"] or ""
    episodes = f"{results['episodes']:,} episodes each, mean [95 % interval]"
    system = system_label(results["system"])
    title = f"{results['run']}: {system} {task}, {episodes}"
    console.print(visible(title), markup=False)
    print_table(console, table)


def _table_rows(
    results: "syntony.evaluation.evaluate.MetricsEvaluation",
) -> "Iterator[tuple[str, str, syntony.training.metrics_log.MetricsRow]]":
    """Yields label, step and metrics of every row."""
    if results["untrained"]:
        yield "untrained", "0", results["untrained"]
    for row in results["seeds"]:
        yield f"seed {row['seed']}", f"{row['step']:,}", row
    if len(results["seeds"]) > 1:
        yield "all seeds", "", results["all"]


def _format_cell(row: "syntony.training.metrics_log.MetricsRow", name: str) -> str:
    from syntony.training.progress import format_interval

    if row[f"{name}_low"] is None:
        return f"{row[name]:.3f}"
    return format_interval(row, name)
