"""Why a step is not running: from facts to causes with their text, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from hedgerow_scheduler.admission.waiting_facts import (
    AssetFacts,
    Holder,
    StepFacts,
    UpstreamStep,
)

LEADER_STALE_S = 10.0
SHOWN = 3

CauseKind: TypeAlias = Literal[
    "scheduler_down",  # no leader renewed lately
    "not_planned",  # the scheduler has not taken the run up yet
    "upstream",  # steps of the same run come first
    "retry_wait",  # a retry comes later
    "queue_concurrency",  # the queue's own limit
    "same_output",  # another attempt makes the same asset and partition
    "no_workers",  # nobody serves the team's queue
    "workers_starting",  # they are there, but not warm yet
    "refused_code",  # they serve a manifest that did not come into force
    "slots_busy",  # every slot of the live workers is taken
    "unresolved",  # an upstream key that nobody declares
    "blocked_by_check",  # the only output of an upstream was rejected
    "location_failed",  # the team's code can't be loaded
    "no_manifest",  # the team's code was never published
    "undeclared",  # the definition has vanished
    "cancelling",  # cancellation was asked for
    "next",  # nothing holds it: it starts in a moment
    "running",
    "dispatched",  # its order is on the way to a worker
    "ended",
    "never_run",  # an asset that no run ever made
    "external",  # of an asset: it is never made here
    "last_run",  # of an asset: the step that made it last
    "has_data",  # of an asset
    "no_data",  # of an asset
]


class Cause(msgspec.Struct, frozen=True):
    """One reason: its kind, what and which as a sentence, and what to do about it ("" when waiting is enough)."""

    kind: CauseKind
    text: str
    remedy: str = ""


def explain_step(facts: StepFacts) -> tuple[Cause, ...]:
    """Every cause that holds the step, the most telling first; one cause of kind running, dispatched, ended or next otherwise."""
    if facts.state == "running":
        since = f" since {_span(facts.started_at, facts.now)}" if facts.started_at else ""
        return (Cause("running", f"It is running{since} (attempt {facts.attempt})."),)
    if facts.state not in ("waiting", "ready", "dispatched", "retry_wait"):
        return (_ended(facts),)
    causes = [*_scheduler(facts.leader_stale_s)]
    if facts.cancel_requested:
        causes.append(Cause("cancelling", "Its run is being cancelled."))
    if facts.state != "dispatched":
        causes += _definition(facts)
    if facts.state == "waiting":
        causes += _upstream(facts.upstream)
    if facts.state == "retry_wait":
        causes.append(_retry(facts))
    if facts.state == "ready":
        causes += _limits(facts)
    if facts.state in ("ready", "dispatched"):
        causes += _workers(facts)
    if facts.state == "dispatched" and not causes:
        causes.append(Cause("dispatched", "Its order is on the way to a worker."))
    return tuple(causes) or (Cause("next", "Nothing holds it: it starts in a moment."),)


def explain_unplanned(leader_stale_s: float | None) -> tuple[Cause, ...]:
    """Why a run has no steps yet."""
    down = tuple(_scheduler(leader_stale_s))
    return down or (Cause("not_planned", "The scheduler has not taken the run up yet: it is planned in a moment."),)


def explain_asset(facts: AssetFacts) -> tuple[Cause, ...]:
    """What is known of an asset that no live step makes: its last run, whether it has data, what is missing."""
    what = f"{facts.asset}[{facts.partition}]" if facts.partition else facts.asset
    if facts.external:
        return (Cause("external", f"{what} is external: Hedgerow observes it and never materializes it."),)
    causes = []
    if facts.last_run_id is None:
        causes.append(
            Cause("never_run", f"No run has made {what} yet.", f"Start one: `hedgerow materialize {facts.asset}`.")
        )
    else:
        step = f"{facts.last_run_id}/{facts.last_number}"
        error = f": {facts.last_error.message}" if facts.last_error and facts.last_state != "cancelled" else ""
        remedy = f"See `hedgerow explain {step}`." if facts.last_state not in ("succeeded", "skipped") else ""
        causes.append(
            Cause("last_run", f"No live step makes {what}. Its last was {step}: {facts.last_state}{error}.", remedy)
        )
    if not facts.current:
        causes.append(Cause("no_data", f"{what} has no current materialization: what reads it finds nothing."))
    elif facts.partitioned and facts.partition is None:
        many = "1 partition" if facts.current == 1 else f"{facts.current:,} partitions"
        causes.append(
            Cause("has_data", f"{what} has current materializations of {many}.", "Ask about one: --partition KEY.")
        )
    else:
        causes.append(Cause("has_data", f"{what} has a current materialization."))
    causes += _unresolved(facts.unresolved)
    if facts.upstream_missing:
        causes.append(
            Cause(
                "upstream",
                f"Upstream without any data: {', '.join(facts.upstream_missing)}.",
                f"Materialize it too: `hedgerow materialize +{facts.asset}`.",
            )
        )
    return tuple(causes)


def _ended(facts: StepFacts) -> Cause:
    why = {
        "succeeded": "It has succeeded.",
        "skipped": "It was skipped: its code, or an upstream's, said that there was nothing to do.",
        "cancelled": "It was cancelled.",
        "upstream_failed": "An upstream step ended without success.",
        "poisoned": "It killed its runner three times and is parked.",
        "failed": "It has failed.",
    }.get(facts.state, f"It has ended: {facts.state}.")
    error = f" {facts.error.code}: {facts.error.message}" if facts.error else ""
    again = facts.state in ("failed", "cancelled", "upstream_failed", "poisoned")
    return Cause("ended", why + error, f"Try again: `hedgerow run retry {facts.run_id}`." if again else "")


def _scheduler(stale_s: float | None) -> Iterable[Cause]:
    if stale_s is None:
        yield Cause("scheduler_down", "No scheduler has ever run on this database.", "Start one: `hedgerow scheduler`.")
    elif stale_s > LEADER_STALE_S:
        yield Cause(
            "scheduler_down",
            f"No scheduler leads: the last renewed {duration(stale_s)} ago.",
            "Start one: `hedgerow scheduler`.",
        )


def _definition(facts: StepFacts) -> Iterable[Cause]:
    here = next((place for place in facts.locations if place.location == facts.location), None)
    if here is None or here.manifest_hash is None:
        if here is None or not here.problems:
            yield Cause(
                "no_manifest",
                f"Team '{facts.team}' has never published its location '{facts.location}'.",
                "Start its worker: `hedgerow worker PATH`, PATH being the directory of its hedgerow.toml.",
            )
    elif not facts.declared:
        yield Cause(
            "undeclared",
            f"The manifest in force no longer declares {_what(facts.assets, '')}.",
            "Cancel the run, or deploy the definition again.",
        )
    if here is not None and here.problems:
        first = here.problems[0]
        where = f" ({first.file}:{first.line})" if first.file and first.line else ""
        yield Cause(
            "location_failed",
            f"The newest code of team '{facts.team}' can't be used: {first.code} {first.message}{where}",
            f"See `hedgerow team show {facts.team}`, mend it, and the worker loads it again.",
        )
    yield from _unresolved(facts.unresolved)
    for block in facts.blocked:
        yield Cause(
            "blocked_by_check",
            f"Upstream {_what((block.asset,), block.partition)} has no accepted output: blocking check '{block.check_name}' failed in run {block.run_id}.",
            f"Mend {block.asset} or its check, then `hedgerow materialize {block.asset}`.",
        )


def _unresolved(keys: Sequence[str]) -> Iterable[Cause]:
    for key in keys:
        yield Cause(
            "unresolved",
            f"Upstream '{key}' is declared by no team.",
            f"Start the worker of the team that declares '{key}', or declare it with hr.external(\"{key}\").",
        )


def _upstream(upstream: Sequence[UpstreamStep]) -> Iterable[Cause]:
    open_steps = [step for step in upstream if step.state != "succeeded"]
    if open_steps:
        shown = ", ".join(
            f"{step.number} {_what((step.computation,), step.partition)} ({step.state})" for step in open_steps[:SHOWN]
        )
        count = "1 upstream step" if len(open_steps) == 1 else f"{len(open_steps)} upstream steps"
        yield Cause("upstream", f"It waits for {count} of its run: {shown}{_more(len(open_steps))}.")


def _retry(facts: StepFacts) -> Cause:
    error = f" after {facts.error.code}: {facts.error.message}" if facts.error else ""
    if facts.not_before is None or facts.not_before <= facts.now:
        return Cause("retry_wait", f"Attempt {facts.attempt + 1} is due{error}.")
    left = duration((facts.not_before - facts.now).total_seconds())
    at = facts.not_before.isoformat(timespec="seconds")
    return Cause("retry_wait", f"Attempt {facts.attempt + 1} comes in {left}, at {at}{error}.")


def _limits(facts: StepFacts) -> Iterable[Cause]:
    for holder in facts.same_output[:1]:
        yield Cause(
            "same_output",
            f"Step {holder.run_id}/{holder.number} is making {_what(facts.assets, facts.partition)} now ({holder.state}); one at a time.",
        )
    queue = facts.queue_fact
    if queue.concurrency is not None and queue.in_use >= queue.concurrency:
        ahead = f" {queue.ahead} ready {'step is' if queue.ahead == 1 else 'steps are'} ahead." if queue.ahead else ""
        yield Cause(
            "queue_concurrency",
            f"Queue {facts.team}/{facts.queue} is full, {queue.in_use}/{queue.concurrency}, held by {_holders(queue.holders, queue.in_use)}.{ahead}",
        )


def _workers(facts: StepFacts) -> Iterable[Cause]:
    serving = [w for w in facts.workers if w.location == facts.location and facts.queue in w.queues]
    ready = [w for w in serving if w.state == "ready"]
    if not serving:
        others = f" (of the team's {len(facts.workers)} live workers none serves it)" if facts.workers else ""
        yield Cause(
            "no_workers",
            f"No live worker serves queue {facts.team}/{facts.queue}{others}.",
            "Start one: `hedgerow worker PATH`, PATH being the directory of the team's hedgerow.toml.",
        )
    elif not ready:
        states = ", ".join(sorted({w.state for w in serving}))
        yield Cause(
            "workers_starting",
            f"No worker of queue {facts.team}/{facts.queue} takes steps now ({states}).",
        )
    elif not any(w.accepted for w in ready):
        yield Cause(
            "refused_code",
            f"The code that {_workers_of(len(ready), facts)} {'has' if len(ready) == 1 else 'have'} loaded is not in force.",
            f"See `hedgerow team show {facts.team}` for what is wrong with it.",
        )
    elif facts.state == "ready":
        ready = [w for w in ready if w.accepted]
        slots, busy = sum(w.slots for w in ready), sum(min(w.busy, w.slots) for w in ready)
        out = max(busy, facts.queue_fact.in_use)
        if out >= slots:
            yield Cause(
                "slots_busy",
                f"Every slot of {_workers_of(len(ready), facts)} is taken, {min(out, slots)}/{slots}, by {_holders(facts.queue_fact.holders, out)}.",
                "More slots: start another `hedgerow worker PATH`.",
            )


def _workers_of(count: int, facts: StepFacts) -> str:
    return f"the {'worker' if count == 1 else f'{count} workers'} of queue {facts.team}/{facts.queue}"


def _holders(holders: Sequence[Holder], count: int) -> str:
    if not holders:
        return "steps of other queues"
    shown = ", ".join(f"{h.run_id}/{h.number} {_what(h.assets, h.partition)}" for h in holders[:SHOWN])
    return shown + _more(max(count, len(holders)))


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""


def _what(assets: Sequence[str], partition: str) -> str:
    name = assets[0] + (f" (+{len(assets) - 1})" if len(assets) > 1 else "")
    return f"{name}[{partition}]" if partition else name


def _span(start: datetime, end: datetime) -> str:
    return f"{duration(max(0.0, (end - start).total_seconds()))} ago"


def duration(seconds: float) -> str:
    """Seconds as people say them: two units at most.

    >>> duration(0.0123), duration(5.25), duration(125), duration(7300), duration(200000)
    ('12 ms', '5.2 s', '2 m 05 s', '2 h 01 m', '2 d 07 h')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"
