"""The teams' streams of events in one term: what was read of them is folded, and how far that is; epochs begin, and what is recorded is trimmed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from hedgerow import clock
from hedgerow_scheduler.ingest.fold import Fold
from hedgerow_scheduler.ingest.inbox import Batch, Inbox, StreamLost
from hedgerow_scheduler.ingest.reader import Follow
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.recovery.leases import Contact, broker_lost_data
from hedgerow_scheduler.service.care import Care

KEEP = timedelta(minutes=15)  # of what is recorded, by the broker's clock
ANEW_APART_S = 1.0  # between two new beginnings of a team's stream
log = logging.getLogger("hedgerow.scheduler")


class Streams:
    """`cursors` say how far each team's stream was folded: (position, epoch). `contacts` tell since when each is listened to."""

    def __init__(
        self,
        snapshot: Snapshot,
        fold: Fold,
        inbox: Inbox,
        care: Care,
        metrics: SchedulerMetrics,
        cursors: dict[str, tuple[str, str]],
        generation: int,
        lease: timedelta,
        new_id: Callable[[], str],
    ) -> None:
        self._snapshot, self._fold, self._inbox, self._care, self._metrics = snapshot, fold, inbox, care, metrics
        self._cursors, self._generation, self._lease, self._new_id = cursors, generation, lease, new_id
        self.contacts: dict[str, Contact] = {}
        self._teams: set[str] = set()
        self._to_follow: list[Follow] = []

    def take(self, batch: Batch, now: datetime) -> None:
        """Folds what was read of a team's stream."""
        team = batch.team
        for entry in batch.entries:
            if self._care.suspects(entry):
                self._fold.pass_over(entry, "folding it ended the scheduler's term")
            else:
                self._fold.entry(entry, now)
        if batch.entries:
            self._reach(team, batch.entries[-1].id, self._cursors[team][1])
        if batch.length is not None:
            self._metrics.stream(team, _lag_s(batch, now), batch.length)
        if batch.is_drained:  # when it was read, not when its turn came: what was written since is not known yet
            read = now - timedelta(seconds=max(0.0, clock.monotonic() - batch.read_at))
            self.contacts.setdefault(team, Contact(read, read)).read_to_end(read)

    def lost(self, message: StreamLost, now: datetime) -> None:
        """The broker forgot, or the team has spoilt its stream, which then begins anew: a new epoch begins, everything
        unacknowledged is asked for again, nothing expires for a while.
        """
        team, spoilt = message.team, bool(message.ahead)
        for entry in message.ahead:
            self._fold.put_aside(entry, "its id is over an hour ahead of the broker's clock: the stream begins anew")
        if spoilt:
            log.warning("team %s wrote an entry with an id of its own, far ahead: its stream begins anew", team)
            self._inbox.hold(team, ANEW_APART_S)
        else:
            log.warning("the broker of team %s lost data: a new epoch begins", team)
            self._metrics.count("broker_losses", (team,))
        self.contacts.setdefault(team, Contact(now, now)).broken(now)
        broker_lost_data(self._snapshot, team, now, self._lease)
        self._begin_epoch(team, anew=spoilt)
        for (of, worker), acked in self._snapshot.sequences.items():
            if of == team and (team, worker) in self._snapshot.workers:
                self._snapshot.effects.acks[of, worker] = acked
                self._snapshot.effects.resend[of, worker] = acked

    def meet(self, teams: Iterable[str]) -> None:
        """From now on the streams of these teams are followed."""
        for team in teams:
            if team in self._teams:
                continue
            self._teams.add(team)
            self._metrics.add_team(team)
            known = self._cursors.get(team)
            if known is None or not known[1]:
                self._begin_epoch(team)
            else:
                self._to_follow.append(Follow(team, known[0], known[1], False, self._generation))

    def to_follow(self) -> list[Follow]:
        """What the readers have to be told since the last time, once it is recorded."""
        orders, self._to_follow = self._to_follow, []
        return orders

    def outlived(self) -> Iterator[tuple[str, str]]:
        """The teams, each with the position before which its stream is not needed any more."""
        for team, (position, _) in self._cursors.items():
            stamp = int(position.partition("-")[0]) - int(KEEP.total_seconds() * 1000)
            if stamp > 0:
                yield team, f"{stamp}-0"

    def _begin_epoch(self, team: str, anew: bool = False) -> None:
        epoch = self._new_id()
        self._reach(team, "0-0", epoch)
        self._to_follow.append(Follow(team, "0-0", epoch, True, self._generation, anew))

    def _reach(self, team: str, position: str, epoch: str) -> None:
        self._cursors[team] = self._snapshot.changes.cursors[team] = (position, epoch)


def _lag_s(batch: Batch, now: datetime) -> float:
    """The age of the oldest entry of a batch, by the broker's clock against PostgreSQL's."""
    stamps = [int(entry.id.partition("-")[0]) for entry in batch.entries]
    return now.timestamp() - min(stamps) / 1000 if stamps else 0.0
