"""Versions: what a step is made from, as the data versions of the upstream partitions that it reads or comes after."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Computation, Dependency
from hedgerow.partitions import algebra
from hedgerow.partitions.model import All, Partitions
from hedgerow.partitions.resolution import default_mapping, upstream_keys
from hedgerow_scheduler.planning.catalog import Catalog, looks_back
from hedgerow_scheduler.planning.inputs import Wanted, takes_what_there_is

LISTED = 50  # partitions of one upstream whose versions are kept one by one; of more, one digest
FOLLOWED = 1_000  # partitions of one upstream whose versions are kept at all; beyond, only the order of dispatch tells what is newer

# The data versions of one upstream by partition, or their digest; None where they were too many to be kept.
Versions: TypeAlias = dict[str, str] | str | None


class Edge(msgspec.Struct, frozen=True):
    """What a step reads, or comes after, of one upstream asset: its partitions ('' when it has none), None when there are over
    `FOLLOWED`. `fixed` when they were asked for one by one, and are not merely whatever there is.
    """

    asset: str
    partitions: tuple[str, ...] | None
    fixed: bool = True


def edges(
    catalog: Catalog, computation: Computation, partition: str | None, now: datetime, without: Container[str] = ()
) -> tuple[Edge, ...]:
    """The edges of a step by upstream asset, in order of the dependencies, those for order only among them. Of an upstream that is
    external or declared by nobody no partitions are known. `without` are upstreams to leave out.
    """
    found: dict[str, Edge] = {}
    for dep in computation.deps:
        if dep.key in without or (dep.key in computation.assets and not looks_back(dep)):
            continue
        asset = catalog.assets.get(dep.key)
        if asset is None or asset.computation is None:
            edge = Edge(dep.key, (), False)
        else:
            edge = _edge(dep, computation.partitions, asset.definition.partitions, partition, now)
        known = found.get(dep.key)
        found[dep.key] = edge if known is None else _union(known, edge)
    return tuple(found.values())


def _edge(
    dep: Dependency, downstream: Partitions | None, upstream: Partitions | None, partition: str | None, now: datetime
) -> Edge:
    if upstream is None:
        return Edge(dep.key, ("",))
    mapping = dep.mapping or default_mapping(downstream, upstream)
    if isinstance(mapping, All) and algebra.count(upstream, now) > FOLLOWED:
        return Edge(dep.key, None, False)  # they need not be counted out to be too many
    try:
        keys = upstream_keys(dep.mapping, downstream, upstream, partition, now)
    except RequestError:  # planning has told about it; here it means that nothing is read
        return Edge(dep.key, (), False)
    few = tuple(key or "" for key in keys) if len(keys) <= FOLLOWED else None
    return Edge(dep.key, few, not takes_what_there_is(mapping))


def _union(one: Edge, other: Edge) -> Edge:
    if one.partitions is None or other.partitions is None:
        return Edge(one.asset, None, False)
    both = tuple(dict.fromkeys((*one.partitions, *other.partitions)))
    return Edge(one.asset, None if len(both) > FOLLOWED else both, one.fixed and other.fixed)


def loaded_versions(wanted: Iterable[Wanted], current: Mapping[tuple[str, str], str]) -> dict[str, Versions]:
    """The versions of the inputs that a step is given, from the current versions by (asset, partition)."""
    found: dict[str, Versions] = {}
    for want in wanted:
        if len(want.partitions) > FOLLOWED:
            found[want.asset] = None
            continue
        pairs = ((key, current.get((want.asset, key))) for key in want.partitions)
        found[want.asset] = kept({key: version for key, version in pairs if version is not None})
    return found


def kept(versions: Mapping[str, str]) -> Versions:
    """Versions by partition as they are kept: one by one, or as a digest when there are over `LISTED`."""
    return digest(versions) if len(versions) > LISTED else dict(versions)


def digest(versions: Mapping[str, str]) -> str:
    """One text for the versions of many partitions. PostgreSQL makes the same one (metadata.statements.INSERT_ATTEMPTS_AFTER).

    >>> digest({"b": "2", "a": "1"}) == digest({"a": "1", "b": "2"})
    True
    """
    text = "\n".join(f"{key}={versions[key]}" for key in sorted(versions))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
