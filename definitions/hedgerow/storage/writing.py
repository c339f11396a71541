"""Storing the output of an attempt, in the default storage or by a team's own io."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from hedgerow.errors import StorageError
from hedgerow.identifiers import path_segment
from hedgerow.io import IO, Target
from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference
from hedgerow.storage import files, formats, frames

CUSTOM_PREFIX = "io:"


@dataclass(frozen=True, slots=True)
class Written:
    """What was stored: the reference to report, and what could be seen of a table (`rows` None for anything else)."""

    reference: Reference
    columns: tuple[Column, ...] = ()
    rows: int | None = None


def location(output: str, asset: str, partition: str | None, attempt_id: str) -> str:
    """The URL, without suffix, of an attempt's output; unique to the attempt.

    >>> location("file:///data", "raw/orders", "2024-01-31|no", "0190")
    'file:///data/raw/orders/2024-01-31%7Cno/0190'
    """
    folder = f"{output.rstrip('/')}/{asset}"
    return f"{folder}/{attempt_id}" if partition is None else f"{folder}/{path_segment(partition)}/{attempt_id}"


def write(value: Any, target: Target, *, io: IO | None = None, data_version: str | None = None) -> Written | None:
    """Store `value` at `target`, by `io` if there is one; None stores nothing and returns None.

    `data_version` is the user's; without it, it is the hash of the stored bytes (of the reference, for an io that gives
    none). Raises `StorageError` HR-S001, 002, 003, 007, 009; HR-S010 or HR-S012 if it is the io that failed.
    """
    if value is None:
        return None
    if io is not None:
        return _write_with(io, value, target, data_version)
    encoded = formats.encode(value, target.asset)
    url = f"{target.location}.{encoded.suffix}"
    rows: list[int] = []
    content = encoded.content
    if encoded.lazy and not isinstance(content, bytes):
        content = _counting(content, rows)
    version, size = files.store(url, content)
    reference = Reference(
        uri=url,
        format=encoded.format,
        partition=target.partition,
        data_version=version if data_version is None else data_version,
        size_bytes=size,
    )
    return Written(reference, encoded.columns, rows[0] if rows else encoded.rows)


def discard(written: Written) -> None:
    """Remove what `write` stored, when the attempt fails before it was reported. A custom io keeps what it wrote."""
    if not written.reference.format.startswith(CUSTOM_PREFIX):
        files.remove(written.reference.uri)


def _counting(fill: Any, rows: list[int]) -> files.Content:
    def counted(path: str) -> None:
        fill(path)
        rows.append(frames.rows_in_file(path))

    return counted


def _write_with(io: IO, value: Any, target: Target, data_version: str | None) -> Written:
    try:
        reference: Any = io.write(value, target)
    except Exception as error:
        raise StorageError.of(
            "HR-S010",
            f"The io '{io.name}' failed to write asset '{target.asset}': {type(error).__name__}: {error}.",
            "The traceback shows where in the io; nothing was recorded, and the step can be tried again.",
        ) from error
    if not isinstance(reference, Reference):
        raise StorageError.of(
            "HR-S012",
            f"The io '{io.name}' returned {type(reference).__name__} for asset '{target.asset}', not a Reference.",
            "Let write() return hedgerow.protocol.references.Reference(uri=..., format='io:...', extra=...).",
        )
    try:
        extra = msgspec.json.decode(msgspec.json.encode(reference.extra), type=dict[str, Any])
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StorageError.of(
            "HR-S012",
            f"The io '{io.name}' put something into the reference's extra that JSON can't hold: {error}.",
            "Keep text, numbers, lists and dicts in extra.",
        ) from error
    version = data_version or reference.data_version or files.digest(msgspec.json.encode((reference.uri, extra)))
    kind = frames.kind_of(type(value))
    return Written(
        msgspec.structs.replace(
            reference,
            format=f"{CUSTOM_PREFIX}{io.name}",
            partition=target.partition,
            data_version=version,
            extra=extra,
        ),
        frames.columns_of(kind, value) if kind is not None else (),
        frames.rows_of(kind, value) if kind is not None else None,
    )
