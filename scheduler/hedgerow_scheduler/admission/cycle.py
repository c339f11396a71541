"""One cycle of admission: what it grants, and what is left of its budget."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hedgerow.manifest.model import Computation
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.limits.limit import Holding
from hedgerow_scheduler.planning.snapshot import Snapshot

# Steps that are granted in one cycle, or found to be held up by themselves; the rest comes at once after.
MAX_TAKEN = 2_000


class Grant(msgspec.Struct, frozen=True, eq=False):
    """A step that may start, bound to the newest manifest served in its location that declares it. Grants of one `holding` go out
    in one message and hold their limits together.
    """

    step: Step
    manifest_hash: str
    computation: Computation
    holding: Holding


class Cycle:
    """What all places of one cycle share."""

    def __init__(self, snapshot: Snapshot, now: datetime, max_batch: int) -> None:
        self.snapshot, self.now, self.max_batch = snapshot, now, max_batch
        self.grants: list[Grant] = []
        self.taken: set[tuple[str, str]] = set()  # locks of this cycle's grants
        self.left = MAX_TAKEN
        self.due: datetime | None = None
