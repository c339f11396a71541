"""Why a step is not running: from facts to causes with their text, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from hedgerow_scheduler.admission.causes import SHOWN, Cause, duration, holders_text, more, output_text
from hedgerow_scheduler.admission.waiting_facts import AssetFacts, LimitFact, StepFacts, UpstreamStep
from hedgerow_scheduler.admission.waiting_limits import ahead_text, due_in, limit_causes

LEADER_STALE_S = 10.0


def explain_step(facts: StepFacts) -> tuple[Cause, ...]:
    """Every cause that holds the step, in the order in which the scheduler looks; one cause of kind running, dispatch, ended, turn
    or next otherwise.
    """
    if facts.state == "running":
        since = f" since {_span(facts.started_at, facts.now)} ago" if facts.started_at else ""
        return (Cause("running", f"It is running{since} (attempt {facts.attempt})."),)
    if facts.state not in ("waiting", "ready", "dispatched", "retry_wait"):
        return (_ended(facts),)
    causes = [*no_scheduler(facts.leader_stale_s)]
    if facts.cancel_requested:
        causes.append(Cause("cancelling", "Its run is being cancelled."))
    if facts.state != "dispatched":
        causes += _definition(facts)
    if facts.state in ("waiting", "retry_wait"):
        causes += _unresolved(facts.unresolved)
    if facts.state == "waiting":
        causes += _upstream(facts.upstream)
    if facts.state == "retry_wait":
        causes.append(_retry(facts))
    if facts.state == "ready":
        causes += _ready(facts)
    if facts.state == "dispatched":
        causes += _workers(facts)
        return (*causes, Cause("dispatch", "Its order is on the way to a worker.", due_s=0.0))
    if causes:
        return tuple(causes)
    if facts.ahead:
        due = due_in(facts.ahead, facts.pace, _slots(facts))
        coming = ahead_text(facts.ahead, due).removeprefix("; ")
        return (Cause("turn", f"Of queue {facts.team}/{facts.queue}, {coming}.", due_s=due),)
    return (Cause("next", "Nothing holds it: it starts in a moment.", due_s=0.0),)


def explain_unplanned(leader_stale_s: float | None) -> tuple[Cause, ...]:
    """Why a run has no steps yet."""
    down = tuple(no_scheduler(leader_stale_s))
    return down or (Cause("planning", "The scheduler has not taken the run up yet: it is planned in a moment."),)


def explain_asset(facts: AssetFacts) -> tuple[Cause, ...]:
    """What is known of an asset that no live step makes: its last run, whether it has data, what is missing."""
    what = f"{facts.asset}[{facts.partition}]" if facts.partition else facts.asset
    which = f" --partition '{facts.partition}'" if facts.partition else ""
    if facts.external:
        return (Cause("external", f"{what} is external: Hedgerow observes it and never materializes it."),)
    causes = []
    if facts.last_run_id is None:
        causes.append(
            Cause(
                "never_run", f"No run has made {what} yet.", f"Start one: `hedgerow materialize {facts.asset}{which}`."
            )
        )
    else:
        step = f"{facts.last_run_id}/{facts.last_number}"
        error = (
            f": {facts.last_error.message.rstrip('.')}" if facts.last_error and facts.last_state != "cancelled" else ""
        )
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
    if facts.held_back:
        why = "was rejected by a blocking check" if facts.held_back == "rejected" else "has not passed its checks yet"
        of = f" --partition '{facts.partition}'" if facts.partition else ""
        again = f"Check it again: `hedgerow materialize {facts.asset}{of} --checks-only`."
        causes.append(Cause("held_back", f"The newest output of {what} {why}: nobody reads it.", again))
    causes += _unresolved(facts.unresolved)
    if facts.upstream_missing:
        causes.append(
            Cause(
                "upstream",
                f"Upstream without any data: {', '.join(facts.upstream_missing)}.",
                f"Materialize it too: `hedgerow materialize +{facts.asset}{which}`.",
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


def no_scheduler(stale_s: float | None) -> Iterable[Cause]:
    """That no scheduler leads, if the leader's last renewal is `stale_s` seconds ago (None: there never was one)."""
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
    elif not facts.declared and not facts.code_served:
        yield Cause(
            "undeclared",
            f"The manifest in force no longer declares {output_text(facts.assets, '')}.",
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


def _blocked(facts: StepFacts) -> Iterable[Cause]:
    for block in facts.blocked:
        again = f"hedgerow materialize {block.asset}" + (f" --partition '{block.partition}'" if block.partition else "")
        upstream = output_text((block.asset,), block.partition)
        if block.check_name:
            yield Cause(
                "blocked_by_check",
                f"Upstream {upstream} has no accepted output: blocking check '{block.check_name}' failed in run {block.run_id}.",
                f"Mend {block.asset}, then `{again}`; or mend the check, then the same with --checks-only.",
            )
        else:
            yield Cause(
                "blocked_by_check",
                f"Upstream {upstream} has an output of run {block.run_id} that has not passed its checks yet.",
                f"If no step of that run is going to check it: `{again} --checks-only`.",
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
            f"{step.number} {output_text((step.computation,), step.partition)} ({step.state})"
            for step in open_steps[:SHOWN]
        )
        count = "1 upstream step" if len(open_steps) == 1 else f"{len(open_steps)} upstream steps"
        yield Cause("upstream", f"It waits for {count} of its run: {shown}{more(len(open_steps))}.")


def _retry(facts: StepFacts) -> Cause:
    error = f" after {facts.error.code}: {facts.error.message.rstrip('.')}" if facts.error else ""
    if facts.not_before is None or facts.not_before <= facts.now:
        return Cause("retry_wait", f"Attempt {facts.attempt + 1} is due{error}.", due_s=0.0)
    due = (facts.not_before - facts.now).total_seconds()
    at = facts.not_before.isoformat(timespec="seconds")
    return Cause("retry_wait", f"Attempt {facts.attempt + 1} comes in {duration(due)}, at {at}{error}.", due_s=due)


def _ready(facts: StepFacts) -> Iterable[Cause]:
    """What holds a ready step up, as admission looks: queue and team, workers, the other limits, code, inputs, outputs."""
    for limit in _some(facts, "queue", "team"):
        yield from limit_causes(limit, facts.now)
    workers = [*_workers(facts)]
    yield from workers
    for limit in _some(facts, "run", "pool", "key"):
        yield from limit_causes(limit, facts.now)
    if not workers and facts.declared and not facts.code_served:
        yield Cause(
            "no_code",
            f"The live workers of location '{facts.location}' serve older code, which does not declare {output_text(facts.assets, '')}.",
            "Start workers with the newest code, or have these load it: `hedgerow worker drain`.",
        )
    yield from _unresolved(facts.unresolved)
    for holder in facts.same_output[:1]:
        yield Cause(
            "same_output",
            f"Step {holder.run_id}/{holder.number} is making {output_text(facts.assets, facts.partition)} now ({holder.state}, for {_span(holder.since, facts.now)}); one at a time.",
            holders=facts.same_output,
            due_s=facts.pace.mean_s,
        )
    yield from _blocked(facts)


def _some(facts: StepFacts, *kinds: str) -> Iterable[LimitFact]:
    return (limit for limit in facts.limits if limit.kind in kinds)


def _slots(facts: StepFacts) -> int:
    """The slots that serve the queue."""
    return sum(worker.slots for worker in facts.serving if worker.accepted)


def _workers(facts: StepFacts) -> Iterable[Cause]:
    serving, ready = facts.serving, [worker for worker in facts.serving if worker.state == "ready"]
    if not serving:
        others = f" (of the team's {len(facts.workers)} live workers none serves it)" if facts.workers else ""
        yield Cause(
            "no_workers",
            f"No live worker serves queue {facts.team}/{facts.queue}{others}.",
            "Start one: `hedgerow worker PATH`, PATH being the directory of the team's hedgerow.toml.",
        )
    elif not ready:
        states = ", ".join(sorted({worker.state for worker in serving}))
        yield Cause(
            "workers_starting",
            f"No worker of queue {facts.team}/{facts.queue} takes steps now ({states}).",
        )
    elif not any(worker.accepted for worker in ready):
        yield Cause(
            "refused_code",
            f"The code that {_workers_of(len(ready), facts)} {'has' if len(ready) == 1 else 'have'} loaded is not in force.",
            f"See `hedgerow team show {facts.team}` for what is wrong with it.",
        )
    elif facts.state == "ready":
        yield from _busy(facts)


def _busy(facts: StepFacts) -> Iterable[Cause]:
    takers = [worker for worker in facts.workers if worker.location == facts.location and worker.accepted]
    taking = [worker for worker in takers if worker.state == "ready"]
    mine = [worker for worker in taking if facts.queue in worker.queues]
    slots, all_slots = (sum(worker.slots for worker in some) for some in (mine, taking))
    out = facts.slots
    if out.of_queue < slots and out.of_location < all_slots:
        return
    held = out.holders if out.of_queue >= slots else out.others
    due = due_in(facts.ahead, facts.pace, slots)
    taken = f"Every slot of {_workers_of(len(mine), facts)} is taken, {slots}/{slots}"
    yield Cause(
        "slots_busy",
        f"{taken}, by {holders_text(held, slots, facts.now)}{ahead_text(facts.ahead, due)}.",
        "More slots: start another `hedgerow worker PATH`.",
        holders=held,
        due_s=due,
    )


def _workers_of(count: int, facts: StepFacts) -> str:
    return f"the {'worker' if count == 1 else f'{count} workers'} of queue {facts.team}/{facts.queue}"


def _span(start: datetime, end: datetime) -> str:
    return duration(max(0.0, (end - start).total_seconds()))
