"""The demonstration: what it is to infer, and what it is to transmit."""

from pathlib import Path

from rich.console import Console

from syntony.cli.demos import link, team
from syntony.report.page import write_report

NEXT_STEPS = """
Next:
  syntony render {infer} --out team.gif
  syntony evaluate {transmit} --snr-db 0:12:1
  syntony train link --channel rayleigh
  syntony train smpe --task Foraging-2s-8x8-3p-2f-coop --seeds 2
  syntony list channels"""


def run_demo(path: Path) -> None:
    """Shows both systems at work; what is finished already is shown again at once.

    Args:
        path: the folder of both runs.
    """
    infer, transmit = path / "infer", path / "transmit"
    console = Console(highlight=False)
    if (infer / "demo.json").is_file() and (transmit / "demo.json").is_file():
        console.print(f"{path} holds this demonstration's result; here it is again.")
        console.print(f"(To repeat it all, remove {path} first.)\n")
    link.run_link_demo(transmit)
    console.print()
    team.run_team_demo(infer)
    page = path / "report.html"
    if not page.is_file():
        console.print("\nwriting a report of both")
        write_report([str(infer), str(transmit)], page)
    console.print(f"\nBoth in one page, to be opened in a browser: {page}")
    console.print(NEXT_STEPS.format(infer=infer, transmit=transmit))
