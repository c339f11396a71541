"""What a sensor's function receives, and what it may return."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from hedgerow import clock
from hedgerow.key_changes import KeyChanges

if TYPE_CHECKING:
    from hedgerow.assets import AssetDefinition
    from hedgerow.jobs import JobDefinition

    Chosen: TypeAlias = str | AssetDefinition[..., Any]


EVALUATION_LOGGER = "hedgerow.evaluation"


@dataclass(frozen=True)
class RunRequest:
    """A run that a sensor asks for.

    It makes what `selection` (a job, or a text such as `"group:sales"`) or `assets` (keys, or asset definitions) say, by default
    the sensor's target; of partitioned assets `partition` or `partitions`. `config` is by asset key. Of all requests of a sensor
    with one `dedupe_key` only the first launches a run, whenever they come.

    >>> RunRequest(partition="2024-01-31", dedupe_key="orders-31.csv").partition
    '2024-01-31'
    """

    partition: str | None = None
    partitions: Sequence[str] = ()
    assets: Sequence[Chosen] = ()
    selection: JobDefinition | str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dedupe_key: str | None = None


@dataclass(frozen=True)
class SensorResult:
    """What an evaluation comes to: `runs` to launch and the `cursor` from which the next one goes on (None: as before).

    Both are recorded together, or neither. `skipped` says why there are no runs.
    """

    runs: Sequence[RunRequest] = ()
    cursor: str | None = None
    skipped: str = ""


class SensorContext:
    """The evaluation at hand; a sensor's parameter annotated `hr.SensorContext` receives it.

    For direct calls of a sensor in a test, make one yourself:

    >>> SensorContext(cursor="orders-31.csv").cursor
    'orders-31.csv'
    """

    def __init__(
        self,
        *,
        cursor: str | None = None,
        now: datetime | None = None,
        name: str = "",
        log: logging.Logger | None = None,
    ) -> None:
        self.cursor = cursor
        """Where the last recorded evaluation left off; None before there was one."""
        self.now = now or clock.now()
        """The instant for which the sensor is evaluated, in UTC on the platform's clock."""
        self.name = name
        """The sensor's name."""
        self.log = log or logging.getLogger(EVALUATION_LOGGER)
        """A logger whose last lines are kept with the evaluation."""
        self.key_changes = KeyChanges()
        """What `add_partitions` and `remove_partitions` were given."""
        self._moved: str | None = None

    def update_cursor(self, cursor: str) -> None:
        """The next evaluation goes on from here; the same as returning `hr.SensorResult(cursor=...)`. The last call counts."""
        self._moved = cursor

    def add_partitions(self, name: str, keys: str | Iterable[str]) -> None:
        """Adds keys to the team's set `name` (`hr.dynamic(name)`) together with what else the evaluation asks for: runs may be of them.

        Those that exist stay as they are. `ExecutionError` HR-X214 for what can't be a key.
        """
        self.key_changes.note(name, [keys] if isinstance(keys, str) else keys, True)

    def remove_partitions(self, name: str, keys: str | Iterable[str]) -> None:
        """Removes keys from the team's set `name`, as `add_partitions` adds them. What was made of them stays; what waits is cancelled."""
        self.key_changes.note(name, [keys] if isinstance(keys, str) else keys, False)

    @property
    def updated_cursor(self) -> str | None:
        """What `update_cursor` was given last; None when it was not called."""
        return self._moved
