"""What a step knows about itself while the team's function runs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from hedgerow.errors import ExecutionError, Problem
from hedgerow.key_changes import KeyChanges
from hedgerow.metadata import MetadataError, normalise
from hedgerow.partitions.algebra import split_key
from hedgerow.partitions.algebra import window as window_in
from hedgerow.partitions.model import Partitions


class Window(NamedTuple):
    """The time that a partition covers: aware datetimes, `end` excluded."""

    start: datetime
    end: datetime


class Context:
    """The step at hand; a parameter annotated `hr.Context` receives it.

    For direct calls of a function in a test, make one yourself:

    >>> Context(asset_keys=("orders",), partition_key="2024-01-31").partition_key
    '2024-01-31'
    """

    def __init__(
        self,
        *,
        asset_keys: tuple[str, ...] = (),
        partition_key: str | None = None,
        partitions: Partitions | None = None,
        config: Any = None,
        run_id: str = "",
        attempt: int = 1,
        run_tags: Mapping[str, str] | None = None,
        log: logging.Logger | None = None,
        key_changes: KeyChanges | None = None,
    ) -> None:
        self.asset_keys = asset_keys
        """The assets that this step is asked for, in order of declaration; fewer than declared in a subset."""
        self.config = config
        """The checked configuration; None when the function takes none."""
        self.run_id = run_id
        """The run's id, empty in process."""
        self.attempt = attempt
        """Which attempt of the step this is, from 1."""
        self.run_tags: Mapping[str, str] = MappingProxyType(dict(run_tags or {}))
        """The tags of the run."""
        self.log = log or logging.getLogger("hedgerow.step")
        """A logger whose lines are kept with the attempt."""
        self._partition_key = partition_key
        self._partitions = partitions
        self._metadata: dict[str, dict[str, Any]] = {}
        self._key_changes = KeyChanges() if key_changes is None else key_changes

    @property
    def asset_key(self) -> str:
        """The asset of this step; `ExecutionError` when it has several."""
        if len(self.asset_keys) != 1:
            raise _refused("HR-X210", "ctx.asset_key has no single value in this step.", "Use ctx.asset_keys.")
        return self.asset_keys[0]

    @property
    def has_partition(self) -> bool:
        """Whether the step is for one partition."""
        return self._partition_key is not None

    @property
    def partition_key(self) -> str:
        """The partition's key; dimensions are joined by `|`. `ExecutionError` when the step has no partition."""
        if self._partition_key is None:
            raise _refused(
                "HR-X211",
                f"The step of {', '.join(self.asset_keys)} has no partition.",
                "Declare partitions=..., or ask ctx.has_partition first.",
            )
        return self._partition_key

    @property
    def partition_keys_by_dim(self) -> Mapping[str, str]:
        """The key of each dimension by the dimension's name, in order; `ExecutionError` when the step has no partition."""
        return MappingProxyType(split_key(self._declared_partitions(), self.partition_key))

    @property
    def partition_window(self) -> Window:
        """The time that the partition covers; `ExecutionError` when no dimension is time."""
        window = window_in(self._declared_partitions(), self.partition_key)
        if window is None:
            raise _refused(
                "HR-X212", f"The partition {self.partition_key!r} has no time window.", "Use ctx.partition_key."
            )
        return Window(*window)

    def metadata(self, values: Mapping[str, Any] | None = None, /, *, asset: str | None = None, **more: Any) -> None:
        """Record metadata with the materialization: `ctx.metadata(rows=3)`. Later calls add to earlier ones.

        In a step of several assets say which: `asset="key"`.
        """
        key = self.asset_key if asset is None else asset
        if key not in self.asset_keys:
            raise _refused("HR-X210", f"This step has no asset {key!r}.", f"It has: {', '.join(self.asset_keys)}.")
        try:
            self._metadata[key] = normalise({**self._metadata.get(key, {}), **(values or {}), **more})
        except MetadataError as error:
            raise _refused("HR-X213", f"Asset {key!r}: {error}.", "Give a small mapping of JSON values.") from error

    def add_partitions(self, name: str, keys: str | Iterable[str]) -> None:
        """Adds keys to the team's set `name` (`hr.dynamic(name)`) once the step has succeeded; those that exist stay as they are.

        `ExecutionError` HR-X214 when the location uses no such set, or for what can't be a key.
        """
        self._key_changes.note(name, [keys] if isinstance(keys, str) else keys, True)

    def remove_partitions(self, name: str, keys: str | Iterable[str]) -> None:
        """Removes keys from the team's set `name` once the step has succeeded. What was made of them stays; what waits is cancelled."""
        self._key_changes.note(name, [keys] if isinstance(keys, str) else keys, False)

    def recorded_metadata(self, asset: str) -> Mapping[str, Any]:
        """What `metadata` has recorded for an asset so far."""
        return self._metadata.get(asset, {})

    def _declared_partitions(self) -> Partitions:
        if self._partitions is None:
            raise _refused("HR-X211", "The step has no partitions.", "Declare partitions=... on the asset.")
        return self._partitions


def _refused(code: str, message: str, remedy: str) -> ExecutionError:
    return ExecutionError(Problem(code, message, remedy))
