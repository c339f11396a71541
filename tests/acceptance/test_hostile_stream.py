"""A team floods its own stream with 100,000 events of all kinds of nonsense: each is put aside or counted, and the neighbours go on."""

from __future__ import annotations

import itertools
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from support.locations import write_location
from support.nonsense import Nonsense, Piece, Target
from support.processes import eventually
from support.town import Town, town

from hedgerow import clock
from hedgerow.protocol.envelope import split_batch
from hedgerow.protocol.events import STREAM_FIELD

EVENTS = 100_000
PAUSE_S = 0.005
AHEAD_EVERY = 100  # entries, of which one has an id of its own, ten minutes ahead: those that follow come after it
AHEAD_MS = 600_000
STEPS = 60
CALM = 5
WITHIN_S = 300
CHAIN = "import hedgerow as hr\n\n\n@hr.asset\ndef a000() -> None: ...\n" + "".join(
    f"\n@hr.asset(deps=[a{number - 1:03}])\ndef a{number:03}() -> None: ...\n" for number in range(1, STEPS)
)
HELD = """

@hr.asset
def {team}_held() -> None:
    import time
    from pathlib import Path

    while not Path("{root}/let_go").exists():
        time.sleep(0.1)
"""


def write(root: Path) -> None:
    evil = "import hedgerow as hr\n\n\n@hr.asset\ndef e() -> None: ...\n"
    write_location(root / "good", "good", CHAIN + HELD.format(team="good", root=root), slots=2)
    write_location(root / "evil", "evil", evil + HELD.format(team="evil", root=root), slots=2)


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town(write) as found:
        yield found


class Sent(NamedTuple):
    """What was written: the ids of the entries and what must become of their events."""

    ids: list[bytes]
    outcomes: Counter[str]


