"""The key sets of all teams: what dynamic partitions are bound to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from hedgerow.manifest.model import Manifest
from hedgerow.partitions import binding
from hedgerow.partitions.key_sets import KeySet


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

    def of_team(self, team: str) -> Iterator[KeySet]:
        """All sets of a team."""
        return (found for (owner, _), found in self._sets.items() if owner == team)

    def bind(self, manifest: Manifest) -> Manifest:
        """The manifest with its dynamic partitions bound to the team's sets."""
        return binding.bind(manifest, lambda name: self.of(manifest.team, name))

    def take(self, stored: Iterable[StoredKey]) -> None:
        """Takes up what was recorded: all of it, or all that was changed since it was last taken up."""
        for row in sorted(stored, key=lambda row: row.number):  # numbers are given in order, changes come in any
            keys = self.of(row.team, row.name)
            if row.number == keys.numbered:
                keys.add(row.key)
            if row.is_there != keys.exists(row.number):
                (keys.add if row.is_there else keys.remove)(row.key)
            self.seq = max(self.seq, row.seq)
