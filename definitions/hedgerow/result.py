"""What a team's function may return besides a plain value: a result with metadata, a skip, a check's verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from hedgerow.manifest.model import Column

T = TypeVar("T")


@dataclass(frozen=True)
class Result(Generic[T]):
    """A value with what is to be recorded beside it.

    `asset` names the asset in a multi-asset step (there, a function may return or yield one `Result` for each asset).
    `data_version` is a text that changes only when the data does; by default Hedgerow derives one. `columns` is the schema
    seen at run time.

    >>> Result([1, 2], metadata={"rows": 2}).value
    [1, 2]
    """

    value: T
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None
    columns: Sequence[Column] | Mapping[str, str] = ()
    asset: str | None = None


@dataclass(frozen=True)
class Skip:
    """The step materializes nothing, and says why; what needs its output is skipped too."""

    why: str


def skip(why: str) -> T:  # type: ignore[type-var]
    """Return this from an asset's function to materialize nothing. Its type is whatever the function says that it returns.

    >>> skip("no orders today")
    Skip(why='no orders today')
    """
    return cast(T, Skip(why))


@dataclass(frozen=True)
class CheckResult:
    """A check's verdict with details. A check may return a plain `bool` instead."""

    passed: bool
    metadata: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
