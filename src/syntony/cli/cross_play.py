"""Cross-play of two runs for `syntony evaluate RUN --with OTHER`: tables of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syntony.cli.console import make_console, make_table, print_table
from syntony.errors import visible

if TYPE_CHECKING:
    import syntony.evaluation.cross_play
    import syntony.training.metrics_log
    import syntony.training.run


def evaluate_cross_play(
    run: "syntony.training.run.Run",
    path: str,
    *,
    episodes: int,
    task_id: str | None,
    snrs_db: Sequence[float] | None,
    target_block_errors: int,
    max_blocks: int,
    trust: bool,
) -> "syntony.evaluation.cross_play.CrossPlay":
    """Evaluates two teams, or two links, of which one is in another run folder.

    Args:
        run: the run; its choice of a checkpoint is that of both.
        path: folder of the other run; it may be the same.
        episodes: of teams.
        task_id: of teams: the task; None: that of the training.
        snrs_db: of links.
        target_block_errors: of links.
        max_blocks: of links.
        trust: whether to import what the other run names.
    """
    from syntony.evaluation.cross_play import cross_link, cross_play
    from syntony.systems.system import ActsInEpisodes
    from syntony.tasks.registry import task
    from syntony.training.run import load

    is_same = Path(path).resolve() == run.path.resolve()
    other = run if is_same else load(path, checkpoint=run.checkpoint, trust=trust)
    if isinstance(run.system, ActsInEpisodes):
        other_task = None if task_id is None else task(task_id)
        return cross_play(run, other, episodes=episodes, task=other_task)
    return cross_link(
        run,
        other,
        snrs_db,
        target_block_errors=target_block_errors,
        max_blocks=max_blocks,
    )


def print_cross_play(results: "syntony.evaluation.cross_play.CrossPlay") -> None:
    """Prints a table of both runs' seeds; of links, one for each SNR."""
    cells = results["cells"]
    console = make_console()
    is_link = "bler" in cells[0]
    what = (
        "block error rates; rows: transmitters, columns: receivers"
        if is_link
        else "return, averaged over the agent that is of the other run; rows: all "
        "other agents, columns: that agent"
    )
    title = f"{results['run']} with {results['other']}: {results['task']}, {what}"
    console.print(visible(title), markup=False)
    for snr_db in dict.fromkeys(cell.get("snr_db") for cell in cells):
        if snr_db is not None:
            console.print(f"SNR {snr_db:g} dB", markup=False)
        at_snr = [cell for cell in cells if cell.get("snr_db") == snr_db]
        metric = "bler" if is_link else "eval/return_mean"
        print_table(console, _matrix(at_snr, metric, ".2e" if is_link else ".3f"))


def _matrix(
    cells: "Sequence[syntony.training.metrics_log.MetricsRow]",
    metric: str,
    number_format: str,
):
    """Table of a metric: a row for each seed, a column for each of the other run."""
    columns = dict.fromkeys(cell["other_seed"] for cell in cells)
    table = make_table(["", *(f"with seed {seed}" for seed in columns)])
    for seed in dict.fromkeys(cell["seed"] for cell in cells):
        row = [cell for cell in cells if cell["seed"] == seed]
        values = (
            "{} [{}, {}]".format(
                *(
                    f"{cell[metric + end]:{number_format}}"
                    for end in ("", "_low", "_high")
                )
            )
            for cell in row
        )
        table.add_row(f"seed {seed}", *values)
    return table
