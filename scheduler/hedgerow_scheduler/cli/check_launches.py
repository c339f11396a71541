"""Schedules, sensors and reactions of checked locations compared with what they speak of, so that nobody learns at night that it is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeAlias

import msgspec

from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.model import Manifest, Reaction, Schedule, Sensor
from hedgerow.protocol.sensing import RequestedRun
from hedgerow_scheduler.automation.schedules import Place, request_of
from hedgerow_scheduler.automation.sensors import request_of_run
from hedgerow_scheduler.cli.client import Client
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.selection import resolve, select_keys
from hedgerow_scheduler.planning.steps import plan_steps

# Says whether the platform knows everything that a selection names; None when it is not asked.
Elsewhere: TypeAlias = Callable[[str], bool] | None
UNKNOWN = "HR-Q001"
NOT_YET = "HR-Q101"  # of what is partitioned, nothing is complete


def launch_problems(
    manifest: Manifest, checked: Iterable[Manifest], now: datetime, elsewhere: Elsewhere, sees_all: bool
) -> Iterator[Problem]:
    """What a location's schedules and sensors would fail with, had its code been deployed together with the others `checked`.

    Names that are unknown there are asked for `elsewhere`; without that they are mistakes only if `sees_all`.
    """
    catalog = Catalog(PublishedManifest("", one) for one in checked)
    for one, error in _failures(manifest, catalog, now):
        if error.code == UNKNOWN and (elsewhere(one.selection) if elsewhere is not None else not sees_all):
            continue
        for problem in error.problems:
            yield msgspec.structs.replace(
                problem,
                code="HR-D026" if problem.code == UNKNOWN else problem.code,
                message=f"{type(one).__name__} '{one.name}': {problem.message}",
                file=one.source.file if one.source else None,
                line=one.source.line if one.source else None,
            )


def unknown_selections(manifest: Manifest, checked: Iterable[Manifest], now: datetime) -> list[str]:
    """The selections of schedules and sensors that name something which no checked location declares."""
    catalog = Catalog(PublishedManifest("", one) for one in checked)
    return [one.selection for one, error in _failures(manifest, catalog, now) if error.code == UNKNOWN]


def known_to(client: Client) -> Callable[[str], bool]:
    """Whether a platform knows everything that a selection names."""

    def ask(selection: str) -> bool:
        try:
            client.get("/assets", select=[selection], limit=1)
        except RequestError:
            return False
        return True

    return ask


def _failures(
    manifest: Manifest, catalog: Catalog, now: datetime
) -> Iterator[tuple[Schedule | Sensor | Reaction, RequestError]]:
    for schedule in manifest.schedules:
        place = Place(manifest.team, manifest.location, schedule.name)
        try:
            plan_steps(catalog, request_of(place, schedule, now, catalog.jobs), now)
        except RequestError as error:
            if error.code != NOT_YET or schedule.partitions is None:
                yield schedule, error
    for sensor in manifest.sensors:
        place = Place(manifest.team, manifest.location, sensor.name)
        try:
            if sensor.selection:  # which partitions, only its requests say
                resolve(catalog, request_of_run(place, sensor, RequestedRun(), catalog.jobs).selection)
        except RequestError as error:
            yield sensor, error
    for reaction in manifest.reactions:
        try:
            if reaction.selection:
                select_keys(catalog, tuple(reaction.selection.split()))
        except RequestError as error:
            yield reaction, error
