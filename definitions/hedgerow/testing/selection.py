"""Selections over the assets of an in-process run: the grammar of the platform's selections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Asset
from hedgerow.suggestion import did_you_mean

_ITEM = re.compile(r"(?P<not>!?)(?:(?P<up>\d*)(?P<plus>\+))?(?P<term>[^+!]+?)(?:(?P<down>\+)(?P<levels>\d*))?")


def select(text: str, assets: Mapping[str, Asset], upstream: Mapping[str, frozenset[str]]) -> set[str]:
    """The keys that a selection names: keys, globs, `group:`, `tag:`, `owner:`, `kind:`, with `+` for upstream and downstream.

    `upstream` holds each asset's direct upstreams. `RequestError` HR-Q001 when an item matches nothing, HR-Q003 when it can't be
    read. Items are separated by blanks or commas; `!` takes away.
    """
    downstream: dict[str, set[str]] = {}
    for key, above in upstream.items():
        for one in above:
            downstream.setdefault(one, set()).add(key)
    chosen: set[str] = set()
    taken_away: set[str] = set()
    for item in re.split(r"[,\s]+", text.strip()):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise RequestError.of(
                "HR-Q003", f"The selection item '{item}' can't be read.", "Write a key, a glob, or attribute:value."
            )
        found = {key for key, asset in assets.items() if _matches(match["term"], key, asset)}
        if not found:
            raise RequestError.of(
                "HR-Q001", f"The selection '{item}' matches no asset.", did_you_mean(match["term"], assets)
            )
        named = set(found)
        if match["plus"]:
            found |= _closure(named, upstream, int(match["up"] or len(assets)))
        if match["down"]:
            found |= _closure(named, downstream, int(match["levels"] or len(assets)))
        (taken_away if match["not"] else chosen).update(found & assets.keys())
    return chosen - taken_away


def _matches(term: str, key: str, asset: Asset) -> bool:
    kind, colon, name = term.partition(":")
    if not colon:
        return fnmatchcase(key, term)
    if kind == "tag":
        tag, equals, value = name.partition("=")
        return tag in asset.tags and (not equals or asset.tags[tag] == value)
    return (
        (kind == "group" and asset.group == name)
        or (kind == "owner" and name in asset.owners)
        or (kind == "kind" and name in asset.kinds)
    )


def _closure(start: set[str], edges: Mapping[str, frozenset[str] | set[str]], levels: int) -> set[str]:
    seen, front = set(start), set(start)
    for _ in range(levels):
        front = {further for key in front for further in edges.get(key, ())} - seen
        if not front:
            break
        seen |= front
    return seen
