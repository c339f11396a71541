"""Evaluating sensors: asks for those that are due, and records what each answered together with the runs that it asks for."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.manifest.model import Sensor
from hedgerow.protocol.sensing import SensorAnswer, SensorQuestion
from hedgerow_scheduler.automation.agenda import Agenda
from hedgerow_scheduler.automation.pauses import Pauses
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.automation.sensors import (
    SHOWN_RUNS,
    Outcome,
    SensorStanding,
    SensorState,
    after,
    reconcile_sensors,
)
from hedgerow_scheduler.ingest.sensing import read_answer
from hedgerow_scheduler.lifecycle.changes import CommandOutcome, SensorEvaluation, SensorMove
from hedgerow_scheduler.lifecycle.evaluations import Answer
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.store import Transaction
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.sensor_launches import Launch

KIND: Final = "sensor"
ASKED_PER_CYCLE = 50
PLANNING_S = 0.05  # of a cycle, after which the loop goes on to others
LOOK_AGAIN = timedelta(seconds=5)  # at one that is paused, or whose location has no worker
# Commands that wait for evaluations: as long as they do, they are among the few that each look reads.
WAITING_COMMANDS = 200
WAITING_OF_ONE = 5
SHOWN_CURSOR = 200  # characters
log = logging.getLogger("hedgerow.scheduler")


class Asked(msgspec.Struct):
    """An evaluation that is under way, and the commands that wait for it."""

    title: str
    at: datetime
    commands: tuple[int, ...]
    log: str = ""
    duration_ms: int = 0
    launch: Launch | None = None


class Sensors:
    """The sensors of one term. What they decide goes into the snapshot's changes: runs, dedupe keys and cursors are recorded together."""

    def __init__(
        self, snapshot: Snapshot, standing: Iterable[SensorStanding], enabled: bool, new_id: Callable[[], str]
    ) -> None:
        self._snapshot, self._enabled, self._new_id = snapshot, enabled, new_id
        self._standing = {one.place.title: one for one in standing}
        self._declared: Mapping[str, tuple[Place, Sensor]] = {}
        self._asked: dict[str, Asked] = {}
        self._under_way: dict[str, str] = {}  # the evaluation of each sensor that has one
        self._answered: deque[str] = deque()
        self._wanted: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
        self._agenda = Agenda()
        self._catalog: Catalog | None = None
        self.pauses = Pauses()

    def next_due(self) -> datetime | None:
        """When the next sensor is to be evaluated."""
        return self._agenda.next()

    def turn(self, transaction: Transaction, now: datetime) -> bool:
        """Takes what was answered, plans what is asked for, records what is planned whole, and asks for what is due. Returns whether
        there is more to plan at once.
        """
        if self._snapshot.catalog is not self._catalog:
            self._take_up(now)
        self._hear(self._snapshot.evaluations.take(KIND), transaction, now)
        until = clock.monotonic() + PLANNING_S
        while self._answered and clock.monotonic() < until:
            self._plan(now, transaction.stay)
        for place in self._agenda.take(now, ASKED_PER_CYCLE):
            try:
                self._ask(place, now)
            except (
                Exception
            ):  # a defect: of this sensor alone, which is not evaluated until other code comes into force
                log.exception("sensor %s can't be evaluated", place.title)
        return bool(self._answered)

    def request(self, command: PendingCommand, now: datetime) -> dict[str, Any] | None:
        """Takes a command to evaluate a sensor now; what becomes of it if that is known at once. It is answered with the evaluation."""
        title = f"{command.body.get('team', '')}/{command.body.get('name', '')}"
        if self._snapshot.catalog is not self._catalog:
            self._take_up(now)
        if title not in self._declared:
            return {"refused": f"No team declares a sensor '{title[:160]}'."}
        waiting = [*self._wanted.get(title, ()), *(each for asked in self._asked.values() for each in asked.commands)]
        if command.id not in waiting:
            if len(waiting) >= WAITING_COMMANDS or len(self._wanted.get(title, ())) >= WAITING_OF_ONE:
                return {
                    "refused": f"Too many ask for evaluations; sensor '{title}' will be evaluated for those before."
                }
            self._wanted[title] += (command.id,)
            if self._state(title) in (SensorState.WAITING, SensorState.OFF):
                self._agenda.put_at(self._declared[title][0], now)
        return None

    # -- what is declared --------------------------------------------------------------------------------------------

    def _take_up(self, now: datetime) -> None:
        """Other code has come into force: what is no longer declared is forgotten, with whatever it still answers."""
        self._catalog = self._snapshot.catalog
        self._declared = {
            place.title: (place, sensor)
            for (team, location), published in self._catalog.published.items()
            for sensor in published.manifest.sensors
            for place in [Place(team, location, sensor.name)]
        }
        for fresh in reconcile_sensors(self._standing, self._declared, now, self._enabled):
            self._standing[fresh.place.title] = fresh
            self._snapshot.changes.sensors.append(fresh)
        for id, asked in list(self._asked.items()):
            if asked.title not in self._declared:
                self._forget(id)
        for title in self._wanted.keys() - self._declared.keys():
            del self._wanted[title]  # whoever asked is refused at the next look
        self._agenda = Agenda()
        for title in self._declared:
            self._put(title, now)

    def _state(self, title: str) -> SensorState:
        if (id := self._under_way.get(title)) is not None:
            return SensorState.ASKED if self._asked[id].launch is None else SensorState.ANSWERED
        known = self._standing.get(title)
        return SensorState.WAITING if known is not None and known.next_at is not None else SensorState.OFF

    def _forget(self, evaluation_id: str) -> None:
        asked = self._asked.pop(evaluation_id)
        del self._under_way[asked.title]
        if evaluation_id in self._answered:
            self._answered.remove(evaluation_id)
        self._tell(asked.commands, {"refused": f"Sensor '{asked.title}' is no longer declared."})

    def _put(self, title: str, now: datetime) -> None:
        """Onto the agenda, unless it is under way."""
        state, place = self._state(title), self._declared[title][0]
        if self._wanted.get(title) and state in (SensorState.WAITING, SensorState.OFF):
            self._agenda.put_at(place, now)
        elif state is SensorState.WAITING:
            due = self._standing[title].next_at
            assert due is not None  # it is on
            self._agenda.put_at(place, due)

    # -- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, place: Place, now: datetime) -> None:
        title, commands = place.title, self._wanted.pop(place.title, ())
        sensor, known = self._declared[title][1], self._standing[title]
        if not commands and self.pauses.over_sensor(place.team, title, now) is not None:
            self._agenda.put_at(place, now + LOOK_AGAIN)
            return
        question = msgspec.Raw(msgspec.json.encode(SensorQuestion(now, known.cursor)))
        timeout = timedelta(milliseconds=sensor.timeout_ms)
        id = self._snapshot.evaluations.ask(place.team, place.location, KIND, sensor.name, question, timeout, now)
        if id is not None:
            self._asked[id], self._under_way[title] = Asked(title, now, commands), id
            return
        self._tell(commands, {"refused": f"No live worker of team '{place.team}' serves location '{place.location}'."})
        if known.next_at is not None:
            self._agenda.put_at(place, now + LOOK_AGAIN)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _hear(self, answers: Iterable[Answer], transaction: Transaction, now: datetime) -> None:
        read: list[tuple[Answer, SensorAnswer]] = []
        for answer in answers:
            asked = self._asked.get(answer.id)
            if asked is None:
                continue
            asked.log, asked.duration_ms = answer.log, answer.duration_ms
            found: SensorAnswer | Problem | None = answer.error
            if answer.reason == "ok":
                is_probe = bool(self._declared[asked.title][1].observes)
                found = read_answer(asked.title, bytes(answer.result), is_probe)
            if isinstance(found, SensorAnswer):
                read.append((answer, found))
            else:
                self._end(answer.id, _outcome(answer), now, error=found)
        keys = {(to.team, to.name, run.dedupe_key) for to, found in read for run in found.runs if run.dedupe_key}
        known: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for team, name, key in transaction.launched_keys(keys) if keys else ():
            known[team, name].add(key)
        for answer, found in read:
            place = self._declared[self._asked[answer.id].title][0]
            self._asked[answer.id].launch = Launch(place, answer.id, found, known[answer.team, answer.name])
            self._answered.append(answer.id)

    def _plan(self, now: datetime, stay: Callable[[], None]) -> None:
        """Goes on with one answer by one run, so that a long one holds up no short one."""
        id = self._answered.popleft()
        asked = self._asked[id]
        launch, (_, sensor) = asked.launch, self._declared[asked.title]
        assert launch is not None  # it answered
        catalog, problem = self._snapshot.catalog, None
        if not launch.is_planned(catalog):
            problem = launch.plan_more(sensor, self._snapshot, now)
        if problem is not None:
            self._end(id, Outcome.FAILED, now, error=problem)
        elif launch.is_planned(catalog):
            stay()
            ids = launch.record(self._snapshot, now, self._new_id)
            self._end(id, Outcome.LAUNCHED if ids else Outcome.SKIPPED, now, launch.answer, ids, launch.deduped)
        else:
            self._answered.append(id)

    def _end(
        self,
        evaluation_id: str,
        outcome: Outcome,
        now: datetime,
        answer: SensorAnswer | None = None,
        runs: tuple[str, ...] = (),
        deduped: int = 0,
        error: Problem | None = None,
    ) -> None:
        """Records an evaluation, and what the sensor goes on from."""
        asked = self._asked.pop(evaluation_id)
        del self._under_way[asked.title]
        place, sensor = self._declared[asked.title]
        known, cursor = self._standing[asked.title], answer.cursor if answer is not None else None
        fresh = self._standing[asked.title] = after(known, sensor, outcome, asked.at, now, cursor)
        moved = cursor if cursor != known.cursor else None
        changes = self._snapshot.changes
        changes.sensor_moves.append(
            SensorMove(
                *(place.team, place.name, known.number, fresh.number),
                *(fresh.cursor, fresh.failures, fresh.last_at, fresh.next_at),
            )
        )
        if sensor.observes and moved is not None:
            changes.observations[sensor.observes] = now
            self._snapshot.news.seen(sensor.observes)
        if (
            sensor.observes and moved is not None and known.cursor is not None
        ):  # the first look tells nothing of a change
            self._snapshot.news.observed(sensor.observes, moved)
        reason = _reason(answer, deduped) if answer is not None and not runs else ""
        changes.sensor_evaluations.append(
            SensorEvaluation(
                evaluation_id, place.team, place.name, asked.at, outcome, len(runs), deduped, runs[:SHOWN_RUNS],
                moved[:SHOWN_CURSOR] if moved is not None else None, reason, error, asked.log,
                asked.duration_ms,
            )
        )  # fmt: skip
        if outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            told = error.message if error is not None else ""
            details = {"sensor": place.name, "outcome": outcome.value, "in_a_row": fresh.failures}
            self._snapshot.happenings.add("sensor_failed", place.team, now, (), told, details)
        self._snapshot.measure("sensor_evaluations", (place.team, outcome.value))
        self._tell(asked.commands, {"evaluation": evaluation_id, "outcome": outcome.value})
        self._put(asked.title, now)

    def _tell(self, commands: Iterable[int], outcome: dict[str, Any]) -> None:
        self._snapshot.changes.commands.extend(CommandOutcome(each, outcome) for each in commands)


def _reason(answer: SensorAnswer, deduped: int) -> str:
    """Why nothing was launched, and what was done instead."""
    counts = {
        "added": sum(len(part.added) for part in answer.keys),
        "removed": sum(len(part.removed) for part in answer.keys),
    }
    changed = ", ".join(f"{count} partitions {what}" for what, count in counts.items() if count)
    return answer.skipped or changed or ("every request was launched before" if deduped else "")


def _outcome(answer: Answer) -> Outcome:
    """What an evaluation without a result came to."""
    return _OUTCOMES.get(answer.reason, Outcome.FAILED)


_OUTCOMES = {"timed_out": Outcome.TIMED_OUT, "lost": Outcome.LOST}
