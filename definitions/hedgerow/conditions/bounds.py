"""How large a condition may be, and what its numbers may be: it is evaluated in the process that everyone shares."""

from __future__ import annotations

from collections.abc import Iterator

from hedgerow.conditions import model as c
from hedgerow.conditions.durations import LONGEST
from hedgerow.cron import Cron
from hedgerow.durations import milliseconds

MAX_OPERANDS = 200
MAX_DEPTH = 50
MAX_TIMES = 1_000  # of `at_most`
MAX_TEXT = 200  # of labels, names and cron expressions
MAX_KEYS = 100


def oversize(condition: c.Condition) -> str | None:
    """What is too much about a condition, as the end of a sentence that begins with it; None when nothing is. Of any depth."""
    count = 0
    level: list[c.Condition] = [condition]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return None
        count += len(level)
        if count > MAX_OPERANDS:
            return f"has over {MAX_OPERANDS} operands"
        for each in level:
            if (wrong := _wrong(each)) is not None:
                return wrong
        level = [inner for each in level for inner in operands_of(each)]
    return f"is nested over {MAX_DEPTH} deep"


def operands_of(condition: c.Condition) -> Iterator[c.Condition]:
    """The conditions that one is made of directly."""
    match condition:
        case c.And(of=of) | c.Or(of=of):
            yield from of
        case c.Since(of=of, reset=reset):
            yield of
            yield reset
        case (
            c.Not(of=of) | c.BecameTrue(of=of) | c.Debounce(of=of) | c.AtMost(of=of) | c.ExceptDuring(of=of) | c.AnyDep(of=of)
            | c.AllDeps(of=of) | c.Labeled(of=of)
        ):  # fmt: skip
            yield of


def _wrong(condition: c.Condition) -> str | None:
    periods: list[int] = []
    texts: list[str] = []
    match condition:
        case c.InLatestWindow(lookback_ms=int() as lookback):
            periods.append(lookback)
        case c.Debounce(quiet_ms=quiet):
            periods.append(quiet)
        case c.AtMost(count=count, per_ms=per):
            periods.append(per)
            if not 1 <= count <= MAX_TIMES:
                return f"has at_most({count}): give 1 to {MAX_TIMES:,}"
        case c.ExceptDuring(cron=cron, lasting_ms=lasting):
            periods.append(lasting)
            texts += [cron.expression, cron.tz]
        case c.CronTick(cron=cron):
            texts += [cron.expression, cron.tz]
        case c.Labeled(label=label):
            texts.append(label)
        case c.CheckFailed(check=check):
            texts.append(check)
        case c.Custom(name=name):
            texts.append(name)
        case c.AnyDep(of=of) | c.AllDeps(of=of) if any(customs_of(of)):
            return "asks a function of the team's own code of upstream assets"
        case c.AnyDep(keys=keys, but=but) | c.AllDeps(keys=keys, but=but):
            if len(keys) + len(but) > MAX_KEYS:
                return f"names over {MAX_KEYS} assets in one operand"
            texts += [*keys, *but]
    if any(not 0 < period <= milliseconds(LONGEST) for period in periods):
        return "has a period that is not above zero and at most ten years"
    if any(len(text) > MAX_TEXT for text in texts):
        return f"has a name or label of over {MAX_TEXT} characters"
    return None


def customs_of(condition: c.Condition) -> Iterator[str]:
    """The name of every function of the team's own code that a condition asks."""
    level: list[c.Condition] = [condition]
    for _ in range(MAX_DEPTH + 1):
        yield from (each.name for each in level if isinstance(each, c.Custom))
        level = [inner for each in level for inner in operands_of(each)]


def crons_of(condition: c.Condition) -> Iterator[Cron]:
    """Every cron expression of a condition that is not too large."""
    level: list[c.Condition] = [condition]
    while level:
        for each in level:
            if isinstance(each, c.CronTick | c.ExceptDuring):
                yield each.cron
        level = [inner for each in level for inner in operands_of(each)]
