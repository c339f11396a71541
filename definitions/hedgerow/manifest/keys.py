"""What a key limit counts by: the value of its `per` in one step, as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hedgerow.identifiers import DIMENSION_SEPARATOR
from hedgerow.partitions import Partitions, dimensions

SOURCES = CONFIG, PARTITION, TAGS = "config", "partition", "tags"
MAX_LENGTH = 200
# Beyond this, a float no longer tells neighbouring whole numbers apart.
_EXACT = 1 << 53


def is_per(text: str) -> bool:
    """Whether `text` may be a limit's `per`: of one of the forms that `key_of` reads, at most 200 printable characters, no `=`.

    >>> is_per("config.customer.id"), is_per("partition"), is_per("config"), is_per("tags.a=b")
    (True, True, False, False)
    """
    source, dot, rest = text.partition(".")
    # `=` joins a limit's name and the value that it counts, wherever both are shown.
    if len(text) > MAX_LENGTH or not text.isprintable() or " " in text or "=" in text:
        return False
    if source == CONFIG:
        return all(rest.split("."))
    return bool(rest) if source == TAGS else source == PARTITION and bool(rest) == bool(dot)


def key_of(
    limit_per: str, config: Any, partition: str | None, partitions: Partitions | None, tags: Mapping[str, str]
) -> str:
    """The value of `limit_per` for a step, as at most 200 characters; steps of equal text share the limit's slots.

    `config.PATH` looks up a dotted path in the computation's run config (plain JSON data), `partition` is the step's partition,
    `partition.DIM` its key in one dimension, `tags.NAME` a tag of the run. Texts stand for themselves, numbers and booleans
    as in JSON, a whole float as the whole number, lists and objects as compact JSON with sorted keys; what is longer, or holds
    characters that PostgreSQL can't keep, becomes `sha256:` with 32 digits. A value that is missing or null is "". Never raises.

    >>> key_of("config.customer.id", {"customer": {"id": 7}}, None, None, {})
    '7'
    >>> key_of("tags.tenant", None, None, None, {"tenant": "acme"}), key_of("tags.other", None, None, None, {})
    ('acme', '')
    """
    source, _, rest = limit_per.partition(".")
    if source == CONFIG:
        return _bounded(_text(_at(config, rest)))
    if source == PARTITION:
        return _bounded(_in_dimension(partition, partitions, rest) if rest else partition or "")
    if source == TAGS:
        return _bounded(tags.get(rest, ""))
    return ""  # a `per` of a newer version: all its steps are then of one value


def _at(config: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(config, Mapping):
            return None
        config = config.get(name)
    return config


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError):  # not plain data, or nested as only a mistake or malice would
        return ""


def _in_dimension(partition: str | None, partitions: Partitions | None, name: str) -> str:
    names = [] if partitions is None else [dim.dim for dim in dimensions(partitions)]
    parts = [] if partition is None else partition.split(DIMENSION_SEPARATOR)
    # They differ when the asset was partitioned anew after the step was planned.
    return parts[names.index(name)] if name in names and len(names) == len(parts) else ""


def _bounded(text: str) -> str:
    if len(text) <= MAX_LENGTH and _can_be_kept(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _can_be_kept(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
