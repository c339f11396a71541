"""What changed between the columns of an output and those of the one that was accepted before it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from hedgerow.manifest.model import Column

ACCEPT_TAG = "accept-schema"
"""The tag of a run that accepts changed columns: the key of an asset, or a glob of keys."""

_SHOWN = 10  # columns of each kind in a description
_KEPT = 50  # and in metadata, whose size is bounded
_LONGEST = 100  # characters of a name or type in either


@dataclass(frozen=True)
class Schemas:
    """What a check with `former_columns` is given. `former` is None when nothing with columns was accepted before."""

    asset: str
    partition: str | None
    columns: tuple[Column, ...]
    former: tuple[Column, ...] | None = None
    run_tags: Mapping[str, str] = field(default_factory=dict)

    def is_accepted(self) -> bool:
        """Whether the run accepts whatever columns there are."""
        return fnmatchcase(self.asset, self.run_tags.get(ACCEPT_TAG, ""))

    def way_out(self) -> str:
        """The command that accepts these columns, without making the output again."""
        where = f" --partition {shlex.quote(self.partition)}" if self.partition is not None else ""
        return f"hedgerow materialize {self.asset}{where} --checks-only --tag {ACCEPT_TAG}={self.asset}"


@dataclass(frozen=True)
class SchemaChange:
    """Columns with their types; of `retyped` ones the type before and now. A type that is not known (`""`) is like any other."""

    added: Mapping[str, str]
    removed: Mapping[str, str]
    retyped: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)

    def text(self) -> str:
        """What changed, in words; "" when nothing did.

        >>> SchemaChange({"note": "String"}, {}, {"id": ("Int64", "String")}).text()
        'added: note (String); retyped: id (Int64 → String)'
        """
        retyped = {name: f"{_cut(before)} → {_cut(now)}" for name, (before, now) in self.retyped.items()}
        kinds = {"added": self.added, "removed": self.removed, "retyped": retyped}
        return "; ".join(f"{kind}: {_listed(columns)}" for kind, columns in kinds.items() if columns)

    def metadata(self) -> dict[str, Any]:
        """What changed, as data: at most fifty columns of each kind, long names and types cut short."""
        retyped = {name: [_cut(before), _cut(now)] for name, (before, now) in self.retyped.items()}
        added, removed = ({name: _cut(type_) for name, type_ in found.items()} for found in (self.added, self.removed))
        kinds: dict[str, Mapping[str, Any]] = {"added": added, "removed": removed, "retyped": retyped}
        return {
            kind: {_cut(name): types for name, types in sorted(columns.items())[:_KEPT]}
            for kind, columns in kinds.items()
            if columns
        }


def compare(before: Iterable[Column], now: Iterable[Column]) -> SchemaChange:
    """What changed from some columns to others, whose order does not count.

    >>> bool(compare([Column("id", "Int64"), Column("at")], [Column("at", "Date"), Column("id", "Int64")]))
    False
    """
    old = {column.name: column.type for column in before}
    new = {column.name: column.type for column in now}
    return SchemaChange(
        {name: type_ for name, type_ in new.items() if name not in old},
        {name: type_ for name, type_ in old.items() if name not in new},
        {name: (old[name], type_) for name, type_ in new.items() if type_ and old.get(name) and old[name] != type_},
    )


def _listed(columns: Mapping[str, str]) -> str:
    shown = [
        f"{_cut(name)} ({_cut(type_, 2)})" if type_ else _cut(name) for name, type_ in sorted(columns.items())[:_SHOWN]
    ]
    return ", ".join([*shown, *([f"{len(columns) - _SHOWN} more"] if len(columns) > _SHOWN else [])])


def _cut(text: str, times: int = 1) -> str:
    longest = _LONGEST * times + 3 * (times - 1)  # of two types with an arrow between them
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
