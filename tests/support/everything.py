"""One valid manifest in which every feature of a manifest is used at least once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hedgerow.conditions import model as c
from hedgerow.conditions.constructors import eager, on_cron
from hedgerow.cron import Cron
from hedgerow.freshness import FreshBy, FreshWithin
from hedgerow.manifest import model
from hedgerow.partitions import model as p
from hedgerow.protocol.happenings import HAPPENING_KINDS

SOURCE = model.Source("definitions.py", 7, "definitions", "thing")
ASKED = Cron("*/7 * * * *", "Europe/Oslo")
# Every operand and operator at least once.
STATES = c.Or(
    (
        c.Missing(), c.InProgress(), c.Failed(), c.CodeChanged(), c.CheckFailed("rows"), c.Late("warn"), c.InLatestWindow(86_400_000),
        c.InLatestWindow(),
    )
)  # fmt: skip
MOMENTS = c.Or(
    (c.Updated(), c.Updated(True), c.DataChanged(), c.Started(), c.Requested(), c.FirstSeen(), c.CronTick(ASKED))
)
WHOLE = c.Or(
    (
        c.And((STATES, MOMENTS)),
        c.Since(c.Not(c.BecameTrue(STATES)), MOMENTS),
        c.AtMost(c.Debounce(c.Missing(), 60_000), 2, 3_600_000),
        c.ExceptDuring(c.Labeled(STATES, "so"), Cron("0 3 * * *"), 3_600_000),
        c.AnyDep(c.Or((c.Updated(), c.WillBeRequested())), ("evil/daily",), ("evil/static",)),
        c.AllDeps(c.Not(c.Missing()), some=True),
    )
)


def everything(now: datetime, team: str = "evil", others: str = "raw/x") -> model.Manifest:
    """The manifest of a team that reads the asset `others` of another one; its partitions by time begin some days before `now`."""
    day = (now.astimezone(UTC) - timedelta(days=3)).date()
    monday, month = day - timedelta(days=day.weekday() + 7), day.replace(day=1)
    daily = p.TimePartitions("day", day.isoformat(), (day + timedelta(days=400)).isoformat(), "Europe/Oslo")
    hourly = p.TimePartitions("hour", f"{day}T00")
    shifts = p.TimePartitions("0 6,18 * * *", f"{day}T06:00", tz="Australia/Lord_Howe")
    static = p.StaticPartitions(("no", "se", "dk"), "country")
    dynamic = p.DynamicPartitions("customers", "customer")
    product = p.ProductPartitions((p.TimePartitions("day", day.isoformat()), static))
    partitioned = {
        "plain": None, "daily": daily, "hourly": hourly, "weekly": p.TimePartitions("week", monday.isoformat()),
        "monthly": p.TimePartitions("month", month.isoformat()[:7]), "shifts": shifts, "static": static, "dynamic": dynamic,
        "product": product,
    }  # fmt: skip
    below: dict[str, tuple[Any, tuple[model.Dependency, ...]]] = {
        "of-all": (None, tuple(_dep(team, name, p.All()) for name in ("daily", "static", "dynamic", "product"))),
        "of-days": (daily, (_dep(team, "hourly", p.Same()), _dep(team, "daily", p.Window(-2, 0)), _dep(team, "shifts", p.Last(3)))),
        "of-product": (product, (_dep(team, "product", p.ByDim((("country", p.All()), ("time", p.Window(-1, 0))))),)),
        "of-keys": (static, (_dep(team, "static", p.Keys((("*", ("no", "se")), ("dk", ("dk",))))),)),
        "looks-back": (daily, (_dep(team, "looks-back", p.Window(-1, -1)), model.Dependency(f"{team}/daily", "daily", "int"))),
        "of-dynamic": (dynamic, (_dep(team, "dynamic", None),)),
    }  # fmt: skip
    assets = [
        _asset(team, name, parts) for name, parts in (*partitioned.items(), *((n, b[0]) for n, b in below.items()))
    ]
    computations = [_computation(f"{team}/{name}", parts) for name, parts in partitioned.items()]
    computations += [_computation(f"{team}/{name}", parts, deps) for name, (parts, deps) in below.items()]
    whole = f"{team}/whole"
    assets += [
        model.Asset(
            whole, whole, "everything", ("team:evil",), "special", {"tier": "gold"}, ("python",), {"a": [1, {"b": 2.5}]},
            (model.Column("id", "int64", "a key"),), None, True, "warehouse", False, "int", SOURCE, WHOLE,
            FreshWithin(7_200_000, 3_600_000),
        ),
        model.Asset(f"{team}/second", whole, automation=c.And((c.Custom("cheap"), c.Not(c.InProgress())))),
        model.Asset(f"{team}/seen", freshness=FreshWithin(60_000)),
    ]  # fmt: skip
    computations.append(
        model.Computation(
            whole, (whole, f"{team}/second"),
            (
                model.Dependency(f"{team}/daily", "daily", "DataFrame", p.All()), model.Dependency(others, "x", optional=True),
                model.Dependency(f"{team}/static"), model.Dependency(f"{team}/seen"), model.Dependency("nobody/has", optional=True),
            ),
            None, True, "heavy", 5, (model.PoolUse("own", 2), model.PoolUse("shared")),
            (model.KeyLimit("per-customer", "config.customer", 2), model.KeyLimit(f"{whole}:partition", "partition", 1)),
            model.Retry(2, 2_000, "linear", 60_000, True), 60_000, "process", "stop", "v1", {"type": "object"}, ("Api",), SOURCE, True,
            30,
        )
    )  # fmt: skip
    return model.Manifest(
        team, team, tuple(sorted(assets, key=lambda one: one.key)), tuple(sorted(computations, key=lambda one: one.name)),
        (model.Check("rows", whole, "has rows", True, "error", SOURCE), model.Check("unique", f"{team}/plain", severity="warn")),
        (model.Pool("own", 4, 2.0, 3.0), model.Pool("rated", None, 0.5)),
        (model.Queue("default", 8), model.Queue("heavy", 2, 5.0, 9.0)),
        (model.Job("nightly", f"{team}/daily+", "all of it", {"kind": "night"}, SOURCE, 3), model.Job("outer", "job:nightly")),
        (
            model.Schedule("each", "job:nightly", "* * * * *", "Europe/Oslo", "latest", "all", {whole: {"customer": 7}}, {"a": "b"},
                           "each minute", True, SOURCE),
            model.Schedule("globbed", f"{team}/*", "*/5 * * * *", catch_up="skip"),
            model.Schedule("keyed", f"{team}/plain,+{whole}", "0 * * * *", partitions=None),
            model.Schedule("off", "group:special", "0 0 29 2 *", enabled=False),
        ),
        model.Environment("3.12.1", {"pandas": "2.2"}, "abc+", "def"),
        (
            model.Sensor("looks", f"{team}/static", 30_000, 10_000, {"of": "sensor"}, "looks", True, SOURCE),
            model.Sensor("probe", every_ms=60_000, observes=f"{team}/seen"),
            model.Sensor("free", enabled=False),
        ),
        (
            model.Reaction("all", tuple(HAPPENING_KINDS), "", None, model.Retry(1, 1_000), 5_000, "hears", True, SOURCE),
            model.Reaction("some", ("step_failed", "asset_late"), f"{team}/*,{others}", "error"),
            model.Reaction("mute", ("run_failed",), enabled=False),
        ),
        (model.CustomCondition("cheap", 60_000, 5_000, "is it cheap", SOURCE), model.CustomCondition("unasked")),
    )  # fmt: skip


def _dep(team: str, name: str, mapping: p.Mapping | None) -> model.Dependency:
    return model.Dependency(f"{team}/{name}", name.replace("-", "_"), mapping=mapping)


def _asset(team: str, name: str, partitions: p.Partitions | None) -> model.Asset:
    key = f"{team}/{name}"
    policy = (
        FreshBy(Cron("0 6 * * *", "Europe/Oslo"), 86_400_000, 3_600_000) if name == "daily" else FreshWithin(7_200_000)
    )
    condition = on_cron("*/5 * * * *", tz="Europe/Oslo") if name in ("shifts", "static") else eager()
    return model.Asset(key, key, partitions=partitions, automation=condition, freshness=policy)


def _computation(
    key: str, partitions: p.Partitions | None, deps: tuple[model.Dependency, ...] = ()
) -> model.Computation:
    return model.Computation(
        key, (key,), deps, partitions, retry=model.Retry(1, 1_000), code_version="v1", max_partitions_per_run=5
    )
