"""Sessions of a run: which versions, commits and machines trained which steps."""

from collections.abc import Mapping, Sequence

from syntony.training.integrity import LogRecord, stored_sessions
from syntony.training.safe_io import JsonObject

SESSIONS_KEY = "sessions"
"""Entry of `settings.json`: one object for each change of the fields below."""
PROVENANCE_FIELDS = ("versions", "commit", "hardware", "command")
"""Fields of a session; starts that agree in them are one session."""


def begin_session(
    settings: Mapping[str, object],
    provenance: Mapping[str, object],
    *,
    steps: Sequence[int],
    log: LogRecord,
    damage: Sequence[str],
) -> JsonObject:
    """Settings in which this start of the run is recorded.

    Args:
        settings: content of `settings.json`.
        provenance: that of this process, by `collect_provenance`.
        steps: the step of each seed.
        log: the metrics log as it is now.
        damage: what was found to be damaged.
    """
    sessions = stored_sessions(settings)
    if not sessions and any(steps):
        # A run of a version that stored only its first session.
        sessions = [_session(settings) | {"from_step": 0, "starts": 0}]
    sessions = end_session(sessions, max(steps))
    now = _session(provenance)
    if not sessions or _session(sessions[-1]) != now:
        sessions.append(now | {"from_step": min(steps), "starts": 0})
    last = sessions[-1]
    starts = last.get("starts")
    sessions[-1] = last | {
        "to_step": None,
        "starts": (starts if isinstance(starts, int) else 0) + 1,
        "lines": log.lines,
        "lines_sha256": log.lines_sha256.hex(),
    }
    if damage:
        known = last.get("damage")
        told = [*known] if isinstance(known, list) else []
        sessions[-1]["damage"] = [*dict.fromkeys([*told, *damage])]
    return {**settings, SESSIONS_KEY: sessions}


def end_session(sessions: Sequence[JsonObject], step: int) -> list[JsonObject]:
    """Sessions of which the last, if any, ends at a step.

    Args:
        sessions: the sessions so far.
        step: highest step of a seed.
    """
    return [*sessions[:-1], *(last | {"to_step": step} for last in sessions[-1:])]


def _session(entries: Mapping[str, object]) -> JsonObject:
    return {name: entries[name] for name in PROVENANCE_FIELDS if name in entries}
