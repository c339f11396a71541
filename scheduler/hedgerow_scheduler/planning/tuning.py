"""Tuning: whether an operator may set a limit to something, and which limit a name means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from hedgerow.errors import Problem, RequestError
from hedgerow.settings.rates import LEAST
from hedgerow.suggestion import did_you_mean
from hedgerow_scheduler.limits.limit import LimitId
from hedgerow_scheduler.planning.rules import FIELDS, Rules, overridden, queue_place

MAX_CONCURRENCY = 100_000
MAX_RATE = MAX_BURST = 1_000_000.0
WEIGHTS = (0.001, 1000.0)
LONGEST = timedelta(days=365)
MAX_REASON, MAX_AUTHOR = 500, 255


def find_limit(rules: Rules, kind: str, name: str, runs: Mapping[str, str], *, with_leftovers: bool = False) -> LimitId:
    """The limit of a kind that `name` means; RequestError HR-Q331 when there is none.

    A queue may be named `team/queue` if only one location of the team has it; `runs` maps what a run is named by to its id.
    `with_leftovers`: also one that nobody declares any more, but is overridden.
    """
    if kind not in FIELDS:
        raise RequestError.of(
            "HR-Q331", f"There is no kind of limit '{kind[:80]}'.", did_you_mean(kind, FIELDS, "kinds are")
        )
    if kind == "run":
        return ("run", runs[name])
    known = [id[1] for id in rules.known() if id[0] == kind]
    if with_leftovers:
        known += [override.name for override in rules.overrides if override.kind == kind]
    if name in known:
        return (kind, name)  # type: ignore[return-value]
    if kind == "queue" and name.count("/") == 1:
        team, _, queue = name.partition("/")
        alike = [each for each in known if (place := queue_place(each))[0] == team and place[2] == queue]
        if len(alike) == 1:
            return ("queue", alike[0])
        if alike:
            message = f"Team '{team}' has several queues '{queue}'."
            raise RequestError.of("HR-Q331", message, f"Name one of: {', '.join(sorted(alike))}.")
    remedy = did_you_mean(name, sorted(known), f"{kind} limits are") or f"No {kind} limit is declared."
    raise RequestError.of("HR-Q331", f"There is no {kind} limit '{name[:200]}'.", remedy)


def mistakes(rules: Rules, id: LimitId, fields: Mapping[str, float | None], now: datetime) -> tuple[Problem, ...]:
    """Everything that speaks against setting these fields of a limit; empty when nothing does."""
    found = [*_unknown(id, fields)] or [*_out_of_bounds(id, fields)]
    return tuple(found) or tuple(_above_caps(rules, id, fields, now))


def warnings(rules: Rules, id: LimitId, fields: Mapping[str, float | None]) -> tuple[str, ...]:
    """What can never start while the limit is set so: steps that need more slots of a pool than it has."""
    slots = fields.get("concurrency")
    if id[0] != "pool" or slots is None:
        return ()
    found = []
    for (team, location), published in rules.catalog.published.items():
        for computation in published.manifest.computations:
            for limit, needed, _ in rules.shape(team, location, computation).pools:
                if limit == id and needed > slots:
                    found.append(
                        f"{computation.name} needs {needed} slots at once: it can't start while there are {slots:g}."
                    )
    return tuple(found)


def _unknown(id: LimitId, fields: Mapping[str, float | None]) -> Iterator[Problem]:
    if not fields:
        yield Problem("HR-Q332", "Nothing is to be set.", f"Give one of: {', '.join(FIELDS[id[0]])}.")
    for field in fields:
        if field not in FIELDS[id[0]]:
            yield Problem("HR-Q332", f"A {id[0]} limit has no '{field}'.", f"It has: {', '.join(FIELDS[id[0]])}.")


def _out_of_bounds(id: LimitId, fields: Mapping[str, float | None]) -> Iterator[Problem]:
    for field, value in fields.items():
        what = f"{field} of {id[0]} {id[1]} can't be {'none' if value is None else f'{value:g}'}"
        if value is None:
            if field not in ("concurrency", "rate"):
                yield Problem(
                    "HR-Q332", f"The {what}.", "Give a number, or clear the override to go back to what is declared."
                )
        elif not math.isfinite(value):
            yield Problem("HR-Q332", f"The {what}.", "Give a number.")
        elif field == "concurrency" and not (value == int(value) and 1 <= value <= MAX_CONCURRENCY):
            stop = " To let nothing start, pause it." if value == 0 else ""
            yield Problem(
                "HR-Q332",
                f"The {what}.",
                f"Give a whole number from 1 to {MAX_CONCURRENCY:,}, or none for no limit.{stop}",
            )
        elif field == "minimum" and not (value == int(value) and 0 <= value <= MAX_CONCURRENCY):
            yield Problem("HR-Q332", f"The {what}.", f"Give a whole number from 0 to {MAX_CONCURRENCY:,}.")
        elif field == "rate" and not LEAST <= value <= MAX_RATE:
            yield Problem(
                "HR-Q332",
                f"The {what}.",
                f'Give starts such as "20/s", from once a year to {MAX_RATE:,.0f}/s; to let nothing start, pause it.',
            )
        elif field == "burst" and not 1 <= value <= MAX_BURST:
            yield Problem(
                "HR-Q332", f"The {what}.", f"Give 1 to {MAX_BURST:,.0f}: below that nothing could ever start."
            )
        elif field == "weight" and not WEIGHTS[0] <= value <= WEIGHTS[1]:
            yield Problem("HR-Q332", f"The {what}.", f"Give a weight from {WEIGHTS[0]:g} to {WEIGHTS[1]:g}.")


def _above_caps(rules: Rules, id: LimitId, fields: Mapping[str, float | None], now: datetime) -> Iterator[Problem]:
    kind, name = id
    policy = rules.platform.teams.get(name if kind == "team" else name.partition("/")[0])
    cap = policy.max_slots if policy is not None and kind in ("team", "queue", "key") else None
    if kind == "pool" and name in rules.platform.caps:
        pool = rules.platform.caps[name]
        cap = pool.slots
        if "rate" in fields and pool.rate_per_s is not None and _exceeds(fields["rate"], pool.rate_per_s):
            message = f"The rate of pool {name} would be above its max_rate of {pool.rate_per_s:g}/s in platform.toml."
            yield Problem(
                "HR-Q333", message, "Give at most that, or raise the cap there and restart the scheduler and the API."
            )
    if "concurrency" in fields and cap is not None and _exceeds(fields["concurrency"], cap):
        of = "" if kind == "team" else " of its team" if kind in ("queue", "key") else " of the pool"
        message = f"The {kind} limit {name} would be above the max_slots{of}, {cap}, in platform.toml."
        yield Problem(
            "HR-Q333", message, "Give at most that, or raise the cap there and restart the scheduler and the API."
        )
    if kind == "team" and {"minimum", "concurrency"} & fields.keys():
        after = overridden(rules.values(id, now), fields)
        if after.concurrency is not None and after.minimum > after.concurrency:
            message = f"Team {name} would have a minimum of {after.minimum} slots above its {after.concurrency}."
            yield Problem("HR-Q332", message, "Lower the minimum, or raise the concurrency.")


def _exceeds(value: float | None, cap: float) -> bool:
    return value is None or value > cap


def check_circumstances(author: str, reason: str, now: datetime, expires_at: datetime | None) -> tuple[Problem, ...]:
    """What is wrong with who changes a limit, why, and until when."""
    found = []
    if not reason.strip() or len(reason) > MAX_REASON:
        found.append(
            Problem(
                "HR-Q334",
                f"The reason has {len(reason):,} characters." if reason.strip() else "A change needs a reason.",
                f"Say why, in at most {MAX_REASON} characters: others will read it.",
            )
        )
    if not author.strip() or len(author) > MAX_AUTHOR:
        found.append(
            Problem("HR-Q334", "A change needs an author.", f"Say who asks, in at most {MAX_AUTHOR} characters.")
        )
    if expires_at is not None and not now < expires_at <= now + LONGEST:
        found.append(
            Problem(
                "HR-Q334",
                "The change would end in the past, or in over a year.",
                "Give a time ahead of now, or none to keep it until it is cleared.",
            )
        )
    return tuple(found)
