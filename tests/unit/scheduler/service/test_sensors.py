"""The sensors of a term: when they are asked, and what their answers become."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec
from support.scheduling import NOW, World, asset, chunks, external, manifest, published, uuid

from hedgerow.errors import Problem
from hedgerow.manifest.model import Manifest, Sensor
from hedgerow.partitions.constructors import dynamic
from hedgerow.partitions.model import StaticPartitions
from hedgerow.protocol.events import Evaluated
from hedgerow.protocol.sensing import ChangedKeys, RequestedRun, SensorAnswer, SensorQuestion
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.sensors import Outcome
from hedgerow_scheduler.lifecycle.changes import Changes, SensorEvaluation
from hedgerow_scheduler.lifecycle.model import Worker
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.service import sensor_launches
from hedgerow_scheduler.service.sensors import Sensors

COUNTRIES = StaticPartitions(("no", "se"))
CUSTOMERS = dynamic("customers")
FILES, OTHER = Sensor("files", "totals", every_ms=30_000), Sensor("other", "orders", every_ms=30_000)


class Term:
    """A term of leadership over one team's sensors; the team's worker answers as it is told."""

    def __init__(self, *sensors: Sensor, enabled: bool = True) -> None:
        self.world = World()
        self.world.send("sales", *chunks(self.code(*sensors)))
        self.world.recorded()
        self.keys: dict[tuple[str, str, str], str] = {}
        self.ids = map(uuid, count(500))
        self.sensors = Sensors(self.world.snapshot, (), enabled, lambda: next(self.ids))
        self.serve()

    @staticmethod
    def code(*sensors: Sensor, **more: Any) -> Manifest:
        return manifest(
            "sales",
            external("raw/feed"),
            *(asset("totals"), asset("orders", partitions=COUNTRIES), asset("invoices", partitions=CUSTOMERS)),
            sensors=sensors,
            **more,
        )

    def serve(self) -> None:
        """A worker serves the code in force."""
        in_force = self.world.snapshot.catalog.manifest_hash("sales", "sales") or ""
        worker = Worker("sales", "w", "sales", in_force, ("default",), 1, 0, "ready", NOW, NOW)
        self.world.snapshot.workers["sales", "w"] = worker

    def stay(self) -> None:
        """Nobody takes the lead."""

    def launched_keys(self, keys: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
        return {key: self.keys[key] for key in keys if key in self.keys}

    def turn(self, after: float = 0) -> Changes:
        """One cycle; what it records."""
        self.world.after(seconds=after)
        snapshot = self.world.snapshot
        snapshot.evaluations.turn(self.world.now)
        while self.sensors.turn(self, self.world.now):  # type: ignore[arg-type]
            pass
        changes, _ = self.world.recorded()
        self.keys |= {(each.team, each.name, each.key): each.run_id for each in changes.sensor_keys}
        return changes

    def asked(self) -> dict[str, tuple[str, SensorQuestion]]:
        """The questions that went out, by sensor, each with its id."""
        found = {}
        for team, message in self.world.snapshot.evaluations.outgoing():
            assert team == "sales"
            found[message.name] = (message.evaluation_id, msgspec.json.decode(message.argument, type=SensorQuestion))
        return found

    def answer(self, id: str, answer: SensorAnswer | None = None, name: str = "files", **more: Any) -> SensorEvaluation:
        """The worker answers; what is recorded of it."""
        result = msgspec.Raw(msgspec.json.encode(answer))
        told = Evaluated(id, "sensor", name, more.pop("reason", "ok"), result, log="said", duration_ms=9, **more)
        assert self.world.snapshot.evaluations.answer("sales", told)
        self.changes = self.turn()
        (recorded,) = self.changes.sensor_evaluations
        return recorded

    def ask(self, after: float = 0) -> str:
        """The id of the evaluation of `files` that is asked for now."""
        self.turn(after)
        return self.asked()["files"][0]


def test_what_an_answer_asks_for_is_recorded_with_its_keys_and_cursor_at_once() -> None:
    term = Term(FILES)
    id = term.ask()
    runs = (
        RequestedRun(dedupe_key="a"),
        RequestedRun(("orders",), ("no", "se"), dedupe_key="b"),
        RequestedRun(dedupe_key="a"),
    )
    recorded = term.answer(id, SensorAnswer(runs, "b"))
    changes = term.changes
    assert (recorded.outcome, recorded.launched, recorded.deduped, recorded.cursor) == (Outcome.LAUNCHED, 2, 1, "b")
    assert [each.key for each in changes.sensor_keys] == ["a", "b"]
    assert (
        recorded.run_ids
        == tuple(new.run.id for new in changes.new_runs)
        == tuple(each.run_id for each in changes.sensor_keys)
    )
    assert [len(new.run.steps) for new in changes.new_runs] == [1, 2]
    assert changes.new_runs[1].run.tags == {"sensor": "sales/files", "evaluation": id, "dedupe_key": "b"}
    assert changes.new_runs[0].run.author == "sensor sales/files"
    (move,) = changes.sensor_moves
    assert (move.before, move.number, move.cursor, move.next_at) == (0, 1, "b", NOW + timedelta(seconds=30))
    assert (recorded.log, recorded.duration_ms) == ("said", 9)
    again = term.ask(after=30)
    recorded = term.answer(again, SensorAnswer((RequestedRun(dedupe_key="b"),)))
    assert (recorded.outcome, recorded.deduped, recorded.cursor) == (Outcome.SKIPPED, 1, None)
    assert recorded.reason == "every request was launched before"


def test_one_run_that_can_not_be_planned_holds_back_all_of_its_evaluation() -> None:
    term = Term(FILES)
    unknown = (RequestedRun(), RequestedRun(("orders",), ("dk",)), RequestedRun(("gone",)))
    recorded = term.answer(term.ask(), SensorAnswer(unknown, "moved"))
    assert recorded.outcome is Outcome.FAILED
    assert recorded.error is not None
    assert recorded.error.code == "HR-Q101"
    assert recorded.error.message.startswith("Run request 2: ")
    assert (term.changes.new_runs, term.changes.sensor_keys, recorded.cursor) == ([], [], None)
    assert term.changes.sensor_moves[0].cursor is None
    assert term.changes.sensor_moves[0].failures == 1


def test_an_evaluation_asks_for_no_more_steps_than_are_recorded_at_once(monkeypatch: Any) -> None:
    monkeypatch.setattr(sensor_launches, "MAX_STEPS", 3)
    term = Term(FILES)
    recorded = term.answer(term.ask(), SensorAnswer((RequestedRun(("orders",), ("no", "se")),) * 2))
    assert recorded.error is not None
    assert recorded.error.code == "HR-Q345"
    assert term.changes.new_runs == []


def test_partitions_that_are_new_come_with_their_runs_or_not_at_all() -> None:
    term = Term(FILES)
    new, keys = RequestedRun(("invoices",), ("acme",)), (ChangedKeys("customers", ("acme", "globex")),)
    recorded = term.answer(term.ask(), SensorAnswer((new, RequestedRun(("gone",))), keys=keys))
    assert recorded.error is not None
    assert recorded.error.message.startswith("Run request 2: ")
    assert [stored.is_there for stored, _ in term.changes.partition_keys.values()] == [False, False]
    recorded = term.answer(term.ask(after=30), SensorAnswer((new,), keys=keys))
    assert (recorded.outcome, recorded.launched) == (Outcome.LAUNCHED, 1)
    assert [(stored.key, stored.is_there, by) for stored, by in term.changes.partition_keys.values()] == [
        ("acme", True, "sensor sales/files"), ("globex", True, "sensor sales/files"),
    ]  # fmt: skip
    (waits,) = term.changes.new_runs
    recorded = term.answer(term.ask(after=30), SensorAnswer(keys=(ChangedKeys("customers", removed=("acme",)),)))
    assert (recorded.outcome, recorded.reason) == (Outcome.SKIPPED, "1 partitions removed")
    assert waits.run.steps[0].state == "cancelled"
    unknown = SensorAnswer((new,), keys=(ChangedKeys("customers", ("x",)), ChangedKeys("clients", ("y",))))
    recorded = term.answer(term.ask(after=30), unknown)
    assert (recorded.error and recorded.error.code, term.changes.new_runs) == ("HR-Q109", [])
    assert [stored.is_there for stored, _ in term.changes.partition_keys.values()] == [False]


def test_a_sensor_is_evaluated_once_at_a_time_and_another_is_not_kept_waiting() -> None:
    term = Term(FILES, OTHER)
    term.turn()
    first = term.asked()
    assert first.keys() == {"files", "other"}
    for _ in range(3):  # one hangs
        recorded = term.answer(first["other"][0], SensorAnswer(cursor="x"), "other")
        assert recorded.outcome is Outcome.SKIPPED
        term.turn(after=12)
        term.asked()  # sent again, in case it was lost
        term.turn(after=18)
        first["other"] = term.asked()["other"]
        assert first["other"][1].cursor == "x"
    assert not any(each.name == "files" for each in term.changes.sensor_evaluations)


def test_failures_are_told_with_their_error_and_lost_ones_are_asked_again() -> None:
    term = Term(FILES)
    problem = Problem("HR-X001", "ValueError: no", "Mend it.")
    recorded = term.answer(term.ask(), reason="user_error", error=problem)
    assert (recorded.outcome, recorded.error) == (Outcome.FAILED, problem)
    assert term.answer(term.ask(after=30), reason="timed_out").outcome is Outcome.TIMED_OUT
    assert term.changes.sensor_moves[0].failures == 2
    term.turn(after=59)
    assert term.asked() == {}
    term.ask(after=1)
    (lost,) = term.turn(after=120).sensor_evaluations
    assert lost.outcome is Outcome.LOST
    assert term.answer(term.ask(after=30), SensorAnswer()).outcome is Outcome.SKIPPED


def test_an_answer_that_no_runner_gives_is_the_evaluations_problem() -> None:
    term = Term(FILES)
    recorded = term.answer(term.ask(), SensorAnswer(cursor="a\0"))
    assert (recorded.outcome, recorded.error and recorded.error.code) == (Outcome.FAILED, "HR-Q344")


def test_nothing_is_asked_while_a_pause_holds_or_no_worker_serves_and_then_at_once() -> None:
    term = Term(FILES)
    term.sensors.pauses = Pauses([Pause("sensor", "sales/files", "ann", "moving", NOW, None)])
    term.turn()
    assert term.asked() == {}
    term.sensors.pauses = Pauses()
    term.world.snapshot.workers.clear()
    term.turn(after=5)
    assert term.asked() == {}
    term.serve()
    assert term.ask(after=5)


def test_a_sensor_that_is_off_is_evaluated_only_when_someone_asks_who_is_told_what_became_of_it() -> None:
    term = Term(FILES, enabled=False)
    term.turn(after=100)
    assert term.asked() == {}
    command = PendingCommand(7, "evaluate_sensor", {"team": "sales", "name": "files"}, "ann")
    assert term.sensors.request(command, term.world.now) is None
    assert term.sensors.request(command, term.world.now) is None  # it is still pending at the next look
    id = term.ask()
    assert term.sensors.request(command, term.world.now) is None
    term.answer(id, SensorAnswer((RequestedRun(),)))
    (told,) = term.changes.commands
    assert (told.id, told.outcome) == (7, {"evaluation": id, "outcome": "launched"})
    assert term.changes.sensor_moves[0].next_at is None
    term.turn(after=100)
    assert term.asked() == {}
    unknown = PendingCommand(8, "evaluate_sensor", {"team": "sales", "name": "gone"}, "ann")
    assert term.sensors.request(unknown, term.world.now) == {"refused": "No team declares a sensor 'sales/gone'."}
    term.world.snapshot.workers.clear()
    assert term.sensors.request(msgspec.structs.replace(command, id=9), term.world.now) is None
    (told,) = term.turn().commands
    assert "No live worker" in told.outcome["refused"]


def test_those_who_ask_for_evaluations_without_end_are_refused() -> None:
    term = Term(FILES)
    term.ask()
    commands = [PendingCommand(id, "evaluate_sensor", {"team": "sales", "name": "files"}, "ann") for id in range(7)]
    answers = [term.sensors.request(command, term.world.now) for command in commands]
    assert [answer is None for answer in answers] == [True] * 5 + [False] * 2


def test_another_data_version_is_news_of_the_asset_that_is_observed_but_not_the_first_one() -> None:
    term = Term(Sensor("observe", observes="raw/feed"))
    news = term.world.snapshot.news
    news.followed = {"raw/feed"}
    for version, told in (("v1", []), ("v1", []), ("v2", ["v2"]), (None, []), ("v1", ["v1"])):
        term.turn(after=30)
        recorded = term.answer(term.asked()["observe"][0], SensorAnswer(cursor=version), "observe")
        assert recorded.outcome is Outcome.SKIPPED
        assert [(each.what, each.asset, each.data_version) for each in news.take()] == [
            ("made", "raw/feed", v) for v in told
        ]
    term.turn(after=30)
    recorded = term.answer(term.asked()["observe"][0], SensorAnswer((RequestedRun(("totals",)),)), "observe")
    assert (recorded.error and recorded.error.code) == "HR-Q344"


def deployed(term: Term, make: Callable[[], Manifest]) -> None:
    catalog = Catalog([published(make())])
    term.world.snapshot.catalog = catalog


def test_a_deploy_amid_an_evaluation_keeps_its_answer_unless_the_sensor_is_gone() -> None:
    term = Term(FILES, OTHER)
    term.turn()
    asked = term.asked()
    deployed(term, lambda: term.code(FILES, Sensor("new", "totals")))
    term.serve()
    term.turn()
    assert term.asked().keys() == {"new"}  # the one under way is not asked for again
    assert term.answer(asked["files"][0], SensorAnswer((RequestedRun(),))).outcome is Outcome.LAUNCHED
    told = Evaluated(asked["other"][0], "sensor", "other", "ok", msgspec.Raw(b"{}"))
    assert term.world.snapshot.evaluations.answer("sales", told)
    assert term.turn().sensor_evaluations == []
