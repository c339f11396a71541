"""Evaluating a sensor in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.assets import ExternalAsset
from hedgerow.binding import bind
from hedgerow.bound import Surroundings
from hedgerow.declarations import Declarations
from hedgerow.errors import DefinitionError
from hedgerow.manifest.lowering import Sources
from hedgerow.protocol.sensing import RequestedRun
from hedgerow.sensing import SensorContext
from hedgerow.sensors import SensorDefinition
from hedgerow.testing.in_process import replacements


@dataclass(frozen=True)
class SensorOutcome:
    """What an evaluation came to: the runs that it asks for, where the next one begins, why it asks for none, changes of dynamic partitions by set."""

    runs: tuple[RequestedRun, ...]
    cursor: str | None
    skipped: str
    partitions_added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    partitions_removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def dedupe_keys(self) -> tuple[str, ...]:
        """The dedupe keys of the runs, in order, "" where there is none."""
        return tuple(run.dedupe_key for run in self.runs)


def evaluate_sensor(
    sensor: SensorDefinition[..., Any] | ExternalAsset,
    *,
    cursor: str | None = None,
    now: datetime | None = None,
    resources: Mapping[Any, Any] | Iterable[Any] | None = None,
) -> SensorOutcome:
    """Evaluate a sensor, or the probe of an external asset, here and now, as a runner would, with its return checked in the same way: no server, nothing recorded.

    `resources` are instances, or a mapping from type or parameter name to instance. Raises what the function raises, and
    `ExecutionError` when its return could not be recorded.

    >>> import hedgerow as hr
    >>> @hr.sensor(target="raw/orders")
    ... def new_days(ctx: hr.SensorContext):
    ...     yield hr.RunRequest(partition=f"{ctx.now:%Y-%m-%d}")
    ...     ctx.update_cursor(ctx.now.isoformat())
    >>> from datetime import UTC, datetime
    >>> found = evaluate_sensor(new_days, now=datetime(2024, 1, 31, tzinfo=UTC))
    >>> found.runs[0].partitions, found.cursor
    (('2024-01-31',), '2024-01-31T00:00:00+00:00')
    """
    by_type, by_name = replacements(resources)
    if isinstance(sensor, ExternalAsset):
        declared = Declarations(externals=[sensor])
    else:
        declared = Declarations(sensors=[sensor], jobs=[sensor.job] if sensor.job is not None else [])
    bound = bind(declared, Surroundings(complete=False, resources=by_type, named=by_name), Sources())
    if bound.problems:
        raise DefinitionError(bound.problems)
    if not bound.sensors:
        raise DefinitionError.of(
            "HR-D022", f"{sensor!r} is not observed.", "Give it a probe: hr.external(..., observe=...)."
        )
    ((name, found),) = bound.sensors.items()
    context = SensorContext(cursor=cursor, now=now, name=name)
    answer = found.evaluate(context)
    moved, keys = cursor if answer.cursor is None else answer.cursor, context.key_changes
    return SensorOutcome(answer.runs, moved, answer.skipped, keys.added(), keys.removed())
