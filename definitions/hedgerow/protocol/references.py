"""Where a value lies: what events report, the database records and orders carry to the reader."""

from __future__ import annotations

from typing import Any

import msgspec


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored value. `format` is parquet, json, text, bytes, pickle, or `io:{name}` for a custom io's own reference.

    `partition` is the asset's partition key, None when it has none. `extra` is what a custom io wants back for loading.
    """

    uri: str
    format: str
    partition: str | None = None
    data_version: str = ""
    size_bytes: int = 0
    extra: dict[str, Any] = {}
