"""How a team writes conditions down: `hr.eager()`, `hr.on_cron("0 6 * * *") & hr.deps_checks_passed()`."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from hedgerow.conditions.durations import period_ms
from hedgerow.conditions.model import (
    AllDeps,
    And,
    AnyDep,
    CheckFailed,
    CodeChanged,
    Condition,
    CronTick,
    Custom,
    DataChanged,
    Failed,
    InLatestWindow,
    InProgress,
    Labeled,
    Late,
    Missing,
    Operand,
    Updated,
    WillBeRequested,
)
from hedgerow.cron import cron
from hedgerow.errors import DefinitionError, Problem
from hedgerow.identifiers import is_asset_key, is_name

IN_PROGRESS = InProgress()
MISSING = Missing()


def missing() -> Missing:
    """The partition exists and has no current materialization."""
    return MISSING


def in_progress() -> InProgress:
    """A step of the partition waits or runs."""
    return IN_PROGRESS


def failed() -> Failed:
    """The partition's last step ended without success."""
    return Failed()


def code_changed() -> CodeChanged:
    """The partition was materialized by other code than the code in force."""
    return CodeChanged()


def check_failed(check: str = "") -> CheckFailed:
    """A check of the partition's current materialization failed; `check` names one, by default any counts."""
    if check and not is_name(check):
        raise _wrong(f"check_failed({check!r}) names no check.", "Give the name of a check of the asset.")
    return CheckFailed(check)


def late(severity: Literal["warn", "error"] = "error") -> Late:
    """The partition is late by the asset's own freshness policy; with `"warn"` also where there is a warning only."""
    if severity not in ("warn", "error"):
        raise _wrong(f"late({severity!r}) names no severity.", 'Give "warn" or "error".')
    return Late(severity)


def in_latest_window(lookback: str | timedelta | None = None) -> InLatestWindow:
    """The partition's window of time is the last complete one, or ended within `lookback`; every partition without time counts."""
    return InLatestWindow(None if lookback is None else period_ms("in_latest_window", lookback))


def updated() -> Updated:
    """The moment of a new materialization."""
    return Updated()


def data_changed() -> DataChanged:
    """The moment of a new materialization whose data version differs from the one before."""
    return DataChanged()


def cron_tick(expression: str, tz: str = "UTC") -> CronTick:
    """The moment at which a cron expression of five fields comes due, in the local time of `tz`."""
    return CronTick(cron(expression, tz))


def any_dep(condition: Condition, *keys: str, but: str | tuple[str, ...] = ()) -> AnyDep:
    """`condition` holds for some partition of some upstream asset that the partition is made from; `keys` chooses among the
    upstream assets, `but` leaves some out.
    """
    return AnyDep(_condition(condition), _keys(keys), _keys((but,) if isinstance(but, str) else but))


def all_deps(condition: Condition, *keys: str, but: str | tuple[str, ...] = (), some: bool = False) -> AllDeps:
    """`condition` holds for every partition of every upstream asset that the partition is made from; with `some`, for at least
    one partition of every upstream asset. `keys` chooses among the upstream assets, `but` leaves some out.
    """
    return AllDeps(_condition(condition), _keys(keys), _keys((but,) if isinstance(but, str) else but), some)


def deps_checks_passed() -> Labeled:
    """No check of what the partition is made from has failed."""
    return Labeled(~AnyDep(CheckFailed()), "the checks of everything upstream passed")


def eager(window: str | timedelta = "latest") -> And:
    """Materialize a partition when something that it is made from was, or when it is missing newly: then, unless something
    upstream is missing or being made, or it is being made itself.

    `window` says which partitions of time: `"latest"` (the last complete one), `"all"`, or all that ended within a period such as
    `"7d"`. What is missing or updated when the condition first comes into force is left alone.
    """
    news = Labeled(
        BECAME_MISSING | AnyDep(Updated(elsewhere=True) | WillBeRequested()),
        "newly missing, or something upstream was updated",
    )
    return And(
        (
            *_window(window),
            news.since_handled(),
            DEPS_THERE,
            Labeled(~AnyDep(IN_PROGRESS), "nothing upstream is being made"),
            Labeled(~IN_PROGRESS, "it is not being made"),
        )
    )


def on_cron(expression: str, tz: str = "UTC", window: str | timedelta = "latest") -> And:
    """Materialize a partition once after each time that the cron expression comes due, as soon as everything that it is made from
    was updated since then.
    """
    tick = cron_tick(expression, tz)
    fresh = Labeled(AllDeps(Updated().since(tick) | WillBeRequested()), "everything upstream was updated since then")
    return And((*_window(window), tick.since_handled(), fresh))


def on_missing(window: str | timedelta = "latest") -> And:
    """Materialize partitions that come to exist after the condition has come into force, as soon as everything upstream is there."""
    return And((*_window(window), BECAME_MISSING.since_handled(), DEPS_THERE))


BECAME_MISSING = MISSING.became_true()
DEPS_THERE = Labeled(~AnyDep(MISSING & ~WillBeRequested()), "nothing upstream is missing")


def _window(window: str | timedelta) -> tuple[Condition, ...]:
    if window == "all":
        return ()
    return (InLatestWindow() if window == "latest" else in_latest_window(window),)


def _condition(condition: Condition) -> Condition:
    if isinstance(condition, Operand):
        return condition
    if isinstance(getattr(condition, "operand", None), Custom):
        raise _wrong(
            f"{condition!r} is asked of the asset itself, not of upstream ones.",
            "Join it outside: `hr.any_dep(...) & it`.",
        )
    raise _wrong(f"{condition!r} is not a condition.", "Give one such as hr.missing() or hr.updated().")


def _keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        if not isinstance(key, str) or not is_asset_key(key):
            raise _wrong(f"{key!r} is no asset key.", "Give the keys of upstream assets.")
    return keys


def _wrong(message: str, remedy: str) -> DefinitionError:
    return DefinitionError(Problem("HR-D109", message, remedy))


__all__ = [
    "all_deps", "any_dep", "check_failed", "code_changed", "cron_tick", "data_changed",
    "deps_checks_passed", "eager", "failed", "in_latest_window", "in_progress", "late", "missing", "on_cron", "on_missing",
    "updated",
]  # fmt: skip
