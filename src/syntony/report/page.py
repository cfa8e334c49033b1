"""Report on runs or a study: one HTML file that loads nothing from the network."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import jinja2

from syntony.errors import InvalidInputError, visible
from syntony.jax_settings import standard_jax_settings
from syntony.report.components import EpisodePlayer, Plot, Section, to_jsonable
from syntony.report.runs import ReportRun, load_report_runs
from syntony.report.sections.comparison import comparison_sections
from syntony.report.sections.learning_curves import learning_sections, overview_section
from syntony.report.sections.link import link_section
from syntony.report.sections.provenance import provenance_section
from syntony.report.sections.team import team_section
from syntony.report.sections.transmission import transmission_section
from syntony.report.study_page import study_sections
from syntony.studies.study_folder import StudyFolder
from syntony.systems.system import (
    ActsInEpisodes,
    TransmitsMessages,
    TransmitsObservations,
)
from syntony.training.run import Run
from syntony.visualization import output_files
from syntony.visualization.output_files import PrintFn

TEMPLATE_DIR = Path(__file__).parent / "templates"
SCRIPT_FILES = ("page.js", "scene.js", "player.js", "start.js")
MAX_REPORT_BYTES = 5_000_000
"""Size of a report at most, so that it can be sent by mail."""

CAPABILITY_SECTIONS: tuple[tuple[type, Callable[[int, ReportRun], Section]], ...] = (
    (ActsInEpisodes, team_section),
    (TransmitsObservations, transmission_section),
    (TransmitsMessages, link_section),
)
"""Capability of a system, and its section of a run, in their order on the page."""


@standard_jax_settings()
def write_report(
    runs: Sequence[str | Run],
    out: Path | None = None,
    *,
    print_fn: PrintFn = lambda _: None,
    trust: bool = False,
) -> Path:
    """Writes a report on runs, or on a study; returns its file.

    Args:
        runs: run folders; or runs, as `load` gives them; or the folder of one study.
        out: the file; by default `report.html`, in the folder of a single run or of a
            study, and in the working directory otherwise.
        print_fn: called with a line of progress for every run, or of what is missing.
        trust: whether to import what the runs name; see `load`.

    Raises:
        InvalidInputError: a folder holds no run, or the file cannot be written.
    """
    if (study := _single_study(runs)) is not None:
        out = study.path / "report.html" if out is None else out
        names = visible(study.path.resolve().name)
        return _write_page(out, names, study_sections(study))
    report_runs = load_report_runs(runs, trust=trust)
    folder = report_runs[0].stored.path if len(report_runs) == 1 else Path()
    out = folder / "report.html" if out is None else out
    output_files.validate_output_path(out, "report", "report.html")
    names = ", ".join(report_run.label for report_run in report_runs)
    return _write_page(out, names, build_sections(report_runs, print_fn))


def _single_study(runs: Sequence[str | Run]) -> StudyFolder | None:
    """The study, where the only argument is its folder.

    Raises:
        InvalidInputError: it is given beside others.
    """
    folders = [StudyFolder(Path(run)) for run in runs if isinstance(run, str)]
    studies = [folder for folder in folders if folder.contains_study()]
    if studies and len(runs) > 1:
        raise InvalidInputError(
            f"{studies[0].path} is a study; expected it alone, or runs"
        )
    return studies[0] if studies else None


def _write_page(path: Path, names: str, sections: Sequence[Section]) -> Path:
    output_files.validate_output_path(path, "report", "report.html")
    page = render_page(names, sections).encode()
    if len(page) > MAX_REPORT_BYTES:
        raise InvalidInputError(
            f"the report would have {len(page) / 1e6:.1f} MB; expected fewer runs, so "
            f"that it has at most {MAX_REPORT_BYTES / 1e6:g}"
        )
    output_files.write_file(path, page)
    return path


def build_sections(
    report_runs: Sequence[ReportRun], print_fn: PrintFn
) -> list[Section]:
    """Sections of a report, in their order on the page.

    Results first: scores, comparison, what each run has learned; then learning curves,
    and the settings.
    """
    sections = [*comparison_sections(report_runs), overview_section(report_runs)]
    for index, report_run in enumerate(report_runs):
        run = report_run.stored.run
        if run is None:
            error = report_run.stored.load_error
            print_fn(f"{report_run.label}: only logged metrics are shown; {error}")
            continue
        print_fn(f"evaluating {report_run.label}")
        sections += [
            make_section(index, report_run)
            for capability, make_section in CAPABILITY_SECTIONS
            if isinstance(run.system, capability)
        ]
    sections += learning_sections(report_runs)
    return [*sections, provenance_section(report_runs)]


def render_page(names: str, sections: Sequence[Section]) -> str:
    """Renders the HTML page.

    Args:
        names: labels of the runs, or the name of the study.
        sections: its sections, in order.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE_DIR),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
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
    """Source of Plotly's JavaScript library."""
    # Imported late: it takes longer to import than everything else here.
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def gzip_base64(text: str) -> str:
    """Text compressed with gzip, in base64; reproducible, as it has no time stamp."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _page_data(sections: Sequence[Section]) -> Iterator[tuple[str, object]]:
    """Yields the data that the scripts draw, by the id of its HTML element."""
    for section in sections:
        for index, part in enumerate(section.parts):
            element_id = f"{section.id}-{index}"
            if isinstance(part, Plot):
                slider = part.slider._asdict() if part.slider else None
                content = {"figure": part.figure, "slider": slider}
                yield element_id, {"name": part.name} | content
            elif isinstance(part, EpisodePlayer):
                yield element_id, {"name": part.name, "episode": part.data}
