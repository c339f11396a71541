"""Keeping watch over freshness: what turns warned of, late or fresh again is recorded once, and told to those who react to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pyroaring import BitMap

from hedgerow import clock
from hedgerow.freshness import policy_text
from hedgerow_scheduler.automation.freshness import FreshnessBoard, Status, Turned, Wanted
from hedgerow_scheduler.lifecycle.changes import FreshnessRecord
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot

TURN_S = 0.05  # after which a turn leaves the loop to others
SAYS = {"warn": "will be late soon", "late": "is late", "on_time": "is on time again"}
LEARNT_AT_ONCE = 1_000  # assets of which is read by one query what was made,
WINDOWS_AT_ONCE = 20_000  # or about so many partitions of assets by time
log = logging.getLogger("hedgerow.scheduler")


class MadeReader(Protocol):
    """What a watch reads."""

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """See metadata.store.Transaction."""


class FreshnessWatch:
    """The freshness of one term. What it finds goes into the snapshot's changes; `turned(asset)` hears of each asset that stands otherwise."""

    def __init__(
        self, snapshot: Snapshot, not_fresh: Iterable[tuple[str, str, Status]], turned: Callable[[str], None]
    ) -> None:
        self._snapshot, self._turned = snapshot, turned
        self._board = FreshnessBoard()
        self._board.recall(not_fresh)
        self._catalog: Catalog | None = None
        self._keys_seen = snapshot.key_sets.seq
        self._unknown: list[str] = []
        """Assets of which is to be read what was made."""
        snapshot.news.watched = self._board.watched.keys()

    def stands(self, key: str) -> tuple[BitMap, BitMap]:
        """The partitions of an asset that are warned of and late, as was told last."""
        return self._board.stands(key)

    def counts(self) -> Iterable[tuple[str, bool, bool]]:
        """Of each asset that is not fresh: its team, whether something is warned of, and whether something is late."""
        return self._board.counts()

    def is_behind(self) -> bool:
        """Whether it is not known of all assets how they stand: a takeover, or code that has just come into force."""
        return bool(self._unknown) or self._snapshot.catalog is not self._catalog

    def next_due(self) -> datetime | None:
        """When time alone makes a turn due."""
        return self._board.next_due()

    def turn(self, transaction: MadeReader, now: datetime, record: Callable[[], None]) -> bool:
        """Takes in what was made, and looks at what may stand otherwise. Returns whether there is more to do at once. `record` has the
        transaction take what was decided in this cycle.
        """
        until = clock.monotonic() + TURN_S
        for key, partition, at in self._snapshot.news.take_made():
            self._board.make(key, partition, at or now)
        if self._snapshot.catalog is not self._catalog:
            self._catalog = self._snapshot.catalog
            fresh = self._board.use(self._catalog)
            self._unknown = [*{*self._unknown, *fresh}]
        if self._keys_seen != (seq := self._snapshot.key_sets.seq):
            self._keys_seen = seq
            self._board.keys_changed()
        if self._unknown:
            record()
        while self._unknown and clock.monotonic() < until:
            self._learn(transaction, now)
        for turned in self._board.turn(now, lambda: clock.monotonic() > until):
            self._tell(turned, now)
        return self.is_behind() or self._board.is_due(now)

    def _learn(self, transaction: MadeReader, now: datetime) -> None:
        """Reads what was made of some of the assets of which that is not known."""
        wanted: dict[str, Wanted | None] = {}
        windows = 0
        while self._unknown and len(wanted) < LEARNT_AT_ONCE and windows < WINDOWS_AT_ONCE:
            key = self._unknown.pop()
            try:
                asked = wanted[key] = self._board.wanted(key, now)
            except Exception:  # a time zone that this machine does not know (any more): that asset's trouble alone
                log.exception("the freshness of %s can't be watched", key)
                continue
            windows += len(asked.names) if asked is not None else 0
        made = transaction.made(
            [key for key, which in wanted.items() if which is None],
            {key: which for key, which in wanted.items() if which is not None},
        )
        for key in wanted:
            self._board.learn(key, made.get(key, ()))
            if any(self._board.stands(key)):  # as another leader has told it
                self._turned(key)

    def _tell(self, turned: Turned, now: datetime) -> None:
        """Records how a partition stands now, and tells those who want to hear of it; not of one that is judged no longer."""
        key, partition = turned.key, turned.partition or ""
        status = turned.status if turned.status in ("warn", "late") else "on_time"
        self._snapshot.changes.freshness[key, partition] = FreshnessRecord(key, partition, turned.team, status)
        self._turned(key)
        if turned.status == "gone":
            return
        worse = turned.before if turned.status == "on_time" else turned.status
        severity = "error" if worse == "late" else "warn"
        self._snapshot.happenings.add(
            "asset_on_time" if turned.status == "on_time" else "asset_late", turned.team, now, (key,), self._says(turned),
            partition=partition, severity=severity,
        )  # fmt: skip

    def _says(self, turned: Turned) -> str:
        watched = self._board.watched[turned.key]
        what = f"Asset '{turned.key}'" + (f", partition {turned.partition}," if turned.partition else "")
        return f"{what} {SAYS[turned.status]}: {policy_text(watched.policy)}."
