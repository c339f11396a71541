"""The scheduler as a whole against a real PostgreSQL and Valkey, with workers played by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from support.played import Platform, played, settings_of
from support.processes import eventually
from support.scheduling import chunks, envelope

from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.protocol import control, names
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import encode_batch
from hedgerow.settings.platform import PlatformSettings, Timings
from hedgerow_scheduler.ingest.inbox import Inbox
from hedgerow_scheduler.metadata import runs
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.service.leading import Listener

pytestmark = pytest.mark.servers

QUICK = Timings(heartbeat_s=0.2, lease_s=1, start_timeout_s=1)  # where something has to run out; not where nothing may
BROKEN = Problem("HR-X001", "It broke.", "Mend it.")


@pytest.fixture
def settings(database_url: str, broker_url: str) -> PlatformSettings:
    return settings_of(database_url, broker_url)


@pytest.fixture
def platform(settings: PlatformSettings) -> Iterator[Platform]:
    with played(settings) as found:
        yield found


def test_a_chain_of_three_steps_runs_across_two_teams_and_each_reads_what_the_one_before_wrote(
    platform: Platform,
) -> None:
    with platform.scheduling():
        platform.deployed()
        run_id = platform.launch("+report")
        first = platform.raw.do("raw/x")
        second = platform.sales.do("clean")
        third = platform.sales.do("report")
        assert platform.ended(run_id) == "succeeded"
    assert [order.run_id for order in (first, second, third)] == [run_id] * 3
    assert [each.asset for each in second.inputs] == ["raw/x"]
    assert second.inputs[0].references[0].uri == f"/nowhere/raw/raw/x/{first.attempt_id}"
    assert second.inputs[0].team == "raw"
    assert third.inputs[0].references[0].uri == f"/nowhere/sales/clean/{second.attempt_id}"
    assert platform.rows("SELECT state, count(*) FROM materializations GROUP BY 1") == [("current", 3)]
    assert platform.rows("SELECT count(*) FROM quarantine") == [(0,)]


def test_what_is_recorded_is_acknowledged(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        run_id = platform.launch("alone")
        platform.sales.do("alone")
        assert platform.ended(run_id) == "succeeded"
        expected = str(len(platform.sales.outbox.sent)).encode()
        eventually(lambda: platform.broker.hget(names.ack_hash("test", "sales"), "w1") == expected)
    assert platform.rows("SELECT acked FROM worker_sequences WHERE team = 'sales'") == [(int(expected),)]


def test_work_goes_on_after_the_broker_has_lost_everything(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        run_id = platform.launch("+report")
        order = platform.raw.awaited("raw/x")
        assert platform.raw.begin(order)
        platform.until("SELECT state FROM attempts", ("running",))
        platform.broker.flushall()
        platform.raw.finish(order)
        platform.broker.flushall()  # the end of the step is lost, too: the worker has to send it again
        waiting = platform.sales.awaited("clean")
        assert not platform.sales.holds
        platform.broker.flushall()  # and now the claims and orders of a step that nobody has started
        assert platform.sales.begin(waiting)
        platform.sales.finish(waiting)
        platform.sales.do("report")
        assert platform.ended(run_id) == "succeeded"
    assert any(isinstance(message, control.ResendEvents) for message in platform.raw.told)
    assert platform.rows("SELECT step_number, count(*) FROM attempts GROUP BY 1 ORDER BY 1") == [(0, 1), (1, 1), (2, 1)]


def test_an_order_that_the_broker_lost_is_taken_back_and_dispatched_again(platform: Platform) -> None:
    with platform.scheduling(timings=QUICK):
        platform.deployed()
        run_id = platform.launch("alone")
        lost = platform.sales.awaited("alone")
        again = platform.sales.do("alone")
        assert platform.ended(run_id) == "succeeded"
        assert not platform.sales.begin(lost)
    assert again.attempt >= 2
    assert set(platform.rows("SELECT state FROM attempts WHERE number = 1")) == {("refused",)}
    assert platform.rows("SELECT failures, losses, deaths FROM steps") == [(0, 0, 0)]


def test_a_silent_workers_attempt_is_lost_and_the_step_is_tried_again(platform: Platform) -> None:
    with platform.scheduling(timings=QUICK):
        platform.deployed()
        run_id = platform.launch("alone")
        order = platform.sales.awaited("alone")
        assert platform.sales.begin(order)
        token = platform.sales.holds.pop(order.attempt_id)  # its runner hangs, and the worker has forgotten it
        platform.sales.do("alone")
        assert platform.ended(run_id) == "succeeded"
        platform.sales.report(ev.AttemptSucceeded(order.attempt_id, token))  # far too late
    ((losses,),) = platform.rows("SELECT losses FROM steps")
    assert losses >= 1
    lost = platform.rows(f"SELECT state FROM attempts WHERE id = '{order.attempt_id}'")
    assert lost == [("lost",)]


def test_the_next_scheduler_goes_on_where_the_former_stopped(platform: Platform) -> None:
    with platform.scheduling("one"):
        platform.deployed()
        run_id = platform.launch("+report")
        order = platform.raw.awaited("raw/x")
        assert platform.raw.begin(order)
        platform.until("SELECT state FROM attempts", ("running",))
    platform.raw.finish(order)
    with platform.scheduling("two"):
        platform.sales.do("clean")
        platform.sales.do("report")
        assert platform.ended(run_id) == "succeeded"
    assert platform.rows("SELECT epoch, holder FROM leader") == [(2, "")]
    assert platform.rows("SELECT step_number, count(*) FROM attempts GROUP BY 1 ORDER BY 1") == [(0, 1), (1, 1), (2, 1)]


def test_of_two_schedulers_one_leads_and_the_other_takes_over_when_the_first_resigns(platform: Platform) -> None:
    def leads(metrics: SchedulerMetrics) -> bool:
        return metrics.registry.get_sample_value("hedgerow_scheduler_is_leader") == 1

    with platform.scheduling("two") as second:
        with platform.scheduling("one") as first:
            eventually(lambda: leads(first) != leads(second), what="one of them leads")
            if leads(first):
                platform.deployed()
                assert not leads(second)
        eventually(lambda: leads(second), what="the other leads")
        platform.deployed()
        run_id = platform.launch("alone")
        platform.sales.do("alone")
        assert platform.ended(run_id) == "succeeded"


def test_a_migration_runs_while_a_scheduler_leads(platform: Platform) -> None:
    with platform.scheduling("one"):
        platform.deployed()
        for change in (
            "ALTER TABLE steps ADD COLUMN next_version text NOT NULL DEFAULT ''",
            "ALTER TABLE attempts ADD COLUMN next_version bigint",
            "CREATE INDEX ix_next_version ON attempts (next_version)",
            "ALTER TABLE steps DROP COLUMN next_version",
        ):
            run_id = platform.launch("alone")
            order = platform.sales.awaited("alone")
            assert platform.sales.begin(order)
            with platform.engine.begin() as connection:
                connection.execute(text(change))
            platform.sales.finish(order)
            assert platform.ended(run_id) == "succeeded"
    assert platform.rows("SELECT epoch FROM leader") == [(1,)]


def test_a_run_is_cancelled_before_and_while_its_steps_are_with_a_worker(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        unstarted = platform.launch("alone")
        order = platform.sales.awaited("alone")
        platform.command("cancel_run", unstarted)
        assert platform.ended(unstarted) == "cancelled"
        assert not platform.sales.begin(order)

        started = platform.launch("alone")
        order = platform.sales.awaited("alone")
        assert platform.sales.begin(order)
        platform.until("SELECT state FROM attempts WHERE state = 'running'", ("running",))
        platform.command("cancel_run", started)

        def told() -> bool:
            platform.sales.attend()
            return control.CancelAttempt(order.attempt_id, "cancelled") in platform.sales.told

        eventually(told, what="the worker is told")
        token = platform.sales.holds.pop(order.attempt_id)
        platform.sales.report(ev.AttemptFailed(order.attempt_id, "cancelled", BROKEN, token))
        assert platform.ended(started) == "cancelled"


def test_a_failed_run_is_taken_up_again_by_a_retry(platform: Platform) -> None:
    with platform.scheduling():
        platform.deployed()
        run_id = platform.launch("+report")
        order = platform.raw.awaited("raw/x")
        assert platform.raw.begin(order)
        token = platform.raw.holds.pop(order.attempt_id)
        platform.raw.report(ev.AttemptFailed(order.attempt_id, "user_error", BROKEN, token))
        assert platform.ended(run_id) == "failed"
        platform.command("retry_run", run_id)
        platform.raw.do("raw/x")
        platform.sales.do("clean")
        platform.sales.do("report")
        platform.until(f"SELECT state FROM runs WHERE id = '{run_id}'", ("succeeded",))


def test_what_a_team_writes_into_its_stream_does_not_stop_the_others(platform: Platform) -> None:
    hostile: list[dict[bytes, bytes]] = [
        {b"b": b"nonsense"},
        {b"other": b"field"},
        {b"b": b"[" * 200_000},
        {b"b": encode_batch([b'{"id":"i","kind":"k","v":1,"body":{},"worker":"' + b"w" * 5000 + b'","seq":1}'])},
        {b"b": encode_batch([envelope(ev.LocationFailed("raw", "\x00", ()), "evil", 1)])},
        {b"b": encode_batch([envelope(ev.WorkerHeartbeat("raw", "m", ("q",), 1 << 60), "evil", 0)])},
        {
            b"b": encode_batch(
                [envelope(chunk, "evil", number + 2) for number, chunk in enumerate(chunks(STRANGE, 10_000))]
            )
        },
    ]
    with platform.scheduling():
        platform.deployed()
        for fields in hostile:
            platform.broker.xadd(names.events_stream("test", "raw"), fields)  # type: ignore[arg-type]
        run_id = platform.launch("+report")
        platform.raw.do("raw/x")
        platform.sales.do("clean")
        platform.sales.do("report")
        assert platform.ended(run_id) == "succeeded"
    assert platform.rows("SELECT epoch FROM leader") == [(1,)]  # no term was ended by it
    ((put_aside,),) = platform.rows("SELECT count(*) FROM quarantine WHERE team = 'raw'")
    assert put_aside == 6
    assert platform.rows("SELECT problems -> 0 ->> 'code' FROM locations WHERE location = 'strange'") == [("HR-Q013",)]


STRANGE = model.Manifest("raw", "strange", (model.Asset("e\x00"),))


def test_the_api_wakes_the_scheduler_by_the_bell(platform: Platform, settings: PlatformSettings) -> None:
    inbox, stopping = Inbox(), threading.Event()
    listener = Listener(settings.database, inbox, stopping)
    listener.start()
    try:
        writers: list[Callable[[], object]] = [
            lambda: platform.launch("alone"),
            lambda: platform.command("cancel_run", "x"),
        ]
        assert inbox.bell.wait(10)  # once when it has begun to listen, for what was written before
        for write in writers:
            inbox.bell.clear()
            listener.heard.clear()
            assert not inbox.bell.is_set()
            write()
            assert inbox.bell.wait(10)
            assert listener.heard.is_set()
    finally:
        stopping.set()


def test_a_transaction_that_is_rolled_back_wakes_no_one_and_leaves_no_run(
    platform: Platform, settings: PlatformSettings
) -> None:
    inbox, stopping = Inbox(), threading.Event()
    listener = Listener(settings.database, inbox, stopping)
    listener.start()
    try:
        assert inbox.bell.wait(10)
        inbox.bell.clear()
        with pytest.raises(ZeroDivisionError), platform.engine.begin() as connection:  # noqa: PT012
            runs.request_run(connection, RunRequest(("alone",)), {}, "")
            raise ZeroDivisionError
        with platform.engine.begin() as connection:
            connection.execute(text("NOTIFY hedgerow_wake, 'after it'"))
        assert inbox.bell.wait(10)
        assert platform.rows("SELECT count(*) FROM runs") == [(0,)]
    finally:
        stopping.set()
