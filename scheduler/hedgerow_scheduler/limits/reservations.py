"""Reservations: what is kept for a step that needs several slots of a limit, while others would take them one by one for ever.

A group that nothing but one limit refuses for long gets what it needs kept, there and of the limits that are its team's own, when
it is its turn: so it starts as soon as enough has ended, and no one who can't start keeps anything from others. What was kept to
no purpose counts as a turn.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from hedgerow_scheduler.limits.fairness import AGEING
from hedgerow_scheduler.limits.limit import Limit

if TYPE_CHECKING:
    from hedgerow_scheduler.limits.lines import Group
NOBODY = ""


class Reservations:
    """All that is kept. `look_again(limit)` has those looked at again who were refused for what is kept no more."""

    def __init__(self, look_again: Callable[[Limit], None]) -> None:
        self._look_again = look_again
        self._groups: dict[Group, None] = {}

    def refuses(self, limit: Limit, slots: int, group: Group) -> bool:
        """Whether the limit has so many slots free only because they are kept for another group."""
        other: Group | None = limit.reserved_for
        if other is None or other is group or other.reserving is None or not other.waits_only_for(other.reserving):
            return False
        most = limit.values.concurrency
        return most is not None and limit.used + slots + other.slots_of(limit) > most

    def ask(self, limit: Limit, group: Group, now: datetime) -> None:
        """`limit` has too few slots free for the group. If that needs several and is passed over for long, they are kept."""
        several = group.slots_of(limit) > 1
        if not several and limit.first_refused is not None:
            return
        if not _fits(limit, group) or any(self._is_refused(other, group, now) for other in _others(limit, group)):
            return
        sharer = group.sharer_at(limit)
        if limit.first_refused is None:
            limit.first_refused = sharer
        if not several:
            return
        group.hungry_since = group.hungry_since or now
        if (
            limit.first_refused != sharer
            or now - group.hungry_since < AGEING
            or now < limit.not_kept_before.get(sharer, now)
        ):
            return
        # Of another pool that teams share nothing is kept: it may not be the team's turn there.
        limits = [
            each
            for each, _ in group.needs
            if each.values.concurrency is not None and (each is limit or not each.is_between_teams)
        ]
        if all(each.reserved_for is None for each in limits):
            group.reserving = limit
            self._groups[group] = None
            for each in limits:
                each.reserved_for = group

    def use(self, group: Group) -> bool:
        """The group has started a step; whether anything was kept for it."""
        group.hungry_since = None
        limit = group.reserving
        if limit is None:
            return False
        self._end(group)
        limit.first_refused = NOBODY  # it has just had its turn: whose is the next shows when slots are let go of
        return True

    def end_idle(self, now: datetime) -> bool:
        """What is kept for a group that something else holds up, that never fits, or in which nothing waits any more, is for
        everyone again; whether there was any. Who kept it from others to no purpose is charged, and begins to wait anew.
        """
        ended = False
        for group in list(self._groups):
            limit = group.reserving
            assert limit is not None  # else it would not be here
            held_up = not group.waits_only_for(limit) or any(
                self._is_refused(other, group, now) for other in _others(limit, group)
            )
            if held_up or not _fits(limit, group):
                ended = True
                self._end(group)
                group.hungry_since = None
                if held_up:
                    sharer = group.sharer_at(limit)
                    limit.fair.serve_apart(sharer, group.slots_of(limit), group.weight_at(limit))
                    limit.not_kept_before[sharer] = now + AGEING
        return ended

    def _end(self, group: Group) -> None:
        group.reserving = None
        del self._groups[group]
        for limit, _ in group.needs:
            if limit.reserved_for is group:
                limit.reserved_for = None
                self._look_again(limit)

    def _is_refused(self, limit: Limit, group: Group, now: datetime) -> bool:
        slots = group.slots_of(limit)
        return limit.refusal(slots, now) is not None or self.refuses(limit, slots, group)


def _fits(limit: Limit, group: Group) -> bool:
    """Whether the limit could ever let the group out, and has to be waited for."""
    most = limit.values.concurrency
    return most is not None and group.slots_of(limit) <= most


def _others(limit: Limit, group: Group) -> list[Limit]:
    return [other for other, _ in group.needs if other is not limit]
