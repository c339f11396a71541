"""Attempts sent to one runner ahead of each other: each is begun at most once, and ends for a reason of its own."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.locations import write_location
from support.processes import eventually
from support.worker_bench import fake_location

from hedgerow import clock
from hedgerow.protocol import events
from hedgerow.protocol import runner as protocol
from hedgerow.protocol.envelope import decode_envelope
from hedgerow.protocol.logs import decode_gap
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.attempts import Attempt, Attempts, Stop
from hedgerow_workers.broker import Line, connect
from hedgerow_workers.conversation import Conversation, Setting
from hedgerow_workers.journal import Journal
from hedgerow_workers.journals import JournalFolder
from hedgerow_workers.logs import LogStore
from hedgerow_workers.outbox import Outbox
from hedgerow_workers.pace import Pace
from hedgerow_workers.report import Report
from hedgerow_workers.runners import Runner

pytestmark = pytest.mark.processes

NOBODY = "redis://127.0.0.1:1/0"
CODE = """
    import resource
    import time
    import hedgerow as hr

    @hr.asset
    def touch(ctx: hr.Context) -> None:
        with open(ctx.run_tags["file"], "a") as file:
            file.write(ctx.run_id + "\\n")
        time.sleep(float(ctx.run_tags.get("sleep", "0")))

    @hr.asset
    def speechless(ctx: hr.Context) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        ctx.log.info("no room for this")
"""


class Slot:
    """A slot with a runner of its own: what it is given, what ran, what was reported."""

    def __init__(self, root: Path, runner: Runner, fake: bool) -> None:
        self.root = root
        self.fake = fake
        self.runner = runner
        self.attempts = Attempts()
        self.outbox = Outbox(Line(connect(NOBODY)), "d", "sales", "me", JournalFolder(root / "outbox"))
        self.outbox.start()
        self.report = Report(self.outbox, self.attempts)
        self.accepting = True
        self.claimed: deque[Attempt] = deque()
        self.pace = Pace()

    def give(self, computation: str, **fields: Any) -> Attempt:
        """One more claimed attempt."""
        attempt_id = f"attempt-{len(self.attempts)}"
        tags = {"file": str(self.root / "runs"), **fields.pop("run_tags", {})}
        plain = {
            "deployment": "d", "team": "sales", "location": "sales", "queue": "q", "run_id": attempt_id, "step": "s",
            "attempt_id": attempt_id, "attempt": 1, "manifest": self.runner.hash, "computation": computation,
            "assets": (computation,), "partition": None, "run_tags": tags,
        }  # fmt: skip
        attempt = Attempt(StepOrder(**{**plain, **fields}), f"token-{attempt_id}")
        self.attempts.add(attempt)
        self.claimed.append(attempt)
        return attempt

    def touch(self, timeout_ms: int | None = None, **tags: str) -> Attempt:
        """One more, whose code says that it has begun, then sleeps or dies as `tags` say. The fake runner reads the file in the partition."""
        partition = str(self.root / "runs") if self.fake else None
        return self.give("touch", partition=partition, timeout_ms=timeout_ms, run_tags=tags)

    def hold(self) -> bool:
        """Has the runner do them."""
        setting = Setting({}, LogStore(str(self.root / "storage")), self.pace, lambda: self.accepting, 0.5)
        reuse = Conversation(setting, self.runner, self.report).hold(self.claimed)
        self.report.flush()
        return reuse

    def ran(self) -> list[str]:
        """The ids of the attempts whose code has begun, in that order."""
        file = self.root / "runs"
        return file.read_text().split() if file.exists() else []

    def told(self) -> list[tuple[str, Any]]:
        """What is in the outbox, in order: kind and body."""
        journal = self.outbox.directory
        eventually(lambda: self.outbox._own.journal.last == self.outbox._assigned)
        envelopes = [decode_envelope(data) for data in Journal(journal, -1).read(0, 10**9, 10**9)]
        return [(each.kind, msgspec.json.decode(each.body, type=events.KINDS[each.kind])) for each in envelopes]

    def outcome(self, attempt: Attempt) -> str:
        """How the attempt ended: `succeeded`, or the reason of its failure. Every attempt has begun once and ended once."""
        mine = [(kind, body) for kind, body in self.told() if body.attempt_id == attempt.order.attempt_id]
        assert [kind for kind, _ in mine].count("attempt_started") == 1
        assert mine[0][0] == "attempt_started"
        assert {body.token for _, body in mine} == {attempt.token}
        ends = [body for kind, body in mine if kind in ("attempt_succeeded", "attempt_failed")]
        assert len(ends) == 1
        return ends[0].reason if isinstance(ends[0], events.AttemptFailed) else "succeeded"


@pytest.fixture
def slots() -> Iterator[list[Slot]]:
    slots: list[Slot] = []
    yield slots
    for slot in slots:
        slot.outbox.close(0.1)
        slot.runner.end()


@pytest.fixture
def fake(tmp_path: Path, slots: list[Slot]) -> Slot:
    """A slot whose runner takes one order at a time and knows nothing of withdrawing."""
    location = fake_location(tmp_path / "sales")
    return _slot(tmp_path, location, location / "python", slots, fake=True)


@pytest.fixture
def real(tmp_path: Path, slots: list[Slot]) -> Slot:
    """A slot whose runner is Hedgerow's."""
    return _slot(tmp_path, write_location(tmp_path / "sales", "sales", CODE), Path(sys.executable), slots, fake=False)


