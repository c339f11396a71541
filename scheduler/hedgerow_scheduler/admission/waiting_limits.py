"""Why limits hold a step up: each with its numbers, who holds it, who set it, and when it is likely to let the step go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hedgerow_scheduler.admission.causes import Cause, CauseKind, LimitState, duration, holders_text
from hedgerow_scheduler.admission.waiting_facts import LimitFact, Pace
from hedgerow_scheduler.planning.rules import Override

FULL: dict[str, CauseKind] = {
    "queue": "queue_concurrency",
    "team": "team_slots",
    "run": "run_concurrency",
    "pool": "pool_slots",
    "key": "key_concurrency",
}
TOO_OFTEN: dict[str, CauseKind] = {"queue": "queue_rate", "pool": "pool_rate"}
_NAMES = {"queue": "Queue", "team": "Team", "run": "Run", "pool": "Pool", "key": "Key limit"}


def limit_causes(fact: LimitFact, now: datetime) -> Iterator[Cause]:
    """Every reason for which a limit does not let the step out."""
    values = fact.values
    if not fact.known and not fact.overrides:
        yield _undeclared(fact)
        return
    if values.paused:
        yield _paused(fact, now)
    if values.concurrency is not None and fact.in_use + fact.slots > values.concurrency:
        yield _full(fact, values.concurrency, now)
    if values.rate is not None and (fact.tokens or 0.0) < 1 and fact.kind in TOO_OFTEN:
        yield _too_often(fact, values.rate)


def due_in(ahead: int, pace: Pace, at_once: int | None) -> float | None:
    """In how many seconds the turn of a step comes that has `ahead` before it: by what was started lately, else by how long
    steps last and how many of them run `at_once`; None when neither is known.

    >>> due_in(11, Pace(starts_per_s=2.0), 8), due_in(11, Pace(mean_s=20.0), 8), due_in(0, Pace(), 8)
    (6.0, 30.0, None)
    """
    if pace.starts_per_s:
        return (ahead + 1) / pace.starts_per_s
    if pace.mean_s is not None and at_once:
        return (ahead + 1) * pace.mean_s / at_once
    return None


def ahead_text(ahead: int, due_s: float | None) -> str:
    """How many steps come first and when it starts, as the end of a sentence; "" when neither is worth saying."""
    first = f"; {ahead:,} {'step comes' if ahead == 1 else 'steps come'} first" if ahead else ""
    return first + (f"; it starts in about {duration(due_s)}" if due_s is not None else "")


def _undeclared(fact: LimitFact) -> Cause:
    name = fact.name.rpartition("/")[2]
    return Cause(
        "pool_slots",
        f"Pool '{name}' is declared by nobody: it can't start before someone does.",
        f'Declare hr.pool("{name}", slots=...), or [pools.{name}] in hedgerow.toml or platform.toml.',
        _state(fact),
    )


def _paused(fact: LimitFact, now: datetime) -> Cause:
    pause = next((override for override in fact.overrides if override.field == "paused"), None)
    who, until, due = "", "", None
    if pause is not None:
        since = duration(max(0.0, (now - pause.set_at).total_seconds()))
        who = f"{_by(pause)}, {since} ago{_why(pause)}"
        if pause.expires_at is not None:
            until, due = (
                f", until {pause.expires_at.isoformat(timespec='seconds')}",
                (pause.expires_at - now).total_seconds(),
            )
    let_go = f"queue resume {fact.name}" if fact.kind == "queue" else f"limits clear {fact.kind} {fact.name} paused"
    return Cause(
        "paused", f"{_name(fact)} is paused{who}{until}.", f"Let it go on: `hedgerow {let_go} --reason …`.",
        _state(fact), due_s=due,
    )  # fmt: skip


def _full(fact: LimitFact, most: int, now: datetime) -> Cause:
    kind, changed = FULL[fact.kind], _changed(fact, "concurrency")
    if fact.slots > most:
        nothing = "lets nothing out" if most == 0 else f"has {most} {'slot' if most == 1 else 'slots'}"
        raised = f"Raise it: `hedgerow limits set {fact.kind} {fact.name} --concurrency {fact.slots} --reason …`"
        return Cause(
            kind,
            f"{_name(fact)} {nothing}{changed}, and the step needs {fact.slots}: it can't start until there are more.",
            raised + (", or have the asset use fewer slots." if fact.slots > 1 else "."),
            _state(fact),
            fact.holders,
        )
    free = most - fact.in_use
    full = f"is full, {fact.in_use}/{most}" if free <= 0 else f"has {free} of {most} slots free and the step needs {fact.slots}"  # fmt: skip
    due = due_in(fact.ahead, fact.pace, max(1, most // fact.slots))
    held = holders_text(fact.holders, fact.in_use, now) if fact.holders else "steps that have just ended"
    text = f"{_name(fact)} {full}{changed}, held by {held}{ahead_text(fact.ahead, due)}."
    return Cause(kind, text, "", _state(fact), fact.holders, due)


def _too_often(fact: LimitFact, rate: float) -> Cause:
    kind, changed = TOO_OFTEN[fact.kind], _changed(fact, "rate")
    if fact.next_token_s is None:
        return Cause(
            kind,
            f"{_name(fact)} starts nothing: its rate is 0{changed}.",
            f"Raise it: `hedgerow limits set {fact.kind} {fact.name} --rate 1/s --reason …`.",
            _state(fact),
        )
    due = fact.next_token_s + fact.ahead / rate
    left = f"{max(0.0, fact.tokens or 0.0):.1f} tokens are left, the next start in {duration(fact.next_token_s)}"
    text = f"{_name(fact)} starts {rate:g}/s at most{changed}, {left}{ahead_text(fact.ahead, due)}."
    return Cause(kind, text, "", _state(fact), due_s=due)


def _name(fact: LimitFact) -> str:
    if fact.kind == "key":
        name, _, value = fact.name.partition("=")
        return f"Key limit {name} of '{value}'"
    return f"{_NAMES[fact.kind]} {fact.name}"


def _changed(fact: LimitFact, field: str) -> str:
    """That an operator set a field, and from what; "" when it is as declared."""
    override = next((one for one in fact.overrides if one.field == field), None)
    if override is None:
        return ""
    before = getattr(fact.declared, field)
    unit = "/s" if field == "rate" else ""
    was = "no limit" if before is None else f"{before:g}{unit}"
    now = "no limit" if override.value is None else f"{override.value:g}{unit}"
    return f" (set from {was} to {now}{_by(override)}{_why(override)})"


def _by(override: Override) -> str:
    return f" by {override.author}" if override.author else ""


def _why(override: Override) -> str:
    return f': "{override.reason}"' if override.reason else ""


def _state(fact: LimitFact) -> LimitState:
    values = fact.values
    return LimitState(fact.kind, fact.name, values.concurrency, values.rate, fact.in_use, fact.slots, fact.ahead)
