"""The states of a supervised part, and how events move it: a pure table; supervisor.py carries out the actions.

waiting ──due──▶ starting ──ready──▶ ready ──changed──▶ reloading ──ready──▶ ready (the old process drains)
   ▲                │  │               │                   │
   └────ended───────┘  └─can't load, refused─▶ broken ──changed──▶ starting
every state ──stop──▶ stopping ──all ended──▶ stopped
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

CODE_CHANGED = 75  # exit code of a worker that found other code on disk than its own
CANNOT_LOAD = (1, 2)  # exit codes of a worker whose team's code or hedgerow.toml has mistakes
STEADY_S = 30.0  # a part that was ready for so long starts counting its failures anew
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
BROKEN_RETRY_S = 60.0  # what an import needs may come back without a change of the code: a host, a package
HURRY_S = 8.0  # a worker that is told twice reports its steps as interrupted, and its events, in about five


class State(StrEnum):
    """What a part is doing."""

    WAITING = "waiting"  # nothing runs; it starts at `retry_at`
    STARTING = "starting"  # `current` runs and does not serve yet
    READY = "ready"  # `current` serves
    RELOADING = "reloading"  # `current` serves while `candidate` loads the changed code
    BROKEN = "broken"  # nothing runs: the code can't be loaded; it starts when the code changes, or at `retry_at`
    STOPPING = "stopping"  # everything was told to end
    STOPPED = "stopped"  # nothing runs, nor will


@dataclass(frozen=True)
class Part:
    """One supervised part. Its processes are told apart by incarnation numbers; times are seconds of one monotonic clock."""

    name: str
    reloads: bool = False
    start_s: float = 60.0
    """How long it may take until it serves."""
    grace_s: float = 20.0
    """How long it may take to end at a stop, before it is killed."""
    drain_s: float = 90.0
    """The same for a process that was replaced."""
    state: State = State.WAITING
    since: float = 0.0
    incarnation: int = 0
    current: int | None = None
    candidate: int | None = None
    leaving: tuple[tuple[int, float], ...] = ()
    """Processes told to end, each with the time when it is killed."""
    deadline: float = 0.0
    """When the process that is starting is given up."""
    failures: int = 0
    retry_at: float = 0.0
    detail: str = ""
    """Why it is in its state, in words; empty when there is nothing to add."""


@dataclass(frozen=True)
class Due:
    """Time has passed."""


@dataclass(frozen=True)
class Ready:
    """The process `incarnation` serves."""

    incarnation: int
    detail: str = ""


@dataclass(frozen=True)
class Refused:
    """The process `incarnation` runs, but the platform has no use for it, for this reason."""

    incarnation: int
    reason: str = ""


@dataclass(frozen=True)
class Ended:
    """The process `incarnation` has ended: exit code or negative signal, and what it said about the reason."""

    incarnation: int
    status: int
    reason: str = ""


@dataclass(frozen=True)
class Changed:
    """Files of its code have changed."""


@dataclass(frozen=True)
class Stop:
    """Someone asks to end; asked again, to end more quickly."""


Event = Due | Ready | Refused | Ended | Changed | Stop


@dataclass(frozen=True)
class Spawn:
    """Start a process as `incarnation`."""

    incarnation: int


@dataclass(frozen=True)
class Terminate:
    """Ask the process `incarnation` to end."""

    incarnation: int


@dataclass(frozen=True)
class Kill:
    """End the process `incarnation` and its group at once."""

    incarnation: int


Action = Spawn | Terminate | Kill
Moved = tuple[Part, tuple[Action, ...]]


def transition(part: Part, event: Event, now: float) -> Moved:
    """The part after `event` at `now`, and what is to be done, in order. A pair that the table does not hold changes nothing."""
    if isinstance(event, Ended) and event.incarnation in [number for number, _ in part.leaving]:
        left = tuple(entry for entry in part.leaving if entry[0] != event.incarnation)
        return _stopped_if_empty(replace(part, leaving=left), now), ()
    kills: tuple[Action, ...] = ()
    if isinstance(event, Due):
        overdue = [number for number, deadline in part.leaving if now >= deadline]
        kills = tuple(Kill(number) for number in overdue)
        later = tuple((n, now + HURRY_S if n in overdue else deadline) for n, deadline in part.leaving)
        part = replace(part, leaving=later)
    handler = TABLE.get((part.state, type(event)))
    if handler is None:
        return part, kills
    moved, actions = handler(part, event, now)
    return (replace(moved, since=now) if moved.state is not part.state else moved), (*kills, *actions)


def _start(part: Part, _event: Event, now: float) -> Moved:
    number = part.incarnation + 1
    started = replace(part, state=State.STARTING, incarnation=number, current=number, deadline=now + part.start_s)
    return replace(started, detail=""), (Spawn(number),)


def _start_when_due(part: Part, event: Event, now: float) -> Moved:
    return _start(part, event, now) if now >= part.retry_at else (part, ())


def _give_up_start(part: Part, _event: Event, now: float) -> Moved:
    """The process that takes too long is killed; its end then counts as a failure."""
    number = part.candidate if part.state is State.RELOADING else part.current
    if now < part.deadline or number is None:
        return part, ()
    return replace(part, deadline=now + HURRY_S), (Kill(number),)


def _serves(part: Part, event: Event, now: float) -> Moved:
    assert isinstance(event, Ready)
    if part.state is State.STARTING and event.incarnation == part.current:
        return replace(part, state=State.READY, detail=event.detail), ()
    if part.state is State.RELOADING and event.incarnation == part.candidate and part.current is not None:
        leaving = (*part.leaving, (part.current, now + part.drain_s))
        swapped = replace(part, state=State.READY, current=part.candidate, candidate=None, leaving=leaving)
        return replace(swapped, detail=event.detail, failures=0), (Terminate(part.current),)
    return part, ()


def _start_failed(part: Part, event: Event, now: float) -> Moved:
    assert isinstance(event, Ended)
    if event.incarnation != part.current:
        return part, ()
    if event.status == CODE_CHANGED:
        return replace(part, state=State.WAITING, current=None, retry_at=now, detail="its code changed"), ()
    if part.reloads and event.status in CANNOT_LOAD:
        broken = replace(part, state=State.BROKEN, current=None, retry_at=now + BROKEN_RETRY_S)
        return replace(broken, detail=event.reason or ending(event.status)), ()
    return _again_later(part, event, now, part.failures + 1)


def _died(part: Part, event: Event, now: float) -> Moved:
    assert isinstance(event, Ended)
    if event.incarnation != part.current:
        return part, ()
    if event.status == CODE_CHANGED:
        return replace(part, state=State.WAITING, current=None, retry_at=now, detail="its code changed"), ()
    return _again_later(part, event, now, 1 if now - part.since >= STEADY_S else part.failures + 1)


def _again_later(part: Part, event: Ended, now: float, failures: int) -> Moved:
    delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (failures - 1))
    why = f"{ending(event.status)}{f': {event.reason}' if event.reason else ''}; starts again in {delay:g} s"
    waiting = replace(part, state=State.WAITING, current=None, failures=failures, retry_at=now + delay, detail=why)
    return waiting, ()


def _reload_ended(part: Part, event: Event, _now: float) -> Moved:
    """While reloading, either process may end: without the new one the old one stays, without the old one the new one goes on."""
    assert isinstance(event, Ended)
    if event.incarnation == part.candidate:
        why = event.reason or ending(event.status)
        return replace(part, state=State.READY, candidate=None, detail=f"the old code stays in force: {why}"), ()
    if event.incarnation == part.current:
        return replace(part, state=State.STARTING, current=part.candidate, candidate=None), ()
    return part, ()


def _refused(part: Part, event: Event, now: float) -> Moved:
    """Code that can't come into force is as good as code that can't be loaded; only its process has to be ended."""
    assert isinstance(event, Refused)
    number = event.incarnation
    if number != (part.candidate if part.state is State.RELOADING else part.current):
        return part, ()
    status = Ended(number, CANNOT_LOAD[0], event.reason)
    moved, _ = (_reload_ended if part.state is State.RELOADING else _start_failed)(part, status, now)
    return replace(moved, leaving=(*moved.leaving, (number, now + HURRY_S))), (Terminate(number),)


def _reload(part: Part, _event: Event, now: float) -> Moved:
    number = part.incarnation + 1
    fresh = replace(part, state=State.RELOADING, incarnation=number, candidate=number, deadline=now + part.start_s)
    return fresh, (Spawn(number),)


def _reload_anew(part: Part, event: Event, now: float) -> Moved:
    """The code changed once more: the process that loads the previous change is of no use."""
    stale = part.candidate if part.state is State.RELOADING else part.current
    assert stale is not None
    leaving = replace(part, leaving=(*part.leaving, (stale, now + HURRY_S)))
    moved, actions = (_reload if part.state is State.RELOADING else _start)(leaving, event, now)
    return moved, (Terminate(stale), *actions)


def _start_now(part: Part, _event: Event, now: float) -> Moved:
    return replace(part, retry_at=now, failures=0), ()


def _stop(part: Part, _event: Event, now: float) -> Moved:
    running = [number for number in (part.current, part.candidate) if number is not None]
    known = [number for number, _ in part.leaving]
    leaving = tuple((number, now + part.grace_s) for number in (*known, *running))
    stopping = replace(part, state=State.STOPPING, current=None, candidate=None, leaving=leaving, detail="")
    return _stopped_if_empty(stopping, now), tuple(Terminate(number) for number in running)


def _hurry(part: Part, _event: Event, now: float) -> Moved:
    sooner = tuple((number, min(deadline, now + HURRY_S)) for number, deadline in part.leaving)
    return replace(part, leaving=sooner), tuple(Terminate(number) for number, _ in sooner)


def _stopped_if_empty(part: Part, now: float) -> Part:
    return replace(part, state=State.STOPPED, since=now) if part.state is State.STOPPING and not part.leaving else part


def ending(status: int) -> str:
    """How a process ended, in words.

    >>> ending(3), ending(-9)
    ('exit code 3', 'killed by SIGKILL')
    """
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


# Who moves it: Due is the supervisor's clock; Ready and Refused its probe; Ended the system; Changed the file watcher; Stop a person.
TABLE: dict[tuple[State, type[Event]], Callable[[Part, Event, float], Moved]] = {
    (State.WAITING, Due): _start_when_due,
    (State.WAITING, Changed): _start_now,
    (State.WAITING, Stop): _stop,
    (State.STARTING, Due): _give_up_start,
    (State.STARTING, Ready): _serves,
    (State.STARTING, Refused): _refused,
    (State.STARTING, Ended): _start_failed,
    (State.STARTING, Changed): _reload_anew,
    (State.STARTING, Stop): _stop,
    (State.READY, Ended): _died,
    (State.READY, Changed): _reload,
    (State.READY, Stop): _stop,
    (State.RELOADING, Due): _give_up_start,
    (State.RELOADING, Ready): _serves,
    (State.RELOADING, Refused): _refused,
    (State.RELOADING, Ended): _reload_ended,
    (State.RELOADING, Changed): _reload_anew,
    (State.RELOADING, Stop): _stop,
    (State.BROKEN, Due): _start_when_due,
    (State.BROKEN, Changed): _start,
    (State.BROKEN, Stop): _stop,
    (State.STOPPING, Stop): _hurry,
}