def _slot(root: Path, location: Path, python: Path, slots: list[Slot], *, fake: bool) -> Slot:
    runner = Runner(python, location, dict(os.environ), root, 1)
    runner.send(protocol.Load(str(location)))
    loaded = runner.receive(30)
    assert loaded is not None
    assert loaded.kind == "loaded"
    runner.hash = msgspec.json.decode(loaded.body, type=protocol.Loaded).hash
    slots.append(Slot(root, runner, fake))
    return slots[-1]


def _meanwhile(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_attempts_sent_ahead_run_in_turn_and_are_reported_one_by_one(kind: str, request: pytest.FixtureRequest) -> None:
    slot: Slot = request.getfixturevalue(kind)
    given = [slot.touch() for _ in range(8)]

    assert slot.hold()
    assert len(slot.claimed) == len(slot.attempts) == 0
    assert slot.ran() == [attempt.order.attempt_id for attempt in given]
    assert [slot.outcome(attempt) for attempt in given] == ["succeeded"] * 8
    of = [body.attempt_id for _, body in slot.told()]
    assert of == sorted(of)


def test_lines_that_a_runner_could_not_write_are_reported_in_the_place_of_a_log(real: Slot) -> None:
    real.give("speechless")
    assert real.hold()
    (end,) = [body for kind, body in real.told() if kind == "attempt_succeeded"]
    gap = decode_gap(end.log)
    assert gap is not None
    assert (gap.why, gap.lines) == ("unwritten", 1)


def test_a_runner_that_dies_takes_only_the_attempt_with_it_that_it_was_in(fake: Slot) -> None:
    given = [fake.touch(), fake.touch(), fake.touch(die="now"), fake.touch(), fake.touch()]

    assert not fake.hold()
    assert list(fake.claimed) == given[3:]
    assert fake.ran() == ["attempt-0", "attempt-1", "attempt-2"]
    assert [fake.outcome(attempt) for attempt in given[:3]] == ["succeeded", "succeeded", "runner_lost"]
    assert [attempt.started_at for attempt in given[3:]] == [None, None]
    assert fake.attempts.running() == given[3:]


def test_an_attempt_past_its_timeout_takes_only_itself_with_it(fake: Slot) -> None:
    given = [
        fake.touch(),
        fake.touch(timeout_ms=200, sleep="60"),
        fake.touch(),
    ]

    assert not fake.hold()
    assert [fake.outcome(attempt) for attempt in given[:2]] == ["succeeded", "timed_out"]
    assert list(fake.claimed) == given[2:]
    assert fake.ran() == ["attempt-0", "attempt-1"]


def test_the_start_of_an_attempt_that_lasts_is_told_at_once_and_so_is_what_came_before_it(fake: Slot) -> None:
    fake.touch()
    long = fake.touch(sleep="60")
    fake.touch()
    fake.pace.note(["touch"], 0.0001)
    slot = _meanwhile(fake.hold)

    eventually(lambda: [kind for kind, _ in fake.told()][-2:] == ["attempt_succeeded", "attempt_started"], within=5)
    assert fake.told()[-1][1].attempt_id == long.order.attempt_id
    long.request_stop(Stop("cancelled", "HR-X109", "Enough.", 0.5))
    slot.join()
    assert fake.outcome(long) == "cancelled"
    assert len(fake.claimed) == 1


def test_an_attempt_cancelled_before_its_turn_is_never_begun_and_harms_no_other(real: Slot) -> None:
    first, second, third = real.touch(sleep="0.6"), real.touch(), real.touch()
    slot = _meanwhile(real.hold)
    eventually(lambda: real.ran() == ["attempt-0"], every=0.01)
    second.request_stop(Stop("cancelled", "HR-X109", "Not any more.", 0.5))
    slot.join()

    assert [real.outcome(each) for each in (first, second, third)] == ["succeeded", "cancelled", "succeeded"]
    assert real.ran() == ["attempt-0", "attempt-2"]
    assert real.runner.exit_code() is None


def test_a_runner_that_cannot_withdraw_is_ended_when_the_cancelled_attempt_begins(fake: Slot) -> None:
    first, second, third = fake.touch(sleep="0.6"), fake.touch(sleep="60"), fake.touch()
    slot = _meanwhile(fake.hold)
    eventually(lambda: fake.ran() == ["attempt-0"], every=0.01)
    second.request_stop(Stop("cancelled", "HR-X109", "Not any more.", 0.5))
    slot.join()

    assert [fake.outcome(each) for each in (first, second)] == ["succeeded", "cancelled"]
    assert list(fake.claimed) == [third]


def test_attempts_not_begun_are_given_up_when_the_worker_leaves_during_the_one_before(real: Slot) -> None:
    first, second, third = real.touch(sleep="2.5"), real.touch(), real.touch()
    slot = _meanwhile(real.hold)
    eventually(lambda: real.ran() == ["attempt-0"], every=0.01)
    real.accepting = False
    slot.join()

    assert [real.outcome(each) for each in (first, second, third)] == ["succeeded", "interrupted", "interrupted"]
    assert real.ran() == ["attempt-0"]


def test_after_what_is_no_event_nothing_sent_is_run_again_under_the_same_id(fake: Slot) -> None:
    given = [fake.touch(), fake.give("wrong"), fake.touch(), fake.touch()]

    assert not fake.hold()
    assert not fake.claimed
    outcomes = [fake.outcome(each) for each in given]
    assert outcomes == ["succeeded", "runner_lost", "interrupted", "interrupted"]


def test_each_attempt_has_a_log_of_its_own(fake: Slot) -> None:
    given = [fake.give("print"), fake.give("noop"), fake.give("print")]
    assert fake.hold()
    logs = {body.attempt_id: body.log for kind, body in fake.told() if kind == "attempt_succeeded"}

    assert logs[given[1].order.attempt_id] == ""
    for each in (given[0], given[2]):
        assert Path(logs[each.order.attempt_id]).read_text() == "first line\nsecond line\n"


def test_no_more_is_sent_ahead_than_the_pipe_holds(fake: Slot) -> None:
    big = msgspec.Raw(msgspec.json.encode("x" * 10_000))
    given = [fake.give("noop", config=big) for _ in range(20)]
    huge = fake.give("noop", config=msgspec.Raw(msgspec.json.encode("x" * 1_000_000)))

    rounds = 0
    while fake.claimed:
        assert fake.hold()
        rounds += 1
    assert rounds > 5
    assert {fake.outcome(each) for each in [*given, huge]} == {"succeeded"}


def test_the_pace_is_learnt_from_what_was_done(fake: Slot) -> None:
    for _ in range(4):
        fake.give("work")
    before = clock.monotonic()
    assert fake.hold()
    assert 0.04 < fake.pace.expected_s("work") < clock.monotonic() - before
