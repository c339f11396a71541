"""The grammar of names: teams, locations, queues, pools, asset keys, partition keys."""

from __future__ import annotations

import hashlib
import re
from itertools import accumulate, takewhile
from urllib.parse import quote

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NAMES = re.compile(rf"{NAME.pattern}(?:/{NAME.pattern})*")
MAX_KEY = 255
MAX_PARTITION_KEY = 255
DIMENSION_SEPARATOR = "|"
MAX_SEGMENT = 250
KEPT_OF_SEGMENT = 180


def is_name(text: str) -> bool:
    """Whether `text` may name a team, location, queue, pool, job, resource, group or check: `[a-z][a-z0-9_-]*`, at most 63.

    >>> is_name("sales"), is_name("Sales"), is_name("2nd")
    (True, False, False)
    """
    return NAME.fullmatch(text) is not None


def is_asset_key(text: str) -> bool:
    """Whether `text` is an asset key: names joined by `/`, at most 255 characters.

    >>> is_asset_key("raw/orders"), is_asset_key("raw//orders"), is_asset_key("/raw")
    (True, False, False)
    """
    return len(text) <= MAX_KEY and _NAMES.fullmatch(text) is not None


def is_partition_key(text: str) -> bool:
    """Whether `text` may be the key of one partition in one dimension: 1 to 255 printable characters other than `|`."""
    return 0 < len(text) <= MAX_PARTITION_KEY and text.isprintable() and DIMENSION_SEPARATOR not in text


def path_segment(text: str) -> str:
    """`text` percent-encoded so that it is one safe segment of a path or URL, whatever it holds.

    >>> path_segment("2024-01-01|a/b")
    '2024-01-01%7Ca%2Fb'
    >>> path_segment("..")
    '%2E%2E'

    What becomes longer than file systems take in a name is cut, and told apart by its digest:

    >>> len(path_segment("ø" * 100)), path_segment("ø" * 100)[:12]
    (213, '%C3%B8%C3%B8')
    """
    encoded = quote(text, safe="")
    if len(encoded) > MAX_SEGMENT:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        whole = (part for part in accumulate(quote(one, safe="", errors="replace") for one in text))
        return f"{list(takewhile(lambda part: len(part) <= KEPT_OF_SEGMENT, whole))[-1]}~{digest}"
    return encoded.replace(".", "%2E") if set(encoded) == {"."} else encoded
