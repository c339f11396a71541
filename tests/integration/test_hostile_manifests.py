"""Manifests of a stranger's worker on real servers: they end no term, and one that does by a defect is put aside."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from support.everything import everything
from support.mutated import encoded, mutants, plain
from support.played import Platform, Worker, played, settings_of
from support.processes import eventually
from support.scheduling import asset, manifest

from hedgerow.manifest import model
from hedgerow.protocol import events as ev
from hedgerow_scheduler.ingest import manifests as arriving
from hedgerow_scheduler.service.sensors import Sensors

pytestmark = pytest.mark.servers

TRIED = 150
POISON = manifest("sales", asset("alone"), sensors=(model.Sensor("poison", "alone"),))
MENDED = manifest("sales", asset("alone"), asset("more"))
CHUNK = 100_000


@pytest.fixture
def platform(database_url: str, broker_url: str) -> Iterator[Platform]:
    with played(settings_of(database_url, broker_url)) as found:
        yield found


def offer(worker: Worker, body: bytes) -> str:
    """The worker serves a manifest of this JSON, whatever it is; its hash."""
    text, worker.hash = body.decode(), hashlib.sha256(body).hexdigest()
    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    worker.report(*(ev.ManifestChunk(worker.hash, number, len(parts), part) for number, part in enumerate(parts)))
    return worker.hash


def raw_is_made(platform: Platform) -> None:
    """The other team's asset can be made."""
    run = platform.launch("raw/x")
    platform.raw.do("raw/x")
    assert platform.ended(run) == "succeeded"


def epoch(platform: Platform) -> int:
    ((found,),) = platform.rows("SELECT epoch FROM leader")
    return int(found)


def test_no_mutant_of_a_manifest_with_everything_in_it_ends_a_term(platform: Platform) -> None:
    whole = everything(datetime.now(UTC), "sales")
    # Under another location's name one would take the keys away from those that follow.
    every = [each for each in mutants(whole, of_each=1) if each.path != ("location",)]
    chosen = random.Random(11).sample(every, 4 * TRIED)
    bodies = [body for each in chosen if is_readable(body := each.body())][:TRIED]
    bodies.append(encoded(plain(whole)))
    with platform.scheduling():
        platform.deployed()
        for body in bodies:
            last = offer(platform.sales, body)
        platform.until(f"SELECT count(*) FROM locations WHERE manifest_hash = '{last}'", (1,))
        raw_is_made(platform)
    assert epoch(platform) == 1
    ((judged, accepted),) = platform.rows("SELECT count(*), count(accepted_at) FROM manifests WHERE team = 'sales'")
    assert judged > TRIED / 3
    assert accepted > TRIED / 3


def is_readable(body: bytes) -> bool:
    try:
        model.decode(body)
    except msgspec.MsgspecError:
        return False
    return True


def test_a_manifest_in_force_by_which_terms_end_is_put_aside_and_its_team_can_deploy_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, armed = Sensors.turn, False

    def fails(self: Sensors, *arguments: Any) -> bool:
        found = turn(self, *arguments)
        if armed and any(place.name == "poison" for place, _ in self._declared.values()):
            raise ZeroDivisionError("planted")
        return found

    monkeypatch.setattr(Sensors, "turn", fails)
    with platform.scheduling():
        platform.deployed()
        poison = offer(platform.sales, model.encode(POISON))
        platform.until("SELECT manifest_hash FROM locations WHERE team = 'sales'", (poison,))
        armed = True
        platform.until("SELECT manifest_hash FROM locations WHERE team = 'sales'", (None,))
        raw_is_made(platform)
        ended = epoch(platform)
        offer(platform.sales, model.encode(POISON))  # again, and in vain
        raw_is_made(platform)
        ((problems,),) = platform.rows("SELECT problems::text FROM locations WHERE team = 'sales'")
        assert [each["code"] for each in json.loads(problems)] == ["HR-Q018"]
        mended = offer(platform.sales, model.encode(MENDED))
        platform.until("SELECT manifest_hash FROM locations WHERE team = 'sales'", (mended,))
        raw_is_made(platform)
    assert epoch(platform) == ended <= 7


def test_a_manifest_is_not_put_aside_when_what_ended_terms_passes_just_while_it_is_left_out(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, armed, rehearsed = Sensors.turn, False, threading.Event()

    def fails(self: Sensors, *arguments: Any) -> bool:
        nonlocal armed
        found = turn(self, *arguments)
        if armed and not any(place.name == "poison" for place, _ in self._declared.values()):
            armed = False
            rehearsed.set()
        if armed:
            raise ZeroDivisionError("planted")
        return found

    monkeypatch.setattr(Sensors, "turn", fails)
    with platform.scheduling() as metrics:
        platform.deployed()
        innocent = offer(platform.sales, model.encode(POISON))
        platform.until("SELECT manifest_hash FROM locations WHERE team = 'sales'", (innocent,))
        armed = True
        assert rehearsed.wait(30)
        raw_is_made(platform)
        offer(platform.sales, model.encode(POISON))
        raw_is_made(platform)
    found = platform.rows("SELECT manifest_hash, problems::text FROM locations WHERE team = 'sales'")
    assert found == [(innocent, None)]
    assert metrics.terms.labels("rehearsed")._value.get() == 1


def test_a_large_manifest_that_takes_longer_to_judge_than_a_term_lasts_is_put_aside(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = arriving.manifest_defect

    def slow(judged: model.Manifest, now: datetime) -> str | None:
        until = time.thread_time() + 3.3  # PostgreSQL ends a leader's transaction that is idle for three seconds
        while judged.sensors and time.thread_time() < until:
            pass
        return judge(judged, now)

    monkeypatch.setattr(arriving, "manifest_defect", slow)
    monkeypatch.setattr(arriving, "SMALL_MANIFEST_BYTES", 10)
    with platform.scheduling():
        platform.deployed()
        for ended in (2, 3):  # twice, so that nothing that passes is blamed on it
            poison = offer(platform.sales, model.encode(POISON))
            eventually(lambda ended=ended: epoch(platform) == ended, what="a term has ended by it")  # type: ignore[misc]
            raw_is_made(platform)
            platform.sales.hash = poison
        offer(platform.sales, model.encode(POISON))
        platform.until("SELECT problems -> 0 ->> 'code' FROM locations WHERE team = 'sales'", ("HR-Q018",))
        raw_is_made(platform)
    assert epoch(platform) == 3
