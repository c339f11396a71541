"""A backfill in a test: computations over which it goes, what it launches, and what each partition is made from by the letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pyroaring import BitMap

from hedgerow.manifest.model import Dependency
from hedgerow.partitions.resolution import upstream_keys
from hedgerow_scheduler.lifecycle.backfills import BackfillState, PartitionState
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.partitions.states import StateSets, from_chunks
from hedgerow_scheduler.planning.backfill_tracks import Chunk, Track
from hedgerow_scheduler.planning.backfills import Backfill, Settings
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.steps import in_dependency_order
from support.scheduling import Made, catalog_of, manifest

NOW = datetime(2024, 3, 20, 12, tzinfo=UTC)
Pair = tuple[str, str | None]


def catalog_over_teams(*parts: Made) -> Catalog:
    """Each asset declared by a team of its own."""
    return catalog_of(*(manifest(f"team-{number}", part) for number, part in enumerate(parts)))


def tracks_of(catalog: Catalog, wanted: Mapping[str, BitMap] | None = None, per_run: int = 30) -> list[Track]:
    """A track for each asset, of all partitions or of those that are wanted."""
    found = []
    for computation in in_dependency_order(catalog, sorted(catalog.assets)):
        every = space_of(computation.partitions).existing(NOW)
        which = every if wanted is None else wanted.get(computation.name, BitMap()) & every
        sets = StateSets(PartitionState, {PartitionState.TO_DO: which})
        team = catalog.home(computation.name)[0]
        found.append(Track(computation.name, team, computation.assets, computation.partitions, per_run, sets))
    return found


class Played:
    """A backfill with the runs that it launched, in a world where others decide how each step ends."""

    def __init__(self, catalog: Catalog, tracks: Iterable[Track], settings: Settings) -> None:
        self.catalog = catalog
        self.backfill = Backfill("0190-backfill", BackfillState.REQUESTED, settings, list(tracks))
        self.wanted = {(track.name, key) for track in self.backfill.tracks for key in _keys(track, track.sets.all())}
        self.launched: list[Pair] = []
        self.out: list[list[Pair]] = []  # the steps of each run that have not ended
        self.backfill.use(catalog, NOW)
        self.backfill.begin()
        self.settle()

    def settle(self) -> None:
        """What has ended is carried down to its end."""
        while self.backfill.settle(NOW):
            pass

    def launch(self, most: int = 1_000) -> Chunk | None:
        """The next run, if there is one."""
        chunk = self.backfill.next_chunk(most, NOW)
        if chunk is not None:
            pairs = [(chunk.track.name, key) for key in chunk.partitions()]
            for pair in pairs:
                beside = {each for each in pairs if each != pair}
                missing = {up for up in self.needs(pair) if self.state(up) != "done"} - beside
                assert not missing, f"{pair} was launched before {missing}"
            self.backfill.launch(chunk)
            self.launched += pairs
            self.out.append(pairs)
        return chunk

    def end(self, pair: Pair, how: StepState) -> None:
        """A step that is out ends."""
        run = next(run for run in self.out if pair in run)
        run.remove(pair)
        if not run:
            self.out.remove(run)
        self.backfill.end(*pair, how)

    def another_leads(self) -> None:
        """The next leader knows what is stored, and nothing else."""
        old = self.backfill
        tracks = [
            Track(
                one.name,
                one.team,
                one.assets,
                one.partitions,
                one.per_run,
                from_chunks(PartitionState, one.sets.chunks()),
            )
            for one in old.tracks
        ]
        self.backfill = Backfill(old.id, old.state, old.settings, tracks, old.passed)
        self.backfill.use(self.catalog, NOW)
        self.settle()

    def needs(self, pair: Pair) -> set[Pair]:
        """What of this backfill a partition is made from."""
        name, key = pair
        computation = self.catalog.computations[name]
        found = set()
        for dep in computation.deps:
            above = self.catalog.computations[dep.key]
            for up in upstream_keys(dep.mapping, computation.partitions, above.partitions, key, NOW):
                found.add((above.name, up))
        return found & self.wanted

    def state(self, pair: Pair) -> str:
        """Where a partition stands."""
        track = next(track for track in self.backfill.tracks if track.name == pair[0])
        ordinal = track.space.ordinal(pair[1])
        assert ordinal is not None
        return str(track.sets.state_of(ordinal))


def _keys(track: Track, which: BitMap) -> list[str | None]:
    return [track.space.key(ordinal) for ordinal in which]


def dep(key: str, mapping: object = None) -> Dependency:
    """A dependency by way of a mapping."""
    return Dependency(key, mapping=mapping)  # type: ignore[arg-type]
