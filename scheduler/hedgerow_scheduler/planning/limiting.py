"""Limiting: what follows for everything that waits when other code, overrides or priorities are in force."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.limits.lines import Line
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.rules import Override, Rules, Shape
from hedgerow_scheduler.planning.snapshot import Snapshot


def use_catalog(snapshot: Snapshot, catalog: Catalog, now: datetime) -> None:
    """Other manifests are in force: limits are set anew, and steps whose needs have changed are grouped anew."""
    before, former = snapshot.rules, snapshot.catalog
    snapshot.backlog.now, snapshot.catalog = now, catalog
    _renew(snapshot, Rules(catalog, before.platform, before.overrides, snapshot.run_caps), now)
    teams = {place[0] for place, entry in catalog.published.items() if former.published.get(place) is not entry}
    for line in [line for line in snapshot.backlog.lines.values() if line.name[0] in teams]:
        for group in list(line.groups()):
            if any(_shape(before, line, name) != _shape(snapshot.rules, line, name) for name in group.computations):
                snapshot.backlog.regroup([ticket.step for ticket in group.tickets()])
    snapshot.backlog.release_parked_on_assets()


def _shape(rules: Rules, line: Line, name: str) -> Shape | None:
    """What a computation's steps in a line need, as `rules` have it."""
    published = rules.catalog.published.get(line.place)
    computation = published.computations.get(name) if published else None
    return rules.shape(*line.place, computation) if computation else None


def use_overrides(snapshot: Snapshot, overrides: Iterable[Override], now: datetime) -> None:
    """Operators have set limits otherwise: it counts for what waits already. What is out stays out."""
    before, snapshot.backlog.now = snapshot.rules, now
    _renew(snapshot, Rules(snapshot.catalog, before.platform, overrides, snapshot.run_caps), now)
    of_runs = {o.name for o in (*before.overrides, *snapshot.rules.overrides) if o.kind == "run"}
    for run in [snapshot.runs[id] for id in of_runs - snapshot.run_caps.keys() if id in snapshot.runs]:
        _hold_limit(snapshot, run)
        snapshot.backlog.regroup(run.steps)


def expire_overrides(snapshot: Snapshot, now: datetime) -> list[Override]:
    """Sets limits back whose override's time is over; those overrides."""
    gone = [o for o in snapshot.rules.overrides if o.expires_at is not None and o.expires_at <= now]
    if gone:
        use_overrides(snapshot, [o for o in snapshot.rules.overrides if o not in gone], now)
    return gone


def prioritise(snapshot: Snapshot, run: Run, priority: int, now: datetime) -> None:
    """An operator gives a run another priority."""
    snapshot.backlog.now, run.priority = now, priority
    snapshot.changes.runs[run.id] = run
    snapshot.backlog.regroup(run.steps)


def _renew(snapshot: Snapshot, rules: Rules, now: datetime) -> None:
    snapshot.rules = rules
    snapshot.limits.reset(now)


def _hold_limit(snapshot: Snapshot, run: Run) -> None:
    """A run that had no limit got one: what is out already counts."""
    need = (snapshot.limits.get(("run", run.id)), 1)
    for holding in {id(step.holding): step.holding for step in run.steps if step.holding is not None}.values():
        if all(limit is not need[0] for limit, _ in holding.needs):
            holding.add(need, run.id)
