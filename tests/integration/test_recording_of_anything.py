"""Recording against a real PostgreSQL: whatever people and teams write is kept, and spoils nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from support.hostile import envelopes, events
from support.recorded import SALES, Recorded, rows, tamper
from support.scheduling import (
    asset,
    chunks,
    envelope,
    manifest,
    token_of,
)

from hedgerow.errors import Problem
from hedgerow.manifest.model import Column
from hedgerow.partitions.model import StaticPartitions
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import split_batch
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.metadata import tables as t
from hedgerow_scheduler.metadata.database import open_engine

pytestmark = pytest.mark.servers


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    found = open_engine(database_url)
    yield found
    found.dispose()


@pytest.fixture
def world(engine: Engine) -> Recorded:
    found = Recorded(engine)
    found.send("sales", *chunks(SALES))
    found.beat("sales", slots=9)
    found.cycle_recorded()
    return found


NUL = "a\x00b"


def test_nul_characters_anywhere_do_not_spoil_the_transaction(world: Recorded) -> None:
    world.request("a x")
    a, x = world.orders
    world.begin(a, x)
    token = token_of(x)
    reference = Reference(f"file:///{NUL}", NUL, extra={NUL: NUL})
    world.send(
        "sales",
        ev.AssetMaterialized(x.id, "x", token, None, reference, NUL, NUL, {NUL: [NUL, {"deep": NUL}]}, (Column(NUL, NUL, NUL),)),
        ev.CheckEvaluated(x.id, "x", NUL, True, token, NUL, description=NUL, metadata={NUL: NUL}, error=NUL),
        ev.AttemptSucceeded(x.id, token, 1.0, NUL),
        ev.AttemptFailed(a.id, "user_error", Problem(NUL, NUL, NUL, NUL, 1, NUL), token_of(a), False, 1.0, NUL),
        ev.LocationFailed("sales", "sales", (Problem("HR-D001", NUL, NUL),)),
        ev.AttemptStarted(NUL, NUL),
    )  # fmt: skip
    world.beat("sales", "w2", manifest=NUL, host=NUL)
    world.receive("sales", b'{"id":"i","kind":"a\\u0000b","v":1,"body":{},"worker":"w3","seq":1}')
    world.cycle_recorded()
    assert rows(world.engine, "SELECT state FROM steps ORDER BY assets") == [("failed",), ("succeeded",)]
    assert rows(world.engine, "SELECT reference ->> 'format' FROM materializations WHERE asset = 'x'") == [
        ("a\ufffdb",)
    ]
    assert rows(world.engine, "SELECT count(*) FROM quarantine") == [(1,)]
    assert len(rows(world.engine, "SELECT 1 FROM workers WHERE host = 'a\ufffdb'")) == 1


def test_a_worker_whose_text_is_no_utf8_where_nobody_looks_does_not_spoil_the_transaction(world: Recorded) -> None:
    world.request("a")
    (attempt,) = world.orders
    body = f'{{"attempt_id":"{attempt.id}","token":"{token_of(attempt)}"}}'.encode()
    world.receive(
        "sales", b'{"id":"i","kind":"attempt_started","v":1,"x":"\xff","body":' + body + b',"worker":"w5","seq":1}'
    )
    world.cycle_recorded()
    assert rows(world.engine, "SELECT state FROM steps") == [("running",)]


def test_all_signs_and_numbers_come_back_as_they_were(world: Recorded) -> None:
    world.request("x")
    (attempt,) = world.orders
    metadata = {
        "text": "Ærø 🦔 \\u0041 \\ \" ' \n\t\x7f\u2028", "huge": 10**300, "small": 1e-300, "yes": True, "none": None,
        "": {"": []}, "list": [1, -0.5, [[]]],
    }  # fmt: skip
    world.begin(attempt)
    world.send("sales", ev.AssetMaterialized(attempt.id, "x", token_of(attempt), metadata=metadata))
    world.cycle_recorded()
    assert world.read_again().attempts[attempt.id].outputs["x"].metadata == metadata


def test_events_are_kept_as_they_were_received(world: Recorded) -> None:
    sent = [envelope(ev.WorkerStopped(f"Ærø 🦔 \\u0041 \\ {number}"), "w9", number) for number in (1, 2, 3)]
    world.receive("sales", *sent[:2])
    world.receive("sales", sent[2])
    world.cycle_recorded()
    ((first, last, body),) = rows(world.engine, "SELECT first_seq, last_seq, body FROM events WHERE worker = 'w9'")
    assert (first, last, [bytes(part) for part in split_batch(bytes(body))]) == (1, 3, sent)


def test_thousands_of_steps_are_recorded_at_once(world: Recorded) -> None:
    keys = StaticPartitions(tuple(f"k{number}" for number in range(3000)))
    world.send("ml", *chunks(manifest("ml", asset("m", partitions=keys), asset("n", "m", partitions=keys)), 100_000))
    run = world.request("m n", all_partitions=True)
    assert rows(world.engine, "SELECT count(*), count(DISTINCT partition) FROM steps") == [(6000, 3000)]
    world.command("cancel_run", run)
    assert rows(world.engine, "SELECT DISTINCT state FROM steps") == [("cancelled",)]


# -- whatever a team sends ---------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_a_team_sends_can_be_recorded(engine: Engine, data: st.DataObject) -> None:
    tamper(engine, f"TRUNCATE {', '.join(table.name for table in t.metadata.sorted_tables)}")
    world = Recorded(engine)
    world.send("sales", *chunks(SALES))
    world.beat("sales", slots=9)
    world.cycle_recorded()
    world.request("a b x")
    world.begin(*world.orders)
    hostile = envelopes(events("sales", [(attempt.id, attempt.token) for attempt in world.orders]))
    for _ in range(3):
        world.receive("sales", *data.draw(hostile))
        world.after(seconds=1)
        world.cycle_recorded()
    world.read_again()
