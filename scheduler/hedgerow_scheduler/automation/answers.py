"""Answers of teams' own code: what a function under `@hr.condition` said last of an asset's partitions."""

from __future__ import annotations

import msgspec
from pyroaring import BitMap

from hedgerow_scheduler.automation.facts import EMPTY


class Said(msgspec.Struct, frozen=True):
    """That it holds for every partition or for none (`everything`), those included that come to exist later; or (None) for those of `yes`,
    which says nothing of partitions that were not `asked` about.
    """

    everything: bool | None
    yes: BitMap = EMPTY
    asked: BitMap = EMPTY

    def within(self, scope: BitMap) -> BitMap:
        """Those in the scope for which it holds."""
        if self.everything is None:
            return self.yes & scope
        return scope if self.everything else EMPTY

    def unknown(self, scope: BitMap) -> BitMap:
        """Those in the scope of which it says nothing."""
        return EMPTY if self.everything is not None else scope - self.asked