def rows(place: Town, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(place.platform.urls["database"]) as connection:
        return connection.execute(statement, values).fetchall()


def chain_ms(place: Town) -> list[float]:
    """Milliseconds from one recorded end of a chain's steps to the next."""
    run = place.launch(f"a{STEPS - 1:03}", f"+a{STEPS - 1:03}")
    assert place.finished(run)["state"] == "succeeded"
    ends = [row[0] for row in rows(place, "SELECT ended_at FROM steps WHERE run_id = %s ORDER BY ended_at", run)]
    return [(later - before).total_seconds() * 1000 for before, later in itertools.pairwise(ends)]


def counted(place: Town) -> Counter[str]:
    """What the scheduler says that became of the events of `evil`, in the words of the fold."""
    found: Counter[str] = Counter()
    page = httpx.get(place.platform.urls["scheduler_metrics"], trust_env=False).text
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.labels.get("team") != "evil" or not sample.name.endswith("_total"):
                continue
            if sample.name == "hedgerow_stale_events_rejected_total":
                found[f"stale:{sample.labels['reason']}"] += int(sample.value)
            elif sample.name.startswith("hedgerow_events_"):
                found[sample.name.removeprefix("hedgerow_events_").removesuffix("_total")] += int(sample.value)
    return found


def running(place: Town, team: str) -> tuple[str, str]:
    """Id and token of the attempt that a team's worker holds until it is let go."""
    place.launch(f"{team}_held")
    statement = "SELECT id::text, token FROM attempts WHERE team = %s AND state = 'running'"
    ((attempt_id, token),) = eventually(lambda: rows(place, statement, team), what=f"{team}_held runs")
    return attempt_id, token


def flood(broker: Any, stream: str, pieces: list[Piece], sent: Sent) -> None:
    """Writes everything, as one who is in no great hurry."""
    for number, piece in enumerate(pieces, 1):
        entry_id = "*" if number % AHEAD_EVERY else f"{clock.now_ms() + AHEAD_MS}-{number}"
        sent.ids.append(broker.xadd(stream, piece.fields, id=entry_id))
        sent.outcomes.update(piece.outcomes)
        time.sleep(PAUSE_S)


def ids(entry_id: str) -> tuple[int, ...]:
    """An entry's id, to be compared."""
    return tuple(map(int, entry_id.split("-")))


def position(place: Town) -> tuple[int, ...]:
    """How far the stream of `evil` is read."""
    ((found,),) = rows(place, "SELECT position FROM cursors WHERE team = 'evil'")
    return ids(found)


class Account:
    """What became of the events of `evil` since now, against what was written since: by the flood, and by the team's own worker."""

    def __init__(self, place: Town, broker: Any, stream: str) -> None:
        self._place, self._broker, self._stream = place, broker, stream
        found = eventually(self._at_rest, what="a moment in which all is read and counted")
        assert found is not None
        self._since, self._known = found
        self._honest = 0  # events of the team's own worker up to `_since`, which moves on

    def settled(self, sent: Sent) -> Counter[str]:
        """What became of the events, once it is exactly as many as were written; before, nothing."""
        own = set(sent.ids)
        for entry_id, fields in self._broker.xrange(self._stream, min="(" + self._since):
            self._honest += len(split_batch(fields[STREAM_FIELD])) if entry_id not in own else 0
            self._since = entry_id.decode()
        now = counted(self._place)
        now.subtract(self._known)
        return +now if now.total() == sent.outcomes.total() + self._honest else Counter()

    def _last(self) -> str:
        return str(self._broker.xinfo_stream(self._stream)["last-generated-id"], "ascii")

    def _at_rest(self) -> tuple[str, Counter[str]] | None:
        last = self._last()
        if position(self._place) != ids(last):
            return None
        time.sleep(0.1)  # what was recorded is counted a moment later
        known = counted(self._place)
        return (last, known) if self._last() == last else None


def while_it_lasts(place: Town, is_over: Callable[[], bool]) -> list[float]:
    """The chains' pace until then, of `CALM` chains at least."""
    found: list[list[float]] = []
    while len(found) < CALM or not is_over():
        found.append(chain_ms(place))
    return list(itertools.chain.from_iterable(found))


def told(name: str, found: list[float], calm: list[float]) -> str:
    """Mean, median and 95th percentile, each also as parts of what they are when all is calm."""
    measures: list[tuple[str, Callable[[list[float]], float]]] = [
        ("mean", statistics.fmean),
        ("p50", statistics.median),
        ("p95", lambda some: statistics.quantiles(some, n=20)[-1]),
    ]
    values = (f"{what} {of(found):.2f} ms ({of(found) / of(calm):.2f})" for what, of in measures)
    return f"{name:34} {', '.join(values)}, {len(found)} steps"


def test_each_event_of_a_flood_is_put_aside_or_counted_and_the_neighbours_go_on(place: Town) -> None:
    broker: Any = redis.Redis.from_url(place.platform.urls["broker"])
    (stream,) = (key.decode() for key in broker.keys("*:evil:events"))
    theirs, own = running(place, "good"), running(place, "evil")
    chain_ms(place)
    ((over,),) = rows(place, "SELECT id::text FROM attempts WHERE team = 'good' AND state = 'succeeded' LIMIT 1")
    targets = [
        Target(theirs[0], "guess", "other_team", "good_held"),
        Target(*theirs, "other_team", "good_held"),
        Target(own[0], "guess", "other_token", "evil_held"),
        Target(*own, "other_asset", "good_held"),
        Target(over, "guess", "unknown_attempt", "a000"),
        Target("é" * 300, "x" * 9000, "unknown_attempt"),
    ]
    nonsense = Nonsense(random.Random(5), clock.now_ms(), "evil", "good", "a000", targets)
    pieces = list(nonsense.pieces(EVENTS))
    calm = while_it_lasts(place, lambda: True)

    # The machine has two cores: what writing costs it is seen with a stream that no one reads.
    unread = threading.Thread(target=flood, args=(broker, "unread", pieces, Sent([], Counter())))
    unread.start()
    beside_writing = while_it_lasts(place, lambda: not unread.is_alive())
    broker.delete("unread")
    calm += while_it_lasts(place, lambda: True)

    places = "SELECT team, location, manifest_hash, problems FROM locations WHERE location <> 'trap' ORDER BY location"
    owners = "SELECT key, team, location FROM asset_owners ORDER BY key"
    before, placed, owned = place.counts(), rows(place, places), rows(place, owners)
    account = Account(place, broker, stream)
    sent = Sent([], Counter())
    writing = threading.Thread(target=flood, args=(broker, stream, pieces, sent))
    began = time.monotonic()
    writing.start()
    flooded = while_it_lasts(place, lambda: not writing.is_alive())
    wrote_s = time.monotonic() - began

    last = ids(sent.ids[-1].decode())
    reached: list[tuple[int, ...]] = []

    def is_read() -> bool:
        reached.append(position(place))
        assert time.monotonic() - began < WITHIN_S, f"the cursor is at {reached[-1]}, not at {last}"
        return reached[-1] >= last

    flooded += while_it_lasts(place, is_read)
    read_s = time.monotonic() - began
    print(f"\n{EVENTS:,} events in {len(pieces):,} entries written in {wrote_s:.0f} s, read in {read_s:.0f} s")
    for name, found in (
        ("calm", calm),
        ("beside a stream that no one reads", beside_writing),
        ("beside the flood", flooded),
    ):
        print(told(name, found, calm))

    assert reached == sorted(reached)  # the cursor never went back
    if reached[1:]:
        assert len(set(reached)) > len(reached) // 2  # nor did it stand still
    became = eventually(lambda: account.settled(sent), within=60, what="all events are accounted for")
    print(f"{became.total():,} events: {dict(became.most_common())}")
    del became["ingested"]  # which the team's own worker's are too
    assert became == Counter({what: count for what, count in sent.outcomes.items() if what != "ingested"})
    asides = rows(place, "SELECT team, count(*), bool_and(reason <> '') FROM quarantine GROUP BY team")
    assert asides == [("evil", sent.outcomes["quarantined"], True)]
    assert rows(place, places) == placed
    assert rows(place, owners) == owned
    for attempt_id, token in (theirs, own):
        assert rows(place, "SELECT state, token FROM attempts WHERE id = %s", attempt_id) == [("running", token)]
    assert rows(place, "SELECT epoch FROM leader") == [(1,)]

    # The team's own honest work goes on, even while what it reports is removed unread for some seconds.
    (place.root / "let_go").touch()
    for _ in range(100):
        broker.xadd(stream, {STREAM_FIELD: b"[]"}, maxlen=0, approximate=False)
        time.sleep(0.02)
    place.succeeds("e")
    statement = "SELECT count(*) FROM attempts WHERE state <> 'succeeded'"
    eventually(lambda: rows(place, statement) == [(0,)], within=60, what="every attempt has succeeded")
    after, chains = place.counts(), (len(calm) + len(beside_writing) + len(flooded)) // (STEPS - 1)
    assert after["runs"] == before["runs"] + len(flooded) // (STEPS - 1) + 1
    assert after["attempts"] == (chains + 1) * STEPS + 3  # and no step was tried twice
