"""One HTML file that shows what runs have learned; it asks the network for nothing."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from syntony.errors import InvalidInputError
from syntony.report.components import EpisodePlayer, Plot, Section, to_jsonable
from syntony.report.runs import ReportRun, load_report_runs
from syntony.report.sections.learning_curves import learning_sections, overview_section
from syntony.report.sections.link import link_section
from syntony.report.sections.provenance import provenance_section
from syntony.report.sections.team import team_section
from syntony.systems.marl.base import MultiAgentSystem
from syntony.visualization import output_files

TEMPLATE_DIR = Path(__file__).parent / "templates"
SCRIPT_FILES = ("page.js", "scene.js", "player.js", "start.js")
MAX_REPORT_BYTES = 5_000_000
"""A report can be sent by mail."""
PrintFn = Callable[[str], None]


def write_report(
    runs: Sequence[str], out: Path | None = None, *, print_fn: PrintFn = lambda _: None
) -> Path:
    """Writes a report on runs; returns its file.

    Args:
        runs: their folders.
        out: the file; by default `report.html`, in the run's folder if it is one run.
        say: is told what goes on.

    Raises:
        BadInput: there is no such run, or no such file can be written.
    """
    chosen = load_report_runs(runs)
    alone = chosen[0].path if len(chosen) == 1 else Path()
    path = alone / "report.html" if out is None else out
    output_files.validate_output_path(path, "report", "report.html")
    page = render_page(chosen, build_sections(chosen, print_fn)).encode()
    if len(page) > MAX_REPORT_BYTES:
        raise InvalidInputError(
            f"the report would have {len(page) / 1e6:.1f} MB; expected fewer runs than "
            f"{len(chosen)}, so that it has at most {MAX_REPORT_BYTES / 1e6:g}"
        )
    output_files.write_file(path, page)
    return path


def build_sections(
    report_runs: Sequence[ReportRun], print_fn: PrintFn
) -> list[Section]:
    """Returns what there is to say about runs, in the order in which it is read."""
    found = [overview_section(report_runs), *learning_sections(report_runs)]
    for number, subject in enumerate(report_runs):
        if subject.run is None:
            continue
        print_fn(f"looking at {subject.label}")
        if subject.is_link:
            found.append(link_section(number, subject))
        elif isinstance(subject.run.system, MultiAgentSystem):
            found.append(team_section(number, subject))
    return [*found, provenance_section(report_runs)]


def render_page(report_runs: Sequence[ReportRun], sections: Sequence[Section]) -> str:
    """Returns the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE_DIR),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    names = ", ".join(subject.label for subject in report_runs)
    data = json.dumps(to_jsonable(dict(_page_data(sections))), allow_nan=False)
    return environment.get_template("report.html").render(
        title=f"Syntony: {names}",
        names=names,
        sections=sections,
        version=version("syntony"),
        style=(TEMPLATE_DIR / "report.css").read_text("utf-8"),
        scripts=[(TEMPLATE_DIR / name).read_text("utf-8") for name in SCRIPT_FILES],
        plotly=gzip_base64(plotly_source()),
        data=gzip_base64(data),
    )


def plotly_source() -> str:
    """Returns Plotly's JavaScript."""
    # Late: it takes longer to import than all else here.
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def gzip_base64(text: str) -> str:
    """Returns a text that browsers unpack: base64 of gzip, the same every time."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _page_data(sections: Sequence[Section]) -> Iterator[tuple[str, Any]]:
    """Yields what scripts draw, by the id of its place on the page."""
    for section in sections:
        for number, part in enumerate(section.parts):
            place = f"{section.id}-{number}"
            if isinstance(part, Plot):
                slides = part.slider._asdict() if part.slider else None
                drawn = {"figure": part.figure, "slides": slides}
                yield place, {"name": part.name} | drawn
            elif isinstance(part, EpisodePlayer):
                yield place, {"name": part.name, "episode": part.data}
