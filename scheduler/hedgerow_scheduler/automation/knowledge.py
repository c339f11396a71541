"""Knowledge: the facts of all assets that conditions look at, and what has happened that no turn has seen yet."""

from __future__ import annotations

from collections.abc import Iterable

from pyroaring import BitMap

from hedgerow_scheduler.automation.facts import EMPTY, Facts, Moments


class Knowledge:
    """Told what happens to partitions; of assets that no condition looks at, nothing is kept. `changed` are the partitions of which some
    fact is different, `happened` the moments, both by asset.
    """

    def __init__(self) -> None:
        self.facts: dict[str, Facts] = {}
        self.happened: dict[str, Moments] = {}
        self.changed: dict[str, BitMap] = {}

    def know(
        self,
        made: Iterable[tuple[str, str | None, str, str]],
        failed_checks: Iterable[tuple[str, str | None, str]],
        failed: Iterable[tuple[str, str | None]],
    ) -> None:
        """What was so before, which is no news: current materializations as (asset, partition, code version, data version), failed checks
        as (asset, partition, check), and the partitions whose last step failed.
        """
        for key, partition, code_version, data_version in made:
            if (place := self._place(key, partition)) is not None:
                place[0].materialize(place[1], code_version, data_version)
        for key, partition, check in failed_checks:
            if (place := self._place(key, partition)) is not None:
                place[0].check(check, place[1], False)
        for key, partition in failed:
            if (place := self._place(key, partition)) is not None:
                place[0].failed.add(place[1])

    def know_step(self, key: str, partition: str | None, *, is_out: bool) -> None:
        """A step of the partition waits, or is out."""
        if (place := self._place(key, partition)) is not None:
            place[0].begin(place[1])
            if is_out:
                place[0].start(place[1])

    # -- what happens ------------------------------------------------------------------------------------------------

    def begin(self, key: str, partition: str | None) -> None:
        """A step of the partition waits."""
        if (place := self._place(key, partition)) is not None:
            place[0].begin(place[1])
            self._change_one(key, place[1])

    def start(self, key: str, partition: str | None) -> None:
        """A step that waited goes out."""
        if (place := self._place(key, partition)) is not None:
            place[0].start(place[1])
            self.moments_of(key).started.add(place[1])
            self._change_one(key, place[1])

    def requeue(self, key: str, partition: str | None) -> None:
        """A step that was out waits again."""
        if (place := self._place(key, partition)) is not None:
            place[0].queued[place[1]] += 1

    def end(self, key: str, partition: str | None, succeeded: bool | None, was_queued: bool = False) -> None:
        """A step of the partition has ended well, badly, or (None) neither; `was_queued`: before it went out."""
        if (place := self._place(key, partition)) is not None:
            place[0].end(place[1], succeeded, was_queued)
            self._change_one(key, place[1])

    def materialize(
        self, key: str, partition: str | None, code_version: str, run_id: str, data_version: str = ""
    ) -> None:
        """The partition has a new current materialization, by a run."""
        if (place := self._place(key, partition)) is not None:
            facts, ordinal = place
            changed = facts.materialize(ordinal, code_version, data_version)
            moments = self.moments_of(key)
            made = moments.updated.get(run_id)
            if made is None:
                made = moments.updated[run_id] = BitMap()
            made.add(ordinal)
            if changed:
                moments.changed.add(ordinal)
            self._change_one(key, ordinal)

    def check(self, key: str, partition: str | None, name: str, passed: bool) -> None:
        """A check of the partition's current materialization gave its verdict."""
        if (place := self._place(key, partition)) is not None:
            place[0].check(name, place[1], passed)
            self._change_one(key, place[1])

    def know_standing(self, key: str, warned: BitMap, late: BitMap) -> None:
        """These partitions of an asset were warned of or late before, which is no news."""
        if (facts := self.facts.get(key)) is not None:
            facts.warned, facts.late = BitMap(warned), BitMap(late)

    def stand(self, key: str, warned: BitMap, late: BitMap) -> None:
        """These partitions of an asset, and no others, are warned of or late by its freshness policy."""
        if (facts := self.facts.get(key)) is not None:
            self.change(key, (facts.warned ^ warned) | (facts.late ^ late))
            facts.warned, facts.late = BitMap(warned), BitMap(late)

    def _place(self, key: str, partition: str | None) -> tuple[Facts, int] | None:
        facts = self.facts.get(key)
        ordinal = facts.space.ordinal(partition) if facts is not None else None
        return None if facts is None or ordinal is None else (facts, ordinal)

    def moments_of(self, key: str) -> Moments:
        """What has happened to an asset and no turn has seen yet, to be added to."""
        found = self.happened.get(key)
        if found is None:
            found = self.happened[key] = Moments()
        return found

    def _change_one(self, key: str, ordinal: int) -> None:
        known = self.changed.get(key)
        if known is None:
            known = self.changed[key] = BitMap()
        known.add(ordinal)

    def change(self, key: str, ordinals: BitMap) -> None:
        """Some fact of these partitions is different."""
        if ordinals:
            self.changed[key] = self.changed.get(key, EMPTY) | ordinals
