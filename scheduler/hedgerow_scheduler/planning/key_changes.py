"""Changing the keys of dynamic partitions: by a step, a person or a sensor. Pure: what changes is noted in the snapshot's changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from hedgerow.errors import Problem
from hedgerow.identifiers import DIMENSION_SEPARATOR
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import MAX_KEY_BYTES, MAX_KEYS, KeySet, is_dynamic_key
from hedgerow.partitions.model import Partitions, dimensions
from hedgerow_scheduler.lifecycle.states import ENDED, HELD
from hedgerow_scheduler.partitions.key_sets import StoredKey
from hedgerow_scheduler.planning.snapshot import Snapshot

MAX_KEYS_OF_TEAM = 500_000  # over all its sets


class KeysChanged(msgspec.Struct, frozen=True):
    """What is different: the keys that exist newly, those that exist no more, how many steps were cancelled for that, and why the rest was refused."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    cancelled: int = 0
    problem: Problem | None = None


def change_keys(
    snapshot: Snapshot,
    team: str,
    name: str,
    now: datetime,
    *,
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
    author: str = "",
    later: bool = False,
) -> KeysChanged:
    """Adds keys to a team's set and removes others. Adding what exists, or removing what does not, changes nothing. Steps of removed keys
    that have not gone out are cancelled, with `later` by the next `cancel_removed`; what was made of them stays.

    The problem is HR-Q109 when nobody declares the set (nothing is changed then), HR-Q108 when a key can't be added (the others are).
    """
    keys = snapshot.key_sets.find(team, name)
    if keys is None:
        return KeysChanged(problem=unknown_set(team, name))
    came, problem = _add(snapshot, keys, added, author)
    went = tuple(key for key in dict.fromkeys(removed) if keys.remove(key))
    for key in went:
        _note(snapshot, keys, key, author)
    if went:
        snapshot.removed_keys.setdefault(keys, set()).update(went)
    return KeysChanged(came, went, 0 if later else cancel_removed(snapshot, now), problem)


def cancel_removed(snapshot: Snapshot, now: datetime) -> int:
    """Cancels the steps that wait of keys that were removed since the last time; how many. It looks at every live step, so that what many
    events remove is better dealt with at once.
    """
    removed, snapshot.removed_keys = snapshot.removed_keys, {}
    gone = {keys: {key for key in of if key not in keys} for keys, of in removed.items()}
    return sum(_cancel(snapshot, keys, of, now) for keys, of in gone.items() if of)


def unknown_set(team: str, name: str) -> Problem:
    """That nobody declares such a set."""
    return Problem(
        "HR-Q109",
        f"Team '{team}' has no set of partitions '{name[:80]}'.",
        f'Declare it: partitions=hr.dynamic("{name[:80]}") on an asset; see `hedgerow partition list`.',
    )


def _add(snapshot: Snapshot, keys: KeySet, added: Iterable[str], author: str) -> tuple[tuple[str, ...], Problem | None]:
    came: list[str] = []
    problem = None
    room = MAX_KEYS_OF_TEAM - sum(each.numbered for each in snapshot.key_sets.of_team(keys.team))
    for key in dict.fromkeys(added):
        is_new = keys.number(key) is None
        if not is_dynamic_key(key):
            problem = _refused(keys, key, f"it is no text of at most {MAX_KEY_BYTES} printable bytes without '|'")
        elif is_new and keys.numbered >= min(keys.room, MAX_KEYS):
            problem = _refused(keys, key, f"the set has had {keys.numbered:,} keys, and removed ones count")
        elif is_new and room <= 0:
            problem = _refused(keys, key, f"the team's sets have had {MAX_KEYS_OF_TEAM:,} keys")
        elif keys.add(key):
            room -= is_new
            came.append(key)
            _note(snapshot, keys, key, author)
    return tuple(came), problem


def _refused(keys: KeySet, key: str, why: str) -> Problem:
    message = f"'{key[:300]}' can't be added to the partitions '{keys.name}' of team '{keys.team}': {why}."
    return Problem(
        "HR-Q108", message, "Partition by something of which there are fewer, or declare a set of another name."
    )


def _note(snapshot: Snapshot, keys: KeySet, key: str, author: str) -> None:
    number = keys.number(key)
    assert number is not None
    snapshot.key_sets.seq += 1
    stored = StoredKey(keys.team, keys.name, number, key, key in keys, snapshot.key_sets.seq)
    snapshot.changes.partition_keys[keys.team, keys.name, number] = (stored, author)


def _cancel(snapshot: Snapshot, keys: KeySet, removed: Collection[str], now: datetime) -> int:
    """Cancels the steps of removed keys that have not gone out; how many."""
    places: dict[str, list[int]] = {}
    problem = Problem(
        "HR-Q028",
        f"The partition was removed from '{keys.name}' of team '{keys.team}'.",
        "Add the key again and retry the run, if the partition is wanted after all.",
    )
    waiting = []
    for run in snapshot.runs.values():
        for step in run.steps:
            if step.partition is None or step.state in ENDED or step.state in HELD:
                continue
            if (of := places.get(step.computation)) is None:
                computation = snapshot.declared(step.team, step.location, step.computation)
                of = places[step.computation] = _places(computation.partitions if computation else None, keys)
            if of and _is_of(step.partition, of, removed):
                waiting.append(step)
    for step in waiting:
        if step.state not in ENDED:  # another one may have taken it along
            snapshot.cancel_step(step, now, "", problem)
    return len(waiting)


def _places(partitions: Partitions | None, keys: KeySet) -> list[int]:
    """Where in a partition's key those of the set stand."""
    dims = dimensions(partitions) if partitions is not None else ()
    return [place for place, dim in enumerate(dims) if isinstance(dim, KnownPartitions) and dim.known is keys]


def _is_of(partition: str, places: Collection[int], removed: Collection[str]) -> bool:
    parts = partition.split(DIMENSION_SEPARATOR)
    return any(place < len(parts) and parts[place] in removed for place in places)
