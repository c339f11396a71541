"""Simulating: what a team's schedules, conditions and freshness policies do over time, in a unit test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hedgerow.binding import bind
from hedgerow.bound import Surroundings
from hedgerow.declarations import collect
from hedgerow.discovery import load_location
from hedgerow.errors import DefinitionError, RequestError
from hedgerow.identifiers import is_name
from hedgerow.manifest.build import build_manifest
from hedgerow.manifest.lowering import Sources
from hedgerow.manifest.model import Environment, Manifest

TEAM = "team"


def simulate(
    definitions: Any,
    *,
    start: str | datetime,
    durations: Mapping[str, str | timedelta] | None = None,
    materialized: bool = True,
) -> Any:
    """A simulation of what is launched, by the scheduler's own evaluator on a virtual clock that begins at `start`; no server, no code of
    assets is run. Needs the extra `scheduler`.

    `definitions` is a module, a list of declared objects, the folder of a code location, a manifest, or a mapping from team to one of
    these. Steps end well as soon as they begin, unless `durations` (by asset key) says how long they take, and `fail` that they fail.
    At first everything is materialized, unless `materialized` is False. The reference of `hr` ends with what can be done with it.

    >>> import hedgerow as hr
    >>> @hr.asset
    ... def orders() -> int: ...
    >>> @hr.asset(automation=hr.eager())
    ... def totals(orders: int) -> int: ...
    >>> sim = simulate([orders, totals], start="2026-01-01T06:00+01:00")
    >>> [each.assets for each in sim.materialize("orders")]
    [{'orders': (None,)}, {'totals': (None,)}]
    """
    manifests = manifests_of(definitions)
    try:
        module = import_module("hedgerow_scheduler.testing.simulation")
    except ModuleNotFoundError as error:
        raise RequestError.of(
            "HR-D027",
            f"A simulation needs the scheduler's code: {error}.",
            "Install hedgerow[scheduler] beside the tests.",
        ) from error
    return module.Simulation(manifests, start, durations=durations, materialized=materialized)


def manifests_of(definitions: Any) -> list[Manifest]:
    """What `simulate` takes, as manifests; DefinitionError with all that is wrong."""
    by_team = definitions if isinstance(definitions, Mapping) else {TEAM: definitions}
    return [manifest_of(team, each) for team, each in by_team.items()]


def manifest_of(team: str, definitions: Any) -> Manifest:
    """What a team declares; DefinitionError with all that is wrong."""
    if isinstance(definitions, Manifest):
        return definitions
    if isinstance(definitions, str | Path):
        return load_location(Path(definitions)).manifest
    if not is_name(team):
        raise RequestError.of("HR-D022", f"{team!r} is no name of a team.", 'Give one such as "sales".')
    items: Sequence[Any] = definitions if isinstance(definitions, list | tuple) else [definitions]
    declared = collect([one for one in items if isinstance(one, ModuleType)])
    for item in (one for one in items if not isinstance(one, ModuleType)):
        if not declared.add(item, getattr(item, "__name__", "")):
            raise RequestError.of(
                "HR-D022",
                f"{item!r} declares nothing.",
                "Give modules, objects declared with hr.asset, hr.schedule and the like, or the folder of a location.",
            )
    bound = bind(declared, Surroundings(complete=False), Sources())
    if bound.problems:
        raise DefinitionError(bound.problems)
    return build_manifest(team, team, bound, (), Environment())
