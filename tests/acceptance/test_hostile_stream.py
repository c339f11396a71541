"""A team floods its own stream with 100,000 events of all kinds of nonsense: each is put aside or counted, and the neighbours go on."""

from __future__ import annotations

import itertools
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
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
CHAINS = 5
PORTIONS = 5
WITHIN_S = 180
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
    with town(write, {"HEDGEROW_LEASE_S": "20"}) as found:
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


def flood(broker: Any, stream: str, pieces: Sequence[Piece], sent: Sent) -> None:
    """Writes everything, as one who is in no great hurry."""
    for number, piece in enumerate(pieces, 1):
        entry_id = "*" if number % AHEAD_EVERY else f"{clock.now_ms() + AHEAD_MS}-{number}"
        sent.ids.append(broker.xadd(stream, piece.fields, id=entry_id))
        sent.outcomes.update(piece.outcomes)
        time.sleep(PAUSE_S)


def started(work: Callable[..., None], *arguments: object) -> threading.Thread:
    """A thread at work."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread


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


def busy_s() -> tuple[float, float]:
    """Seconds for which this machine's processors have been at work, and those of them for this platform and this test."""
    ours = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):
            ours += sum(process.cpu_times()[:2])
    of_all = psutil.cpu_times()
    return sum(of_all) - of_all.idle - of_all.iowait, ours


class Reading:
    """Watches the cursor while a portion of the flood is written and read."""

    def __init__(self, place: Town, writing: threading.Thread, sent: Sent) -> None:
        self._place, self._writing, self._sent = place, writing, sent
        self._reached: list[tuple[int, ...]] = []
        self._until = time.monotonic() + WITHIN_S

    def is_over(self) -> bool:
        """Whether all was written and read."""
        assert time.monotonic() < self._until, f"the cursor is at {self._reached[-1]}, not at {self._sent.ids[-1]!r}"
        is_written = not self._writing.is_alive()
        self._reached.append(position(self._place))
        return is_written and self._reached[-1] >= ids(self._sent.ids[-1].decode())

    def judge(self) -> None:
        """The cursor neither went back nor stood still."""
        assert self._reached == sorted(self._reached)
        assert len(set(self._reached)) > len(self._reached) // 2


class Phase:
    """How fast the neighbour's chains were in one kind of time, and how much of the machine others used meanwhile."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps_ms: list[float] = []
        self._lasted_s = self._others_s = 0.0

    def lasts(self, place: Town, is_over: Callable[[], bool] = lambda: True) -> None:
        """Runs chains until then, `CHAINS` at least."""
        began, (all_s, ours_s) = time.monotonic(), busy_s()
        for ran in itertools.count(1):
            self.steps_ms += chain_ms(place)
            if ran >= CHAINS and is_over():
                break
        all_now_s, ours_now_s = busy_s()
        self._lasted_s += time.monotonic() - began
        self._others_s += all_now_s - all_s - (ours_now_s - ours_s)

    def told(self, calm: Phase) -> str:
        """Mean, median and 95th percentile, each also as a part of what it is when all is calm."""
        measures: list[tuple[str, Callable[[list[float]], float]]] = [
            ("mean", statistics.fmean),
            ("p50", statistics.median),
            ("p95", lambda some: statistics.quantiles(some, n=20)[-1]),
        ]
        values = (
            f"{name} {of(self.steps_ms):.2f} ms ({of(self.steps_ms) / of(calm.steps_ms):.2f})" for name, of in measures
        )
        others = self._others_s / self._lasted_s
        return f"{self.name:32} {', '.join(values)}; {len(self.steps_ms)} steps, others used {others:.2f} processors"


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
    places = "SELECT team, location, manifest_hash, problems FROM locations WHERE location <> 'trap' ORDER BY location"
    owners = "SELECT key, team, location FROM asset_owners ORDER BY key"
    before, placed, owned = place.counts(), rows(place, places), rows(place, owners)
    account = Account(place, broker, stream)
    sent = Sent([], Counter())
    # The machine may have other things to do, so that calm and flood take turns; what writing costs is seen with a stream that no one reads.
    calm, writing, flooded = Phase("calm"), Phase("beside a stream that no one reads"), Phase("beside the flood")
    lasted_s = 0.0
    size = -(-len(pieces) // PORTIONS)
    for start in range(0, len(pieces), size):
        portion = pieces[start : start + size]
        calm.lasts(place)
        thread = started(flood, broker, "unread", portion, Sent([], Counter()))
        writing.lasts(place, lambda thread=thread: not thread.is_alive())  # type: ignore[misc]
        broker.delete("unread")
        began = time.monotonic()
        thread = started(flood, broker, stream, portion, sent)
        reader = Reading(place, thread, sent)
        flooded.lasts(place, reader.is_over)
        lasted_s += time.monotonic() - began
        reader.judge()
    print(f"\n{EVENTS:,} events in {len(pieces):,} entries, written and read in {lasted_s:.0f} s")
    for phase in (calm, writing, flooded):
        print(phase.told(calm))

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
    after, chains = place.counts(), sum(len(phase.steps_ms) for phase in (calm, writing, flooded)) // (STEPS - 1)
    assert after["runs"] == before["runs"] + chains + 1
    assert after["attempts"] == before["attempts"] + chains * STEPS + 1  # and no step was tried twice
