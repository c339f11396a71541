"""What an in-process run gives back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hedgerow.errors import ExecutionError, RequestError
from hedgerow.manifest.model import Column, Severity
from hedgerow.suggestion import did_you_mean


@dataclass(frozen=True)
class MaterializedOutput:
    """One asset's value for one partition (None: the asset has none)."""

    asset: str
    partition: str | None
    value: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class CheckOutcome:
    """The verdict of one check. `error` is what the check raised, empty when it gave its verdict."""

    asset: str
    check: str
    partition: str | None
    passed: bool
    blocking: bool = False
    severity: Severity = "error"
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class StepFailure:
    """A step that raised, or whose output a blocking check refused."""

    assets: tuple[str, ...]
    partition: str | None
    error: Exception


@dataclass(frozen=True)
class InProcessResult:
    """Outputs and checks in order of execution. `left_out` says by (asset, partition) why there is no output; `partitions_added` and
    `partitions_removed` are the keys by which the steps changed sets of dynamic partitions, by set.
    """

    outputs: tuple[MaterializedOutput, ...]
    checks: tuple[CheckOutcome, ...]
    failures: tuple[StepFailure, ...] = ()
    left_out: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    partitions_added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    partitions_removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether no step failed and no blocking check did; skipped steps and failed plain checks do not count."""
        return not self.failures

    def output(self, key: str, partition: str | None = None) -> MaterializedOutput:
        """One asset's output; `partition` may be left out when there is only one. `RequestError` HR-D022 when there is none."""
        found = [one for one in self.outputs if one.asset == key and partition in (None, one.partition)]
        if len(found) == 1:
            return found[0]
        if found:
            keys = ", ".join(str(one.partition) for one in found)
            raise RequestError.of(
                "HR-D022", f"Asset {key!r} has several outputs in this run.", f"Give the partition, one of: {keys}."
            )
        why = [text for (asset, _), text in self.left_out.items() if asset == key]
        remedy = f"It was left out ({why[0]})." if why else did_you_mean(key, (one.asset for one in self.outputs))
        raise RequestError.of("HR-D022", f"Asset {key!r} has no such output in this run.", remedy)

    def value(self, key: str, partition: str | None = None) -> Any:
        """One asset's value, as `output`."""
        return self.output(key, partition).value

    def metadata(self, key: str, partition: str | None = None) -> Mapping[str, Any]:
        """One asset's run-time metadata, as `output`."""
        return self.output(key, partition).metadata


def blocking_failure(checks: Iterable[CheckOutcome]) -> ExecutionError:
    """The error of an output that blocking checks refused."""
    failed = list(checks)
    names = ", ".join(repr(one.check) for one in failed)
    details = "; ".join(text for one in failed if (text := one.error or one.description))
    where = f" of partition {failed[0].partition!r}" if failed[0].partition is not None else ""
    error = ExecutionError.of(
        "HR-X221",
        f"Asset {failed[0].asset!r}{where}: blocking check {names} failed{': ' + details if details else ''}.",
        "Correct the data or the check; nothing downstream was computed.",
    )
    assert isinstance(error, ExecutionError)
    return error
