"""Labels: what each operand of a condition asks, in words for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hedgerow.conditions import model as c

_LABELS: Mapping[type, Callable[..., str]] = {
    c.Missing: lambda _: "missing",
    c.InProgress: lambda _: "in progress",
    c.Failed: lambda _: "failed",
    c.CodeChanged: lambda _: "made by other code",
    c.CheckFailed: lambda of: f"check {of.check} failed" if of.check else "a check failed",
    c.Late: lambda of: "late" if of.severity == "error" else "late or warned of",
    c.Custom: lambda of: f"{of.name} (the team's own code)",
    c.InLatestWindow: lambda of: (
        "in the latest window" if of.lookback_ms is None else f"ended within {_period(of.lookback_ms)}"
    ),
    c.Updated: lambda of: "updated, by a run that does not make this asset" if of.elsewhere else "updated",
    c.DataChanged: lambda _: "data changed",
    c.Started: lambda _: "a step went out",
    c.Requested: lambda _: "requested just now",
    c.WillBeRequested: lambda _: "requested with it",
    c.FirstSeen: lambda _: "seen for the first time",
    c.CronTick: lambda of: f"'{of.cron.expression}' came due ({of.cron.tz})",
    c.And: lambda _: "all of",
    c.Or: lambda _: "any of",
    c.Not: lambda _: "not",
    c.Since: lambda _: "since (the first, until the second)",
    c.BecameTrue: lambda _: "became true",
    c.Debounce: lambda of: f"true for {_period(of.quiet_ms)}",
    c.AtMost: lambda of: f"at most {of.count} per {_period(of.per_ms)}",
    c.ExceptDuring: lambda of: f"except for {_period(of.lasting_ms)} from '{of.cron.expression}' ({of.cron.tz})",
    c.AnyDep: lambda of: f"any upstream{_of_keys(of)}",
    c.AllDeps: lambda of: f"all upstream{_of_keys(of)}",
    c.Labeled: lambda of: of.label,
}


def label_of(condition: c.Condition) -> str:
    """What a condition asks, without what it asks it of."""
    return _LABELS[type(condition)](condition)


def _of_keys(of: c.AnyDep | c.AllDeps) -> str:
    chosen = f" ({', '.join(of.keys)})" if of.keys else ""
    return f"{chosen} but {', '.join(of.but)}" if of.but else chosen


def _period(ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"
