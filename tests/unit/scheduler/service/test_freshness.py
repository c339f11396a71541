"""What the leader records and tells of freshness: each change once, whoever leads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from support.aged import Aging, Assets, catalog_of

from hedgerow.freshness import fresh_within
from hedgerow.partitions import static
from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Materialization
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.freshness import FreshnessWatch

BEGIN = datetime(2026, 1, 5, 6, tzinfo=UTC)
POLICY = fresh_within("26h", warn="24h")
ASSETS: Assets = {
    "orders": Aging(POLICY),
    "keyed": Aging(POLICY, static("de", "no")),
    "other": Aging(),
    "feed": Aging(POLICY, external=True),
}


class Deployment:
    """What is recorded, and a leader that can be followed by another."""

    def __init__(self, assets: Assets) -> None:
        self.now = BEGIN
        self.made_at: dict[str, list[tuple[str, datetime]]] = {}
        self.rows: dict[tuple[str, str], str] = {}
        self.assets = assets
        self.reads = 0
        self.lead()

    def lead(self) -> None:
        """A leader takes over."""
        self.snapshot = Snapshot(catalog_of(self.assets))
        self.snapshot.happenings.wanted = frozenset({"asset_late", "asset_on_time"})
        self.turned: list[str] = []
        rows = [(asset, partition, status) for (asset, partition), status in self.rows.items()]
        self.watch = FreshnessWatch(self.snapshot, rows, self.turned.append)  # type: ignore[arg-type]

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """What the database would say."""
        self.reads += 1
        return {key: self.made_at.get(key, []) for key in (*keys, *windows)}

    def make(self, key: str, partition: str = "") -> None:
        """A step has ended."""
        output = Materialization(
            "a", key, partition, "r", 0, 1, MaterializationState.CURRENT, None, "", "", {}, ()
        )  # fmt: skip
        self.snapshot.news.made(output, frozenset(), True)
        made = self.made_at.setdefault(key, [])
        made[:] = [one for one in made if one[0] != partition] + [(partition, self.now)]

    def cycle(self, **later: Any) -> list[tuple[Any, ...]]:
        """A cycle of the leader, some time later; what is told."""
        self.now += timedelta(**later)
        while self.watch.turn(self, self.now, lambda: None):
            pass
        changes, self.snapshot.changes = self.snapshot.changes, Changes()
        for place, record in changes.freshness.items():
            if record.status == "on_time":
                del self.rows[place]
            else:
                self.rows[place] = record.status
        told = sorted(self.snapshot.happenings.take(), key=lambda one: (one.asset, one.partition))
        return [(one.kind, one.asset, one.partition, one.severity) for one in told]


def test_each_change_is_told_and_recorded_once() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    here.make("orders")
    here.make("other")
    assert here.cycle() == []
    assert here.cycle(hours=24) == [("asset_late", "orders", "", "warn")]
    assert here.cycle(hours=1) == []
    assert here.cycle(hours=1) == [("asset_late", "orders", "", "error")]
    assert here.rows == {("orders", ""): "late"}
    here.make("orders")
    assert here.cycle() == [("asset_on_time", "orders", "", "error")]  # the severity is that of what is over
    assert here.rows == {}


def test_the_next_leader_tells_what_the_one_before_did_not() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    for name in ("keyed@de", "keyed@no", "orders"):
        here.make(*name.split("@"))
        here.cycle()
        here.cycle(hours=1)
    assert here.cycle(hours=23) == [
        ("asset_late", "keyed", "de", "error"),
        ("asset_late", "keyed", "no", "warn"),
        ("asset_late", "orders", "", "warn"),
    ]
    recorded = dict(here.rows)
    here.lead()
    assert here.cycle() == []
    assert here.rows == recorded
    here.make("keyed", "de")  # recorded by a leader that has not told it
    here.lead()
    assert here.cycle(hours=1) == [("asset_on_time", "keyed", "de", "error"), ("asset_late", "keyed", "no", "error")]


def test_conditions_hear_of_what_stood_otherwise_before_the_takeover() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    here.make("orders")
    here.cycle()
    here.cycle(hours=30)
    here.lead()
    assert here.watch.is_behind()
    here.cycle()
    assert not here.watch.is_behind()
    assert here.turned == ["orders"]
    assert here.watch.stands("orders")[1]
    assert list(here.watch.counts()) == [("sales", False, True)]


def test_what_is_known_is_not_read_again_after_a_deploy() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    reads = here.reads
    here.snapshot.catalog = catalog_of({**ASSETS, "more": Aging()})
    assert here.cycle() == []
    assert here.reads == reads
    here.snapshot.catalog = catalog_of({**ASSETS, "orders": Aging(fresh_within("1h"))})
    here.cycle()
    assert here.reads == reads + 1


def test_an_asset_without_a_policy_any_more_is_forgotten_and_not_called_on_time() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    here.make("orders")
    here.cycle()
    here.cycle(hours=30)
    here.snapshot.catalog = catalog_of({**ASSETS, "orders": Aging()})
    assert here.cycle() == []
    assert here.rows == {}


def test_the_message_says_what_should_be() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    here.make("keyed", "no")
    here.cycle()
    here.now += timedelta(hours=26)
    here.watch.turn(here, here.now, lambda: None)
    (told,) = here.snapshot.happenings.take()
    assert told.message == "Asset 'keyed', partition no, is late: within 26 h, warned of from 24 h on."
    assert told.team == "sales"
    assert told.at == here.now


def test_an_external_asset_is_as_old_as_what_was_seen_of_it() -> None:
    here = Deployment(ASSETS)
    here.cycle()
    here.snapshot.news.seen("feed")
    here.made_at["feed"] = [("", here.now)]
    assert here.cycle() == []
    assert here.cycle(hours=24) == [("asset_late", "feed", "", "warn")]
    here.lead()
    assert here.cycle(hours=2) == [("asset_late", "feed", "", "error")]
    here.snapshot.news.seen("feed")
    assert here.cycle() == [("asset_on_time", "feed", "", "error")]
