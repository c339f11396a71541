"""Jobs: named selections of assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hedgerow.arguments import Arguments
from hedgerow.errors import Problem
from hedgerow.manifest.bounds import MAX_AT_ONCE
from hedgerow.site import Site, of_caller


@dataclass(frozen=True)
class JobDefinition:
    """A selection under a name of its own."""

    name: str
    selection: str
    site: Site
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    max_concurrent: int | None = None
    problems: tuple[Problem, ...] = ()


def job(
    name: str,
    selection: str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    max_concurrent: int | None = None,
) -> JobDefinition:
    """Give a selection a name; runs of the job carry `tags` and have at most `max_concurrent` steps at once.

    A run of exactly `job:NAME` takes the cap over unless it is launched with one of its own.

    >>> job("nightly", "group:sales+", max_concurrent=4).selection
    'group:sales+'
    """
    arguments = Arguments(f"Job {name!r}", of_caller())
    if not arguments.text("selection", selection, "*").strip():
        arguments.wrong("selection", selection, 'Give a selection, such as "group:sales+".')
    return JobDefinition(
        arguments.name("name", name),
        selection,
        arguments.site,
        arguments.text("description", description),
        arguments.text_map("tags", tags or {}),
        None
        if max_concurrent is None
        else arguments.whole("max_concurrent", max_concurrent, 1, least=1, most=MAX_AT_ONCE),
        tuple(arguments.problems),
    )
