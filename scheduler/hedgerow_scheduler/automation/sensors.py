"""Sensors: the states of one, when it is evaluated next, and what an answer asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Job, Sensor
from hedgerow.protocol.sensing import RequestedRun
from hedgerow_scheduler.automation.schedules import Place, job_of
from hedgerow_scheduler.planning.request import RunRequest

LONGEST_BACKOFF = timedelta(minutes=10)  # unless a sensor is evaluated more rarely anyway
ASKED_AGAIN = timedelta(seconds=30)  # after an evaluation was lost, which is no fault of the sensor's
SHOWN_RUNS = 20  # of those that an evaluation launched: all of them carry its id as a tag


class SensorState(StrEnum):
    """Where a sensor stands. Only what was recorded of its last evaluation outlives a leader: whatever was asked is asked again."""

    OFF = "off"
    WAITING = "waiting"
    ASKED = "asked"
    ANSWERED = "answered"


class Outcome(StrEnum):
    """What an evaluation came to."""

    LAUNCHED = "launched"
    SKIPPED = "skipped"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"


# Each arrow with what moves a sensor along it. The leader moves all of them.
SENSOR_ARROWS: dict[tuple[SensorState, SensorState], str] = {
    (SensorState.OFF, SensorState.WAITING): "it was switched on: it is due at once",
    (SensorState.WAITING, SensorState.ASKED): "it is due, nothing holds it back, and a worker serves the code in force",
    (SensorState.OFF, SensorState.ASKED): "someone asks for one evaluation of a sensor that is off",
    (SensorState.ASKED, SensorState.ANSWERED): "it answered: what it asks for is being planned",
    (SensorState.ASKED, SensorState.WAITING): "it failed, ran past its timeout or was lost: the cursor stays",
    (SensorState.ANSWERED, SensorState.WAITING): "recorded: its runs, dedupe keys and cursor; or, if one can't be planned, nothing but that",
    (SensorState.WAITING, SensorState.OFF): "it was switched off",
    (SensorState.ASKED, SensorState.OFF): "recorded, or no longer declared: what it answers then counts for nothing",
    (SensorState.ANSWERED, SensorState.OFF): "recorded, or no longer declared",
}  # fmt: skip


class SensorStanding(msgspec.Struct, frozen=True):
    """What is recorded of a sensor: where it left off after `number` evaluations, of which the last `failures` in a row failed; when
    the next one is due (None while it is off).
    """

    team: str
    location: str
    name: str
    cursor: str | None = None
    number: int = 0
    failures: int = 0
    last_at: datetime | None = None
    next_at: datetime | None = None

    @property
    def place(self) -> Place:
        """Which sensor it is."""
        return Place(self.team, self.location, self.name)


def reconcile_sensors(
    standing: Mapping[str, SensorStanding], declared: Mapping[str, tuple[Place, Sensor]], now: datetime, enabled: bool
) -> Iterator[SensorStanding]:
    """What is to be recorded anew, so that `standing` fits what is declared, both by `team/name`; `enabled` False switches all off.

    One that is new, or was switched on, is due at once; what is no longer declared is off, and keeps its cursor for when it comes back.
    """
    for title, (place, sensor) in declared.items():
        known = standing.get(title) or SensorStanding(*place)
        latest = now + wait_after(Outcome.FAILED, sensor, known.failures)
        is_on = enabled and sensor.enabled
        next_at = min(known.next_at or now, latest) if is_on else None
        fresh = msgspec.structs.replace(known, location=place.location, next_at=next_at)
        if fresh != standing.get(title):
            yield fresh
    for title, known in standing.items():
        if title not in declared and known.next_at is not None:
            yield msgspec.structs.replace(known, next_at=None)


def wait_after(outcome: Outcome, sensor: Sensor, failures: int) -> timedelta:
    """From the beginning of an evaluation to that of the next: twice as long after each failure in a row but the first."""
    every = timedelta(milliseconds=sensor.every_ms)
    if outcome is Outcome.LOST:
        return min(every, ASKED_AGAIN)
    doubled: timedelta = every * 2 ** min(max(0, failures - 1), 20)
    return max(every, min(doubled, LONGEST_BACKOFF))


def after(
    known: SensorStanding, sensor: Sensor, outcome: Outcome, began: datetime, now: datetime, cursor: str | None = None
) -> SensorStanding:
    """The sensor once an evaluation that `began` then is recorded; `cursor` None leaves it where it was."""
    failed = outcome in (Outcome.FAILED, Outcome.TIMED_OUT)
    failures = known.failures + 1 if failed else known.failures if outcome is Outcome.LOST else 0
    base = now if outcome is Outcome.LOST else began
    return msgspec.structs.replace(
        known,
        cursor=known.cursor if cursor is None else cursor,
        number=known.number + 1,
        failures=failures,
        last_at=began,
        next_at=None if known.next_at is None else max(base + wait_after(outcome, sensor, failures), now),
    )


def request_of_run(place: Place, sensor: Sensor, run: RequestedRun, jobs: Mapping[str, Job]) -> RunRequest:
    """What a requested run comes to; RequestError HR-Q343 when neither it nor the sensor says what to make."""
    selection = run.selection or ((sensor.selection,) if sensor.selection else ())
    if not selection:
        raise RequestError.of(
            "HR-Q343",
            f"A run request of sensor '{place.title}' says neither assets nor selection, and the sensor has no target.",
            "Give it one of them, or the sensor a target: @hr.sensor(target=...).",
        )
    job = job_of(place, " ".join(selection), jobs)
    return RunRequest((f"job:{job}",) if job is not None else selection, run.partitions, config=run.config)


def tags_of_run(
    place: Place, sensor: Sensor, run: RequestedRun, request: RunRequest, evaluation_id: str, jobs: Mapping[str, Job]
) -> dict[str, str]:
    """The tags of a run: those of its job, the sensor's and its own, and which evaluation of what asked for it."""
    job = jobs.get(job_of(place, " ".join(request.selection), jobs) or "")
    named = {"sensor": place.title, "evaluation": evaluation_id}
    if run.dedupe_key:
        named["dedupe_key"] = run.dedupe_key
    return {**(job.tags if job is not None else {}), **sensor.tags, **run.tags, **named}


def author_of_sensor(place: Place) -> str:
    """Who launches the runs of a sensor."""
    return f"sensor {place.title}"
