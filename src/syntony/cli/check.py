"""Checks that a task, a channel or a system keeps the rules of its protocol.

ID is one of `syntony list`, or python:MODULE:NAME of your own: a task's class, with
parameters as ?NAME=VALUE&...; a channel's function, object or class; a system's class.
Several hundred random calls take a few seconds. One line is printed for every rule that
does not hold; the exit code is then 2.
"""

import inspect
import json
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, cast

import tyro

from syntony.cli.arguments import BoolFlag
from syntony.cli.console import stdout_to_stderr
from syntony.cli.help_text import TRACEBACK_VARIABLE
from syntony.errors import (
    InvalidInputError,
    unknown_name_error,
)
from syntony.plugins import PREFIX, import_user_object

if TYPE_CHECKING:
    import syntony.conformance.suite
    import syntony.systems.system

SMALL_TASK = "Foraging-2s-5x5-2p-1f-coop?time_limit=5"
TASK_ATTRIBUTES = ("reset", "step", "action_mask", "num_agents")
SYSTEM_ATTRIBUTES = ("init", "step", "evaluate", "num_steps")
"""Attributes by which a user's task and a user's system are told apart."""
Protocol = Literal["task", "channel", "system"]


@dataclass(frozen=True)
class Check:
    """Arguments of `syntony check`."""

    id: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ID")]
    """A task, a channel or a system."""
    protocol: Annotated[
        Literal["auto", "task", "channel", "system"],
        tyro.conf.arg(name="as", metavar="KIND"),
    ] = "auto"
    """Whose rules are checked: task, channel, system; auto: by its attributes."""
    task: Annotated[str, tyro.conf.arg(metavar="ID")] = SMALL_TASK
    """Task of a system that has one."""
    channel: Annotated[str, tyro.conf.arg(metavar="ID")] = "awgn"
    """Channel of a system that has one."""
    json: BoolFlag = False
    """Print one JSON object."""

    def execute(self) -> None:
        """Checks the rules, and prints those that do not hold."""
        # Imported late: --help need not wait for JAX.
        from syntony.training.devices import enable_compilation_cache

        enable_compilation_cache()
        with stdout_to_stderr():
            report = self.check()
        if os.environ.get(TRACEBACK_VARIABLE) == "1":
            for result in report.failures:
                traceback.print_exception(result.error, file=sys.stderr)
        print(to_json(report) if self.json else to_text(report))
        if report.failures:
            sys.exit(2)

    def check(self) -> "syntony.conformance.suite.Report":
        """Results of all rules."""
        from syntony.channels.registry import parse_channel
        from syntony.conformance.channel import check_channel
        from syntony.conformance.system import check_system
        from syntony.conformance.task import check_task
        from syntony.tasks.registry import task
        from syntony.tasks.user_task import make_user_task

        protocol = self.protocol
        if protocol == "auto":
            protocol = detect_protocol(self.id)
        if protocol == "system":
            name = self.id.partition("?")[0]
            return check_system(self.id, self.make_system(name))
        if protocol == "channel":
            return check_channel(parse_channel(self.id))
        is_own = self.id.startswith(PREFIX)
        return check_task(make_user_task(self.id) if is_own else task(self.id))

    def make_system(self, name: str) -> "syntony.systems.system.System":
        """The system, with a small task or a channel where it has one."""
        from syntony import identifiers
        from syntony.channels.registry import channel
        from syntony.systems.registry import system_class
        from syntony.tasks.registry import task

        kind = system_class(name)
        fields: dict[str, object] = {}
        parameters = inspect.signature(kind).parameters
        if "task" in parameters:
            fields["task"] = task(self.task)
        if "channel" in parameters:
            fields["channel"] = channel(self.channel)
        return identifiers.make_config(
            self.id,
            cast("type[syntony.systems.system.System]", kind),
            "setting",
            **fields,
        )


def detect_protocol(id: str) -> Protocol:
    """Protocol of what an id names.

    Raises:
        InvalidInputError: it is of none, or the id is unknown.
    """
    from syntony.channels.registry import CHANNEL_FAMILIES
    from syntony.systems.registry import SYSTEMS
    from syntony.tasks.registry import task_families

    if id.startswith(PREFIX):
        return _protocol_of_object(
            id, import_user_object(id, "task, channel or system")
        )
    name = id.partition("?")[0].partition("+")[0]
    if name in SYSTEMS:
        return "system"
    if name in CHANNEL_FAMILIES:
        return "channel"
    if id.startswith(tuple(family.prefix for family in task_families())):
        return "task"
    examples = [family.example for family in task_families()]
    valid = [*SYSTEMS, *CHANNEL_FAMILIES, *examples]
    raise unknown_name_error("system, channel or task", id, valid)


def _protocol_of_object(id: str, value: object) -> Protocol:
    def has(names: tuple[str, ...]) -> bool:
        fields = getattr(value, "__dataclass_fields__", {})
        return all(hasattr(value, name) or name in fields for name in names)

    if has(TASK_ATTRIBUTES):
        return "task"
    if has(SYSTEM_ATTRIBUTES):
        return "system"
    if callable(value):
        return "channel"
    raise InvalidInputError(
        f"{id} is of type {type(value).__name__}; expected a task, channel or system"
    )


def to_text(report: "syntony.conformance.suite.Report") -> str:
    """One line for every rule that does not hold, and a summary."""
    lines = [f"{result.name}: {result.message}" for result in report.failures]
    num_held = len(report.results) - len(report.failures)
    parts = ["1 rule holds" if num_held == 1 else f"{num_held} rules hold"]
    if report.failures:
        parts += [f"{len(report.failures)} do not"]
    if report.num_unchecked:
        parts += [f"{report.num_unchecked} not checked"]
    parts += [f"{report.num_calls:,} calls", f"{report.wall_s:.1f} s"]
    return "\n".join([*lines, f"{report.protocol} {report.id}: {', '.join(parts)}"])


def to_json(report: "syntony.conformance.suite.Report") -> str:
    """Results of all rules as one JSON object."""
    rules = [
        {"name": result.name, "holds": result.holds, "message": result.message}
        for result in report.results
    ]
    return json.dumps(
        {
            "protocol": report.protocol,
            "id": report.id,
            "rules": rules,
            "num_unchecked": report.num_unchecked,
            "num_calls": report.num_calls,
            "wall_s": round(report.wall_s, 3),
        }
    )
