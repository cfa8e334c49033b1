"""The whole demonstration: a learned link, a team trained with SMPE², one report."""

from pathlib import Path

from rich.console import Console

from syntony.cli.demos import link, team
from syntony.report.page import write_report
from syntony.training.program_name import program_name

NEXT_STEPS = """
Next:
  {program} render {team} --out team.gif
  {program} evaluate {link} --snr-db 0:12:1
  {program} train link --channel rayleigh
  {program} train smpe --task Foraging-2s-8x8-3p-2f-coop --seeds 2
  {program} list channels"""


def run_demo(path: Path) -> None:
    """Runs both demonstrations; results that exist are printed again.

    Args:
        path: folder of both runs.
    """
    team_path, link_path = path / "team", path / "link"
    console = Console(highlight=False)
    if (team_path / "demo.json").is_file() and (link_path / "demo.json").is_file():
        console.print(f"{path} holds this demonstration's result, printed again here.")
        console.print(f"(To repeat the training, remove {path} first.)\n")
    link.run_link_demo(link_path)
    console.print()
    team.run_team_demo(team_path)
    page = path / "report.html"
    if not page.is_file():
        console.print("\nwriting a report of both")
        write_report([str(team_path), str(link_path)], page)
    console.print(f"\nBoth in one page, to be opened in a browser:\n  {page}")
    program = program_name()
    console.print(NEXT_STEPS.format(program=program, team=team_path, link=link_path))
