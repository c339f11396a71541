"""Facts: what conditions ask about an asset, as sets of partitions, and what has just happened to it."""

from __future__ import annotations

from collections import Counter

from pyroaring import BitMap

from hedgerow.manifest.model import Asset
from hedgerow_scheduler.partitions.spaces import Space, space_of

EMPTY = BitMap()


class Facts:
    """What is so of one asset's partitions, by their ordinals in `space`. An asset that nobody declares is missing for ever.

    `by_code` are the materialized ones by the code version that made them; `failed_checks` those of whose current materialization
    a check failed, by check.
    """

    __slots__ = (
        "by_code", "code_version", "data_versions", "failed", "failed_checks", "in_progress", "is_external",
        "late", "materialized", "queued", "space", "steps", "warned",
    )  # fmt: skip

    def __init__(self, asset: Asset | None, code_version: str = "") -> None:
        self.space: Space = space_of(asset.partitions if asset else None)
        self.is_external = asset is not None and asset.computation is None
        self.code_version = code_version
        self.materialized = BitMap()
        self.failed = BitMap()
        self.in_progress = BitMap()
        self.queued: Counter[int] = Counter()
        self.steps: Counter[int] = Counter()
        self.by_code: dict[str, BitMap] = {}
        self.failed_checks: dict[str, BitMap] = {}
        self.warned, self.late = EMPTY, EMPTY  # by the freshness policy; never altered, but replaced
        self.data_versions: dict[int, str] | None = None  # kept only where a condition asks for them

    def begin(self, ordinal: int) -> None:
        """A step of the partition waits."""
        self.steps[ordinal] += 1
        self.queued[ordinal] += 1
        self.in_progress.add(ordinal)

    def start(self, ordinal: int) -> None:
        """A step that waited goes out, with the inputs that there are now."""
        self.queued[ordinal] -= 1
        if self.queued[ordinal] <= 0:
            del self.queued[ordinal]

    def end(self, ordinal: int, succeeded: bool | None, was_queued: bool = False) -> None:
        """A step of the partition has ended: well, badly, or (None) neither. `was_queued`: before it started."""
        if was_queued:
            self.start(ordinal)
        self.steps[ordinal] -= 1
        if self.steps[ordinal] <= 0:
            del self.steps[ordinal]
            self.in_progress.discard(ordinal)
        if succeeded:
            self.failed.discard(ordinal)
        elif succeeded is not None:
            self.failed.add(ordinal)

    def materialize(self, ordinal: int, code_version: str, data_version: str = "") -> bool:
        """The partition has a new current materialization, of which no check has said anything yet; whether its data version is another one."""
        changed = self.data_versions is None or not data_version or self.data_versions.get(ordinal) != data_version
        if self.data_versions is not None:
            self.data_versions[ordinal] = data_version
        self.materialized.add(ordinal)
        for version, made in self.by_code.items():
            if version != code_version:
                made.discard(ordinal)
        self.by_code.setdefault(code_version, BitMap()).add(ordinal)
        for failed in self.failed_checks.values():
            failed.discard(ordinal)
        return changed

    def check(self, name: str, ordinal: int, passed: bool) -> None:
        """A check of the partition's current materialization gave its verdict."""
        if passed:
            self.failed_checks.get(name, EMPTY).discard(ordinal)
        else:
            self.failed_checks.setdefault(name, BitMap()).add(ordinal)

    def by_other_code(self) -> BitMap:
        """Those that were materialized by other code than the code in force."""
        return self.materialized - self.by_code.get(self.code_version, EMPTY)

    def with_failed_check(self, name: str) -> BitMap:
        """Those of which this check failed, or any when it is ""."""
        return self.failed_checks.get(name, EMPTY) if name else BitMap.union(EMPTY, *self.failed_checks.values())


class Moments:
    """What has happened to one asset since the evaluation before: its new materializations by the run that made them, and more."""

    __slots__ = ("changed", "requested", "started", "updated")

    def __init__(self) -> None:
        self.updated: dict[str, BitMap] = {}
        self.changed = BitMap()
        self.requested = BitMap()
        self.started = BitMap()

    def add(self, earlier: Moments) -> None:
        """What happened earlier has not been seen by everyone yet."""
        for run_id, made in earlier.updated.items():
            self.updated[run_id] = self.updated.get(run_id, EMPTY) | made
        self.changed |= earlier.changed
        self.requested |= earlier.requested
        self.started |= earlier.started
