"""Schedules: when a selection of assets is launched by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec

from hedgerow.arguments import Arguments
from hedgerow.cron import Cron, cron
from hedgerow.errors import DefinitionError, Problem
from hedgerow.identifiers import is_name
from hedgerow.jobs import JobDefinition
from hedgerow.manifest import model
from hedgerow.metadata import MetadataError, normalise
from hedgerow.site import Site, of_caller

CATCH_UP = ("skip", "last", "all")
NEVER = Cron("0 0 1 1 *")  # stands in for an expression that was refused


@dataclass(frozen=True)
class ScheduleDefinition:
    """A selection with its times; `lowered` is what the manifest carries, `job` the job that it launches, if it is one."""

    lowered: model.Schedule
    site: Site
    job: JobDefinition | None = None
    problems: tuple[Problem, ...] = field(default=())


def schedule(
    target: JobDefinition | str,
    cron: str,
    *,
    tz: str = "UTC",
    name: str | None = None,
    partitions: Literal["latest"] | None = "latest",
    catch_up: Literal["skip", "last", "all"] = "last",
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    enabled: bool = True,
    checks_only: bool = False,
) -> ScheduleDefinition:
    """Launch a job or a selection whenever `cron` (exactly five fields) comes due on the clocks of `tz`. Its name is that of the
    variable it is bound to, unless `name` is given.

    Of partitioned assets, `partitions="latest"` makes the last window that is complete at the tick, and all keys of the other
    dimensions; with None nothing in the selection may be partitioned. Ticks that came due while nothing scheduled are launched
    by `catch_up`: `"skip"` none of them, `"last"` the latest one only, `"all"` each of them, the oldest first.
    With `checks_only` a tick makes nothing: it runs the checks of what is stored.

    >>> schedule("group:sales", "0 2 * * MON-FRI", tz="Europe/Oslo", name="nightly").lowered.cron
    '0 2 * * MON-FRI'
    """
    arguments = Arguments(f"Schedule {name!r}" if name is not None else "hr.schedule", of_caller())
    times = _times(cron, tz, arguments)
    lowered = model.Schedule(
        name="" if name is None else arguments.name("name", name),
        selection=_selection(target, arguments),
        cron=times.expression,
        tz=times.tz,
        partitions=arguments.choice("partitions", partitions, ("latest", None), "latest"),
        catch_up=cast("Any", arguments.choice("catch_up", catch_up, CATCH_UP, "last")),
        config=_config(config or {}, arguments),
        tags=arguments.text_map("tags", tags or {}),
        description=arguments.text("description", description),
        enabled=arguments.flag("enabled", enabled, True),
        checks_only=arguments.flag("checks_only", checks_only, False),
    )
    if lowered.checks_only and lowered.config:
        arguments.wrong("config", config, "Leave it out: with checks_only nothing is made that could take it.")
    job = target if isinstance(target, JobDefinition) else None
    return ScheduleDefinition(lowered, arguments.site, job, tuple(arguments.problems))


def _times(expression: str, tz: str, arguments: Arguments) -> Cron:
    try:
        return cron(expression, tz)
    except DefinitionError as error:
        for problem in error.problems:
            arguments.refuse(problem.code, f"{arguments.what}: {problem.message}", problem.remedy)
        return NEVER


def _selection(target: object, arguments: Arguments) -> str:
    if isinstance(target, JobDefinition):
        return f"job:{target.name}"
    if isinstance(target, str) and target.strip():
        return target
    arguments.wrong("target", target, 'Give a job, or a selection such as "group:sales+".')
    return "*"


def _config(value: Mapping[str, Any], arguments: Arguments) -> dict[str, Any]:
    try:
        return normalise(value)
    except MetadataError as error:
        what = str(error).removeprefix("metadata ")
        arguments.refuse(
            "HR-D012", f"{arguments.what}: config {what}.", "Give a small mapping from asset keys to config."
        )
        return {}


def lower_schedule(
    definition: ScheduleDefinition, variable: str, source: model.Source, jobs: Mapping[str, model.Job]
) -> tuple[model.Schedule, list[Problem]]:
    """A schedule as a manifest carries it, named by the variable it is bound to unless it has a name; with what is wrong there."""
    name = definition.lowered.name or variable
    arguments = Arguments(f"Schedule {name!r}", definition.site)
    if not name:
        of = definition.lowered.selection
        arguments.refuse(
            "HR-D002", f"A schedule of {of!r} has no name.", 'Give it one, name="nightly", or bind it to a variable.'
        )
    elif not is_name(name):
        arguments.name("name", name)
    job = definition.job
    if job is not None and job.name not in jobs:
        arguments.refuse(
            "HR-D026",
            f"{arguments.what} is of job {job.name!r}, which no module declares.",
            "Bind the job to a name in one of the location's modules.",
        )
    source = msgspec.structs.replace(source, name=name)
    return msgspec.structs.replace(definition.lowered, name=name, source=source), arguments.problems
