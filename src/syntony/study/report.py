"""One HTML file that shows what runs have learned; it asks the network for nothing."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from syntony.errors import BadInput
from syntony.study import files
from syntony.study.report_curves import learning, overview
from syntony.study.report_link import link
from syntony.study.report_origin import origins
from syntony.study.report_parts import Player, Plot, Section, plain
from syntony.study.report_runs import Subject, subjects
from syntony.study.report_team import team
from syntony.systems.team import Team

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("page.js", "scene.js", "player.js", "start.js")
MOST_BYTES = 5_000_000
"""A report can be sent by mail."""
Say = Callable[[str], None]


def report(
    runs: Sequence[str], out: Path | None = None, *, say: Say = lambda _: None
) -> Path:
    """Writes a report on runs; returns its file.

    Args:
        runs: their folders.
        out: the file; by default `report.html`, in the run's folder if it is one run.
        say: is told what goes on.

    Raises:
        BadInput: there is no such run, or no such file can be written.
    """
    chosen = subjects(runs)
    alone = chosen[0].path if len(chosen) == 1 else Path()
    path = alone / "report.html" if out is None else out
    files.refuse_unfit(path, "report", "report.html")
    page = render(chosen, sections(chosen, say)).encode()
    if len(page) > MOST_BYTES:
        raise BadInput(
            f"the report would have {len(page) / 1e6:.1f} MB; expected fewer runs than "
            f"{len(chosen)}, so that it has at most {MOST_BYTES / 1e6:g}"
        )
    files.write(path, page)
    return path


def sections(chosen: Sequence[Subject], say: Say) -> list[Section]:
    """Returns what there is to say about runs, in the order in which it is read."""
    found = [overview(chosen), *learning(chosen)]
    for number, subject in enumerate(chosen):
        if subject.run is None:
            continue
        say(f"looking at {subject.label}")
        if subject.is_link:
            found.append(link(number, subject))
        elif isinstance(subject.run.system, Team):
            found.append(team(number, subject))
    return [*found, origins(chosen)]


def render(chosen: Sequence[Subject], sections: Sequence[Section]) -> str:
    """Returns the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    names = ", ".join(subject.label for subject in chosen)
    data = json.dumps(plain(dict(_data(sections))), allow_nan=False)
    return environment.get_template("report.html").render(
        title=f"Syntony: {names}",
        names=names,
        sections=sections,
        version=version("syntony"),
        style=(TEMPLATES / "report.css").read_text("utf-8"),
        scripts=[(TEMPLATES / name).read_text("utf-8") for name in SCRIPTS],
        plotly=pack(plotly_source()),
        data=pack(data),
    )


def plotly_source() -> str:
    """Returns Plotly's JavaScript."""
    # Late: it takes longer to import than all else here.
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def pack(text: str) -> str:
    """Returns a text that browsers unpack: base64 of gzip, the same every time."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _data(sections: Sequence[Section]) -> Iterator[tuple[str, Any]]:
    """Yields what scripts draw, by the id of its place on the page."""
    for section in sections:
        for number, part in enumerate(section.parts):
            place = f"{section.id}-{number}"
            if isinstance(part, Plot):
                slides = part.slides._asdict() if part.slides else None
                drawn = {"figure": part.figure, "slides": slides}
                yield place, {"name": part.name} | drawn
            elif isinstance(part, Player):
                yield place, {"name": part.name, "episode": part.data}
