"""The key sets of all teams: what dynamic partitions are bound to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Manifest
from hedgerow.partitions import binding
from hedgerow.partitions.key_sets import MAX_KEYS, KeySet
from hedgerow_scheduler.partitions.spaces import space_of


class StoredKey(msgspec.Struct, frozen=True):
    """A key as it is recorded: its number in the team's set, whether it exists, and the place `seq` of its last change in the order of all."""

    team: str
    name: str
    number: int
    key: str
    is_there: bool
    seq: int


class KeySets:
    """The key sets by team and name, kept up to date in place: whoever is bound to a set sees its keys come and go. `seq` counts the changes."""

    def __init__(self, stored: Iterable[StoredKey] = ()) -> None:
        self._sets: dict[tuple[str, str], KeySet] = {}
        self._rooms: dict[tuple[str, str], dict[str, int]] = {}
        """By set, for how many keys the assets of each location that names it have room."""
        self.seq = 0
        self.take(stored)

    def of(self, team: str, name: str) -> KeySet:
        """A team's set, made when it is named for the first time."""
        found = self._sets.get((team, name))
        if found is None:
            found = self._sets[team, name] = KeySet(team, name)
        return found

    def find(self, team: str, name: str) -> KeySet | None:
        """A team's set; None when no manifest has named it, and it never had a key."""
        return self._sets.get((team, name))

    def titles(self) -> list[str]:
        """All sets as `team/name`, sorted."""
        return sorted(f"{team}/{name}" for team, name in self._sets)

    def of_team(self, team: str) -> Iterator[KeySet]:
        """All sets of a team."""
        return (found for (owner, _), found in self._sets.items() if owner == team)

    def bind(self, manifest: Manifest) -> Manifest:
        """The manifest with its dynamic partitions bound to the team's sets."""
        bound = binding.bind(manifest, lambda name: self.of(manifest.team, name))
        if bound is not manifest:
            self._make_room(bound)
        return bound

    def _make_room(self, manifest: Manifest) -> None:
        """A set takes no more keys than every asset that is partitioned by it has numbers for."""
        rooms: dict[str, int] = {}
        for asset in manifest.assets:
            if not binding.names_of([asset.partitions]):
                continue
            try:
                space = space_of(asset.partitions)
            except RequestError:  # with so many dimensions it can't be numbered at all, whatever the keys
                continue
            for keys, size in space.room():
                rooms[keys.name] = min(size, rooms.get(keys.name, MAX_KEYS))
        for name, size in rooms.items():
            of_set = self._rooms.setdefault((manifest.team, name), {})
            of_set[manifest.location] = size
            self.of(manifest.team, name).room = min(of_set.values())

    def take(self, stored: Iterable[StoredKey]) -> None:
        """Takes up what was recorded: all of it, or all that was changed since it was last taken up."""
        for row in sorted(stored, key=lambda row: row.number):  # numbers are given in order, changes come in any
            keys = self.of(row.team, row.name)
            if row.number == keys.numbered:
                keys.add(row.key)
            if row.is_there != keys.exists(row.number):
                (keys.add if row.is_there else keys.remove)(row.key)
            self.seq = max(self.seq, row.seq)
