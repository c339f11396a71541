"""Which sets of keys a manifest names, and the manifest bound to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from hedgerow.manifest.model import Manifest
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import Dimension, DynamicPartitions, Partitions, ProductPartitions, dimensions


def names_of(partitions: Iterable[Partitions | None]) -> tuple[str, ...]:
    """The sets that some definitions name, sorted."""
    found = {
        dim.name
        for each in partitions
        if each is not None
        for dim in dimensions(each)
        if isinstance(dim, DynamicPartitions)
    }
    return tuple(sorted(found))


def bind(manifest: Manifest, known: Callable[[str], KeySet]) -> Manifest:
    """The manifest with its dynamic partitions bound to the keys that `known` has of a set; the same object when it has none."""
    if not names_of(asset.partitions for asset in manifest.assets):
        return manifest
    replace = msgspec.structs.replace
    return replace(
        manifest,
        assets=tuple(replace(each, partitions=_bound(each.partitions, known)) for each in manifest.assets),
        computations=tuple(replace(each, partitions=_bound(each.partitions, known)) for each in manifest.computations),
    )


def _bound(partitions: Partitions | None, known: Callable[[str], KeySet]) -> Partitions | None:
    if isinstance(partitions, ProductPartitions):
        return ProductPartitions(tuple(_bound_dim(dim, known) for dim in partitions.dims))
    return None if partitions is None else _bound_dim(partitions, known)


def _bound_dim(dim: Dimension, known: Callable[[str], KeySet]) -> Dimension:
    if isinstance(dim, DynamicPartitions):
        return KnownPartitions(name=dim.name, dim=dim.dim, known=known(dim.name))
    return dim
