"""Sensors: when each is due, how failures slow one down, what its answers ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import msgspec
import pytest
from support.scheduling import asset, catalog_of, manifest

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Job, Sensor
from hedgerow.protocol.sensing import MAX_ANSWER_BYTES, RequestedRun, SensorAnswer
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.automation.sensors import (
    ASKED_AGAIN,
    LONGEST_BACKOFF,
    SENSOR_ARROWS,
    Outcome,
    SensorStanding,
    SensorState,
    after,
    author_of_sensor,
    reconcile_sensors,
    request_of_run,
    tags_of_run,
    wait_after,
)
from hedgerow_scheduler.ingest.sensing import read_answer
from hedgerow_scheduler.planning.request import RunRequest

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
PLACE = Place("sales", "main", "files")
SENSOR = Sensor("files", "job:nightly", every_ms=30_000, tags={"tier": "gold"})
KNOWN = SensorStanding("sales", "main", "files", "c", 7, 0, NOW - timedelta(seconds=20), NOW + timedelta(seconds=10))
HALF_MINUTE = timedelta(seconds=30)


def test_every_state_can_be_left_and_come_to_and_each_arrow_says_who_moves_it() -> None:
    assert {before for before, _ in SENSOR_ARROWS} == set(SensorState)
    assert {to for _, to in SENSOR_ARROWS} == set(SensorState)
    assert all(SENSOR_ARROWS.values())
    impossible = set(product(SensorState, SensorState)) - SENSOR_ARROWS.keys()
    assert (SensorState.ASKED, SensorState.ASKED) in impossible  # one evaluation at a time
    assert (SensorState.WAITING, SensorState.ANSWERED) in impossible


@pytest.mark.parametrize(
    ("every_s", "failures", "seconds"),
    [(30, 0, 30), (30, 1, 30), (30, 2, 60), (30, 3, 120), (30, 6, 600), (30, 10**6, 600), (1, 3, 4), (3_600, 0, 3_600), (3_600, 9, 3_600)],
)  # fmt: skip
def test_failures_in_a_row_slow_a_sensor_down_to_a_bound(every_s: int, failures: int, seconds: int) -> None:
    sensor = Sensor("s", every_ms=every_s * 1_000)
    assert wait_after(Outcome.FAILED, sensor, failures) == timedelta(seconds=seconds)
    assert seconds <= max(every_s, LONGEST_BACKOFF.total_seconds())


def test_what_was_lost_is_asked_again_soon_and_is_no_failure() -> None:
    hourly = Sensor("s", every_ms=3_600_000)
    lost = after(KNOWN, hourly, Outcome.LOST, NOW - timedelta(minutes=2), NOW)
    assert (lost.failures, lost.number, lost.cursor) == (0, 8, "c")
    assert lost.next_at == NOW + ASKED_AGAIN


def test_an_evaluation_moves_the_cursor_or_leaves_it_and_the_next_is_due_from_its_beginning() -> None:
    began = NOW - timedelta(seconds=5)
    done = after(KNOWN, SENSOR, Outcome.LAUNCHED, began, NOW, "d")
    assert done == SensorStanding("sales", "main", "files", "d", 8, 0, began, began + HALF_MINUTE)
    assert after(KNOWN, SENSOR, Outcome.SKIPPED, began, NOW).cursor == "c"
    assert after(KNOWN, SENSOR, Outcome.SKIPPED, NOW - timedelta(minutes=5), NOW).next_at == NOW  # it was slow: no debt
    failed = after(KNOWN, SENSOR, Outcome.TIMED_OUT, began, NOW)
    assert (failed.failures, failed.cursor) == (1, "c")
    assert after(failed, SENSOR, Outcome.FAILED, began, NOW).next_at == began + 2 * HALF_MINUTE
    assert after(failed, SENSOR, Outcome.SKIPPED, began, NOW).failures == 0
    off = msgspec.structs.replace(KNOWN, next_at=None)
    assert after(off, SENSOR, Outcome.LAUNCHED, began, NOW).next_at is None


def reconciled(
    *known: SensorStanding, sensor: Sensor | None = SENSOR, enabled: bool = True, place: Place = PLACE
) -> list[SensorStanding]:
    declared = {place.title: (place, sensor)} if sensor is not None else {}
    return list(reconcile_sensors({one.place.title: one for one in known}, declared, NOW, enabled))


def test_a_sensor_that_is_new_or_switched_on_is_due_at_once_and_one_that_is_known_goes_on() -> None:
    assert reconciled() == [SensorStanding("sales", "main", "files", next_at=NOW)]
    assert reconciled(KNOWN) == []
    off = msgspec.structs.replace(KNOWN, next_at=None)
    assert reconciled(off) == [msgspec.structs.replace(KNOWN, next_at=NOW)]
    late = msgspec.structs.replace(KNOWN, next_at=NOW - timedelta(hours=1))
    assert reconciled(late) == []


def test_a_sensor_that_is_switched_off_or_gone_keeps_its_cursor() -> None:
    off = msgspec.structs.replace(KNOWN, next_at=None)
    assert reconciled(KNOWN, enabled=False) == [off]
    assert reconciled(KNOWN, sensor=msgspec.structs.replace(SENSOR, enabled=False)) == [off]
    assert reconciled(KNOWN, sensor=None) == [off]
    assert reconciled(off, sensor=None) == []


def test_a_sensor_moves_to_another_location_of_its_team_and_to_other_times() -> None:
    (moved,) = reconciled(KNOWN, place=Place("sales", "other", "files"))
    assert moved == msgspec.structs.replace(KNOWN, location="other")
    rarely = msgspec.structs.replace(KNOWN, next_at=NOW + timedelta(hours=5))
    assert reconciled(rarely) == [msgspec.structs.replace(KNOWN, next_at=NOW + HALF_MINUTE)]


def test_a_run_is_of_its_own_selection_or_of_the_sensors_target() -> None:
    jobs = catalog_of(manifest("sales", asset("a"), jobs=(Job("nightly", "a", tags={"j": "1"}),))).jobs
    own = RequestedRun(("group:x",), ("p",), {"a": {"n": 1}}, {"tier": "own"}, "key")
    assert request_of_run(PLACE, SENSOR, own, jobs) == RunRequest(("group:x",), ("p",), config={"a": {"n": 1}})
    request = request_of_run(PLACE, SENSOR, RequestedRun(), jobs)
    assert request == RunRequest(("job:sales/nightly",))
    assert tags_of_run(PLACE, SENSOR, own, request, "e1", jobs) == {
        "j": "1", "tier": "own", "sensor": "sales/files", "evaluation": "e1", "dedupe_key": "key",
    }  # fmt: skip
    assert author_of_sensor(PLACE) == "sensor sales/files"
    with pytest.raises(RequestError, match="HR-Q343"):
        request_of_run(PLACE, Sensor("s"), RequestedRun(), jobs)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (b"", "is none"),
        (b"[1]", "is none"),
        (b'{"runs": [{"partitions": 7}]}', "is none"),
        (b'{"cursor": "' + b"x" * MAX_ANSWER_BYTES + b'"}', "is too large"),
        (b'{"runs": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", "nested too deeply"),
        (msgspec.json.encode(SensorAnswer(cursor="x" * 70_000)), "too large a cursor"),
        (msgspec.json.encode(SensorAnswer(cursor="a\0")), "can't be stored"),
        (msgspec.json.encode(SensorAnswer((RequestedRun(),) * 1_001)), "too many runs"),
        (msgspec.json.encode(SensorAnswer((RequestedRun(dedupe_key="x" * 256),))), "dedupe key"),
        (msgspec.json.encode(SensorAnswer((RequestedRun(tags={"": "x"}),))), "tags"),
    ],
)
def test_an_answer_that_no_runner_gives_is_refused(result: bytes, told: str) -> None:
    problem = read_answer("sales/files", result)
    assert not isinstance(problem, SensorAnswer)
    assert problem.code == "HR-Q344"
    assert told in problem.message


def test_an_answer_is_read_as_it_was_given() -> None:
    answer = SensorAnswer((RequestedRun(partitions=("2024|no",), dedupe_key="k"),), "cursor", "")
    assert read_answer("sales/files", msgspec.json.encode(answer)) == answer
