"""A store for the leader's loop that encodes whatever it is to record and keeps of it only what the loop asks for again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from hedgerow.manifest.model import decode
from hedgerow.protocol.references import Reference
from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.automation.pauses import Pause
from hedgerow_scheduler.automation.reactions import Delivery
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.lifecycle.states import MaterializationState
from hedgerow_scheduler.metadata.automation import MadeRow, StoredFacts
from hedgerow_scheduler.metadata.backfills import Known
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.metadata.recording import gather
from hedgerow_scheduler.metadata.runs import RequestedRun
from hedgerow_scheduler.metadata.store import DedupeKey, State
from hedgerow_scheduler.metadata.writes import Writes
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest
from hedgerow_scheduler.planning.rules import Override
from hedgerow_scheduler.planning.staleness import Pair, Status
from hedgerow_scheduler.planning.unchanged import Earlier


class Forgetful:
    """See metadata.store.Store: manifests in force, and what is current. The clock is `at`."""

    def __init__(self, at: datetime, teams: Sequence[str]) -> None:
        self.at, self.names = at, list(teams)
        self.bodies: dict[str, bytes] = {}
        self.in_force: dict[tuple[str, str], str] = {}
        self.problems: dict[tuple[str, str], str] = {}
        self.current: dict[Pair, tuple[str, str, datetime]] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self.evaluations: dict[str, str] = {}
        """Of each asset whose condition was evaluated: what is wrong with it, "" for nothing."""
        self.memories: dict[str, bytes] = {}
        self.planned: list[tuple[str, int]] = []
        """Who has launched runs, and of how many steps each was."""

    @contextmanager
    def transaction(self) -> Iterator[Forgetful]:
        """Nothing is ever rolled back."""
        yield self

    def renew(self) -> None:
        """Nobody else leads."""

    def stay(self) -> None:
        """Nobody waits for it to go on."""

    def now(self) -> datetime:
        """The clock."""
        return self.at

    def state(self, start_timeout: timedelta) -> State:
        """Manifests in force, as another leader would find them."""
        sets = KeySets()
        published = [PublishedManifest(hash, sets.bind(decode(self.bodies[hash]))) for hash in self.in_force.values()]
        owners = {
            asset.key: place for place, hash in self.in_force.items() for asset in decode(self.bodies[hash]).assets
        }
        return State(
            Catalog(published),
            (),
            {},
            owners,
            published,
            0,
            dict(self.sequences),
            (),
            set(),
            (),
            {},
            (),
            {},
            {},
            key_sets=sets,
            lately=tuple(reversed(self.in_force.values())),
        )

    def write(self, changes: Changes, now: datetime, *, at_once: bool = False) -> None:
        """Makes the rows of it."""
        for new in changes.manifests:
            self.bodies[new.hash] = new.body
        for change in changes.locations:
            place = (change.team, change.location)
            if change.withdrawn:
                del self.in_force[place]
            if change.manifest_hash is not None:
                self.in_force[place] = change.manifest_hash
                self.problems.pop(place, None)
            else:
                self.problems[place] = "; ".join(str(each) for each in change.problems)
        for made in changes.outputs.values():
            if made.state is MaterializationState.CURRENT:
                self.current[made.asset, made.partition] = (made.code_version, made.data_version, now)
        self.sequences |= changes.sequences
        self.evaluations |= {key: record.problem for (key, _), record in changes.evaluations.items()}
        self.memories |= changes.memories
        self.planned += [(run.author, len(run.steps)) for run in changes.planned_runs]
        gather(Writes(), changes, now)

    def made_times(self, key: str) -> int:
        """How many partitions of an asset are current."""
        return sum(asset == key for asset, _ in self.current)

    def teams(self) -> list[str]:
        """Everyone."""
        return self.names

    def overrides(self) -> tuple[Override, ...]:
        """None."""
        return ()

    def pauses(self) -> tuple[Pause, ...]:
        """None."""
        return ()

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
        """What is current."""
        return StoredFacts(
            tuple(MadeRow(*pair, code, data) for pair, (code, data, _) in self.current.items() if pair[0] in keys)
        )

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """What is current, with when it was made."""
        found: dict[str, list[tuple[str, datetime]]] = {}
        for (key, partition), (_, _, at) in self.current.items():
            if key in keys or key in windows:
                found.setdefault(key, []).append((partition, at))
        return found

    def requested_runs(self) -> list[RequestedRun]:
        """None."""
        return []

    def pending_commands(self) -> list[PendingCommand]:
        """None."""
        return []

    def run(self, run_id: str) -> Run | None:
        """None."""
        return None

    def requested_backfills(self) -> list[Known]:
        """None."""
        return []

    def backfill(self, backfill_id: str) -> Known | None:
        """None."""
        return None

    def earlier(self, pairs: Sequence[Pair]) -> Mapping[Pair, Earlier]:
        """Nothing."""
        return {}

    def statuses(self, catalog: Catalog, pairs: Iterable[Pair], now: datetime) -> Mapping[Pair, Status]:
        """Nothing."""
        return {}

    def launched_keys(self, keys: Collection[DedupeKey]) -> Mapping[DedupeKey, str]:
        """None."""
        return {}

    def given_up(self, team: str, name: str) -> Sequence[Delivery]:
        """None."""
        return ()

    def remove_expired(self, gone: Sequence[Override]) -> None:
        """Nothing."""

    def stored(self, pairs: Sequence[tuple[str, str]]) -> Stored:
        """What is current."""
        there = [pair for pair in pairs if pair in self.current]
        return Stored(
            {pair: Reference("file:///x", "json") for pair in there},
            frozenset(),
            {pair: self.current[pair][1] for pair in there},
        )
