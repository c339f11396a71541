"""A team floods its own stream with 100,000 events of all kinds of nonsense: they are put aside, and the neighbours go on."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psycopg
import pytest
import redis
from support.locations import write_location
from support.town import Town, town

from hedgerow import clock
from hedgerow.protocol.envelope import encode_batch

EVENTS = 100_000
AT_ONCE = 50
PAUSE_S = 0.005
STEPS = 60
CHAIN = "import hedgerow as hr\n\n\n@hr.asset\ndef a000() -> None: ...\n" + "".join(
    f"\n@hr.asset(deps=[a{number - 1:03}])\ndef a{number:03}() -> None: ...\n" for number in range(1, STEPS)
)


def write(root: Path) -> None:
    write_location(root / "good", "good", CHAIN, slots=2)
    write_location(root / "evil", "evil", "import hedgerow as hr\n\n\n@hr.asset\ndef e() -> None: ...\n", slots=1)


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town(write) as found:
        yield found


def nonsense(draw: random.Random, attempts: list[str]) -> bytes:
    """One event as only an attacker or a broken worker sends it."""
    worker = draw.choice(["w-" + str(draw.randrange(50)), "", "x" * 5000, "w\x00"])
    at_ms = draw.choice([0, -1, 2**62, clock.now_ms() + 86_400_000])
    about = {
        "attempt_id": draw.choice([*attempts, "", "é" * 300, "0"]),
        "token": draw.choice(["", "guess", "x" * 9000]),
    }
    bodies: list[tuple[str, object]] = [
        ("attempt_started", about),
        ("attempt_succeeded", {**about, "duration_ms": 1e308}),
        ("asset_materialized", {**about, "asset": draw.choice(["a000", "e", ""]), "metadata": {"deep": [[[[]]]]}}),
        (
            "attempt_failed",
            {**about, "reason": "user_error", "error": {"code": "X", "message": "é\x00", "remedy": ""}},
        ),
        ("worker_heartbeat", {"location": "good", "manifest": "0" * 64, "queues": ["default"], "slots": 10**9}),
        ("manifest_published", {"team": "good", "location": "good", "hash": "0" * 64, "size_bytes": -1}),
        ("no_such_kind", {"a": 1}),
        ("attempt_started", "no body"),
        ("check_evaluated", {**about, "asset": "a000", "check": "", "passed": "perhaps"}),
    ]
    kind, body = draw.choice(bodies)
    seq = draw.choice([0, 1, 2, 10**15, -5])
    envelope = {
        "id": "i",
        "kind": kind,
        "v": draw.choice([1, 99]),
        "body": body,
        "at_ms": at_ms,
        "worker": worker,
        "seq": seq,
    }
    text = json.dumps(envelope).encode()
    return draw.choice([text] * 10 + [b"null", b'"text"', b"[]", text.replace(b'"body"', b'"no_body"')])


def entry_of(draw: random.Random, attempts: list[str]) -> bytes:
    """An entry of the stream, most often one that can be taken apart."""
    whole = encode_batch([nonsense(draw, attempts) for _ in range(AT_ONCE)])
    return draw.choice([whole] * 30 + [b"\xff" * 100, b"[", whole[:-3], b"\xff\xfe" + whole, b'{"a": [1, 2, 3]}'])


def chain_ms(place: Town) -> float:
    """Milliseconds from one recorded end to the next, the median of a chain."""
    run = place.launch(f"a{STEPS - 1:03}", f"+a{STEPS - 1:03}")
    assert place.finished(run)["state"] == "succeeded"
    with psycopg.connect(place.platform.urls["database"]) as connection:
        ends = [
            row[0]
            for row in connection.execute("SELECT ended_at FROM steps WHERE run_id = %s ORDER BY ended_at", [run])
        ]
    return median((later - before).total_seconds() * 1000 for before, later in itertools.pairwise(ends))


def test_a_flood_of_nonsense_is_put_aside_and_stops_no_neighbour(place: Town) -> None:
    draw = random.Random(5)
    chain_ms(place)
    calm = [chain_ms(place) for _ in range(5)]
    before = place.counts()
    with psycopg.connect(place.platform.urls["database"]) as connection:
        attempts = [str(row[0]) for row in connection.execute("SELECT id FROM attempts LIMIT 20")]
    broker = redis.Redis.from_url(place.platform.urls["broker"])
    (stream,) = [key.decode() for key in broker.keys("*evil*") if key.endswith(b"events")]
    entries = [entry_of(draw, attempts) for _ in range(EVENTS // AT_ONCE)]

    def flood() -> None:
        for entry in entries:
            broker.xadd(stream, {draw.choice([b"b"] * 30 + [b"other"]): entry})
            time.sleep(PAUSE_S)

    thread = threading.Thread(target=flood)
    thread.start()
    flooded = []
    while thread.is_alive() or len(flooded) < 5:
        flooded.append(chain_ms(place))
    thread.join()
    place.succeeds("e")
    with psycopg.connect(place.platform.urls["database"]) as connection:
        reasons = Counter(
            dict(
                connection.execute(
                    "SELECT left(reason, 40), count(*) FROM quarantine WHERE team = 'evil' GROUP BY 1"
                ).fetchall()
            )
        )
        others = connection.execute("SELECT count(*) FROM quarantine WHERE team <> 'evil'").fetchone()
        terms = connection.execute("SELECT epoch FROM leader").fetchone()
    print(
        f"\ncalm {sorted(calm)}, flooded {sorted(flooded)}: {median(flooded) / median(calm):.2f}; {reasons.total()} put aside: {dict(reasons.most_common(12))}"
    )
    assert others == (0,)
    assert terms == (1,)
    assert sum(reasons.values()) > EVENTS / 4
    after = place.counts()
    runs = len(flooded) + 1
    assert after["runs"] == before["runs"] + runs
    assert after["attempts"] == before["attempts"] + STEPS * len(flooded) + 1
