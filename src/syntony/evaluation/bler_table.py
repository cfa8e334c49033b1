"""Cells of a table of block error rates: of a link, of references, and of a bound."""

from collections.abc import Sequence

from syntony.evaluation.bler_curves import LinkPoint


def rate_cells(point: LinkPoint) -> dict[str, str]:
    """Error rates at one SNR as text, by column title; the first is the link's.

    Raises:
        KeyError, TypeError, ValueError: the point is incomplete.
    """
    cells = {"learned": format_rate(point["bler"])}
    if "ml_bler" in point:
        cells["by ML"] = format_rate(point["ml_bler"])
        ratio = point.get("ml_ratio")
        cells["/ ML"] = "" if ratio is None else f"{ratio:.2f}"
    for name, row in point["baselines"].items():
        cells[name] = format_rate(row["bler"])
    if point["bounds"]:
        # The first is the tightest.
        cells["bound"] = format_rate(next(iter(point["bounds"].values())))
    return cells


def snr_cell(point: LinkPoint) -> str:
    """SNR in dB as text; empty for a channel without one."""
    return "" if point["snr_db"] is None else f"{point['snr_db']:g}"


def format_rate(rate: float) -> str:
    """Error rate as text."""
    return f"{rate:.2e}" if rate < 0.01 else f"{rate:.4f}"


def reference_sources(points: Sequence[LinkPoint]) -> list[str]:
    """Where the error rates of each reference are from, e.g. "QPSK: closed form"."""
    sources = {
        name: sorted({str(point["baselines"][name].get("source")) for point in points})
        for name in points[0]["baselines"]
    }
    return [f"{name}: {', '.join(found)}" for name, found in sources.items()]
