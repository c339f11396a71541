"""The store as a leader uses it: one transaction per cycle. PostgreSQL keeps it (metadata.postgres_store)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import msgspec

from hedgerow_scheduler.automation.freshness import Status as Aged
from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.automation.pauses import Pause
from hedgerow_scheduler.automation.reactions import Delivery
from hedgerow_scheduler.automation.schedules import Standing
from hedgerow_scheduler.automation.sensors import SensorStanding
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Attempt, Run, Step, Worker
from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.metadata.automation import StoredFacts
from hedgerow_scheduler.metadata.backfills import Known
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.metadata.runs import RequestedRun
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.former_columns import Former
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.planning.staleness import Pair, Status
from hedgerow_scheduler.planning.unchanged import Earlier

DedupeKey: TypeAlias = tuple[str, str, str]  # the sensor's team and name, and the key
# What an attempt holds beyond queue and team: limits, and how many slots of each.
Holds: TypeAlias = tuple[tuple[LimitId, int], ...]


class State(msgspec.Struct, frozen=True):
    """What a new leader begins with.

    `levels` are token buckets with their time, `sequences` what is recorded of each worker, by (team, id); `broken` are the locations
    whose newest code can't be used; `last_ends` tells when the last attempt of a step that waits for a retry ended, by run and number;
    `attempts` are those of `runs` whose outcome may still come, `holds` what those that are out hold; `cursors` how far each team's
    stream was folded: (position, epoch); `schedules` and `sensors` how far each has come, `deliveries` what reactions are still to be told, `memories` what each asset's condition remembers;
    `key_sets` are the keys that the dynamic partitions of `catalog` and `accepted` are bound to;
    `lately` are the hashes of manifests that came into force lately, the latest first;
    `not_fresh` are (asset, partition, status); `backfills` are those that were taken up and have not ended.
    """

    catalog: Catalog
    overrides: tuple[Override, ...]
    levels: Mapping[LimitId, tuple[float, datetime]]
    owners: dict[str, tuple[str, str]]
    accepted: Sequence[PublishedManifest]
    dispatch_seq: int
    sequences: dict[tuple[str, str], int]
    workers: Sequence[Worker]
    broken: set[tuple[str, str]]
    runs: Sequence[Run]
    last_ends: Mapping[tuple[str, int], datetime]
    attempts: Sequence[Attempt]
    holds: Mapping[str, Holds]
    cursors: dict[str, tuple[str, str]]
    schedules: Sequence[Standing] = ()
    sensors: Sequence[SensorStanding] = ()
    deliveries: Sequence[Delivery] = ()
    memories: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    backfills: Sequence[Known] = ()
    not_fresh: Sequence[tuple[str, str, Aged]] = ()
    key_sets: KeySets = msgspec.field(default_factory=KeySets)
    lately: Sequence[str] = ()


class Transaction(Protocol):
    """What is read and written within a cycle."""

    def now(self) -> datetime:
        """The store's clock, the only one that decides anything."""

    def state(self, start_timeout: timedelta) -> State:
        """Everything that lives."""

    def stay(self) -> None:
        """Says, amid something that takes long, that the leader is at work: nobody takes its lead, or its session for frozen."""

    def teams(self) -> list[str]:
        """Every registered team."""

    def overrides(self) -> tuple[Override, ...]:
        """What operators have set, by kind, name and field."""

    def pauses(self) -> tuple[Pause, ...]:
        """What operators hold back of everything automatic."""

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
        """What is recorded of these assets; of `with_failures` also which partitions failed last."""

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """What is current, as partitions with the times at which they were made, the earliest first: of `keys` everything, of assets by time
        what is wanted.
        """

    def requested_runs(self) -> list[RequestedRun]:
        """The oldest runs that are to be planned."""

    def pending_commands(self) -> list[PendingCommand]:
        """The oldest commands that are to be applied."""

    def run(self, run_id: str) -> Run | None:
        """A run with its steps, whatever its state."""

    def requested_backfills(self) -> list[Known]:
        """The oldest backfills that are to be taken up."""

    def backfill(self, backfill_id: str) -> Known | None:
        """A backfill, whatever its state."""

    def earlier(self, pairs: Sequence[Pair]) -> Mapping[Pair, Earlier]:
        """What the current materializations of (asset, partition) pairs were made from, as `stored` reads."""

    def former(self, assets: Collection[str]) -> Mapping[str, Former]:
        """The columns of what was accepted last of assets, as `stored` reads."""

    def statuses(self, catalog: Catalog, pairs: Iterable[Pair], now: datetime) -> Mapping[Pair, Status]:
        """What (asset, partition) pairs are, missing, stale or fresh, as of the beginning of the transaction."""

    def launched_keys(self, keys: Collection[DedupeKey]) -> Mapping[DedupeKey, str]:
        """The ids of the runs that sensors have launched for some of these dedupe keys."""

    def given_up(self, team: str, name: str) -> Sequence[Delivery]:
        """The deliveries of a reaction that were given up, the oldest first, as of the beginning of the transaction."""

    def remove_expired(self, gone: Sequence[Override]) -> None:
        """Removes overrides whose time is over."""

    def stored(self, pairs: Sequence[tuple[str, str]]) -> Stored:
        """What is current of (asset, partition) pairs, with all that was written before in this transaction."""

    def judgeable(self, steps: Sequence[Step]) -> Mapping[tuple[str, int], Judgeable]:
        """What steps that judge are to judge, by run and number, as `stored` reads."""

    def write(self, changes: Changes, now: datetime, *, at_once: bool = False) -> None:
        """Records changes; they count as recorded, though they are not before the transaction ends well. `at_once`: the store begins
        with them while the caller goes on.
        """

    def rehearse(self) -> None:
        """Does everything that the transaction's end would do, short of recording it. The caller then leaves it with an error."""


class Store(Protocol):
    """Transactions of one term of leadership."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Commits at its end, unless an error leaves it, another leads (StaleWriteError), or something was not as it was known to be."""
