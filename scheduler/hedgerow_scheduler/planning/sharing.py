"""Sharing: what very many assets declare alike is kept once."""

from __future__ import annotations

from msgspec.structs import force_setattr

from hedgerow.conditions.model import Condition
from hedgerow.manifest.model import Manifest


def share_conditions(manifest: Manifest) -> Manifest:
    """The manifest, of whose equal conditions one is left that all their assets refer to. As JSON, each asset has come with a tree of its
    own, which takes more memory than all the rest of it.
    """
    known: dict[Condition, Condition] = {}
    for asset in manifest.assets:
        if asset.automation is not None:
            # An equal value in its place: nobody can see the difference.
            force_setattr(asset, "automation", known.setdefault(asset.automation, asset.automation))
    return manifest
