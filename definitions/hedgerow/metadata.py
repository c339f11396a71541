"""Metadata that people attach to assets, materializations and checks: plain JSON of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from hedgerow.protocol.events import MAX_METADATA_BYTES

_encoder = msgspec.json.Encoder(order="sorted", enc_hook=lambda value: _plain(value))


class MetadataError(ValueError):
    """The metadata is no JSON object, or larger than `MAX_METADATA_BYTES`."""


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    # Scalars of numpy and its kin are recognised by their method, so that none of them needs to be imported.
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        return item()
    raise NotImplementedError(f"{type(value).__module__}.{type(value).__qualname__} has no JSON form")


def normalise(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """`metadata` as plain JSON data with sorted keys (dates and paths become text, numpy scalars numbers, NaN null).

    `MetadataError` says what does not fit: a value without a JSON form, a key that is no text, more than 64 KiB.

    >>> normalise({"rows": 3, "columns": ("b", "a")})
    {'columns': ['b', 'a'], 'rows': 3}
    """
    if not isinstance(metadata, Mapping):
        raise MetadataError(f"metadata must be a mapping from text, not {type(metadata).__name__}")
    if not metadata:
        return {}
    bad = [key for key in metadata if not isinstance(key, str)]
    if bad:
        raise MetadataError(f"metadata key {bad[0]!r} is no text")
    try:
        body = _encoder.encode(dict(metadata))
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError, msgspec.MsgspecError) as error:
        raise MetadataError(f"metadata can't be written as JSON: {error}") from error
    if len(body) > MAX_METADATA_BYTES:
        raise MetadataError(
            f"metadata takes {len(body):,} bytes as JSON, {MAX_METADATA_BYTES:,} are allowed: keep large things in an asset"
        )
    plain: dict[str, Any] = msgspec.json.decode(body)
    return plain
