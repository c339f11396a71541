"""Freshness of dynamic partitions: keys that go are late no more, and of a product with time every key is judged by its windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from support.scheduling import asset, manifest

from hedgerow.freshness import FreshWithin
from hedgerow.partitions import Partitions
from hedgerow.partitions.constructors import daily, dynamic, static
from hedgerow_scheduler.automation.freshness import FreshnessBoard
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Board:
    """A board with one asset that is partitioned by a set of customers, of which some exist."""

    def __init__(self, partitions: Partitions, within: timedelta, *keys: str) -> None:
        sets = KeySets()
        declared = sets.bind(manifest("sales", asset("invoices", partitions=partitions)))
        policy = FreshWithin(int(within.total_seconds() * 1000))
        assets = tuple(msgspec.structs.replace(each, freshness=policy) for each in declared.assets)
        self.keys = sets.of("sales", "customers")
        for key in keys:
            self.keys.add(key)
        self.board = FreshnessBoard()
        self.board.use(Catalog([PublishedManifest("h", msgspec.structs.replace(declared, assets=assets))]))

    def change(self, *, add: str = "", remove: str = "") -> None:
        if add:
            self.keys.add(add)
        if remove:
            self.keys.remove(remove)
        self.board.keys_changed()

    def told(self, at: datetime) -> list[tuple[str | None, str]]:
        return [(each.partition, each.status) for each in self.board.turn(at)]


def test_a_removed_key_is_gone_and_late_again_when_it_comes_back() -> None:
    of = Board(dynamic("customers"), HOUR, "acme", "globex")
    of.board.learn("invoices", [("acme", NOON), ("globex", NOON)])
    assert of.told(NOON) == []
    assert of.told(NOON + 2 * HOUR) == [("acme", "late"), ("globex", "late")]
    of.change(remove="acme")
    assert of.told(NOON + 2 * HOUR) == [("acme", "gone")]
    of.change(add="initech")
    assert of.told(NOON + 3 * HOUR) == []
    of.change(add="acme")
    assert of.told(NOON + 3 * HOUR) == [("acme", "late")]
    of.board.make("invoices", "acme", NOON + 3 * HOUR)
    assert of.told(NOON + 3 * HOUR) == [("acme", "on_time")]


def test_of_a_product_with_days_every_key_is_late_by_its_own_day_and_none_before_the_first_that_was_made() -> None:
    of = Board(daily("2026-01-01") * static("a", "b", dim="kind") * dynamic("customers"), HOUR, "acme", "globex")
    assert of.board.wanted("invoices", NOON) is not None
    assert (of.board.wanted("invoices", NOON) or (0, -1))[1] == 0
    day = "2026-01-04"
    of.board.learn("invoices", [(f"{day}|a|acme", NOON), (f"{day}|b|globex", NOON)])
    assert of.told(NOON) == [(f"{day}|b|acme", "late"), (f"{day}|a|globex", "late")]
    of.board.make("invoices", f"{day}|b|acme", NOON)
    of.change(remove="globex")
    assert of.told(NOON) == [(f"{day}|b|acme", "on_time"), (f"{day}|a|globex", "gone")]
    later = NOON + DAY
    assert of.told(later) == [("2026-01-05|a|acme", "late"), ("2026-01-05|b|acme", "late")]
    of.change(add="initech")
    assert of.told(later) == [("2026-01-05|a|initech", "late"), ("2026-01-05|b|initech", "late")]


def test_windows_before_the_first_that_was_made_are_not_judged_of_any_key() -> None:
    of = Board(daily("2026-01-01") * dynamic("customers"), timedelta(days=3), "acme", "globex")
    of.board.learn("invoices", [("2026-01-04|globex", NOON)])
    assert of.told(NOON) == []
