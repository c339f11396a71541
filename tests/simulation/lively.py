"""A town in which checks are steps of their own, and which seed is lived through in which town."""

from __future__ import annotations

from msgspec import structs
from support.scheduling import Made, asset, manifest

from hedgerow.conditions.constructors import eager
from hedgerow.freshness import FreshWithin
from hedgerow.manifest.model import Check, Dependency, Pool, PoolUse, Queue, Reaction, Retry, Sensor
from hedgerow_scheduler.planning.request import RunRequest
from simulation.town import KEYS, PLAIN, RETRY, SPARED, STOP, Hears, Town
from simulation.worker import Code

TOLD_AGAIN = Retry(2, 2000)


def _watched(made: Made, warn_s: int, late_s: int) -> Made:
    """An asset with a policy of freshness."""
    assets, computation = made
    policy = FreshWithin(late_s * 1000, warn_s * 1000)
    return tuple(structs.replace(each, freshness=policy) for each in assets), computation


def _eager(made: Made) -> Made:
    """An asset that is made some time after what it is made from was."""
    assets, computation = made
    return tuple(structs.replace(each, automation=eager().debounce("6s")) for each in assets), computation


SALES = manifest(
    "sales",
    asset("raw", partitions=KEYS, retry=RETRY),
    _watched(asset("clean", "raw", partitions=KEYS, pools=(PoolUse("dw", 2),), retry=RETRY), 15, 40),
    asset("mails", "clean", partitions=KEYS, queue="mail", **STOP),
    _eager(asset("tally", "clean", partitions=KEYS)),
    asset("report", Dependency("clean", parameter="clean")),
    checks=(
        Check("plausible", "clean"),
        Check("sound", "clean", blocking=True, own_step=True),
        Check("whole", "clean", blocking=True),
    ),
    queues=(Queue("default", concurrency=5), Queue("mail", rate_per_s=0.2, burst=2.0)),
    sensors=(Sensor("inbox", every_ms=7000, timeout_ms=5000), Sensor("ticker", every_ms=9000, timeout_ms=5000)),
    reactions=(
        Reaction(
            "on_trouble",
            ("asset_on_time", "check_failed", "run_failed", "sensor_failed", "step_failed"),
            retry=TOLD_AGAIN,
        ),
    ),
)
ML = manifest(
    "ml",
    asset("features", "clean", partitions=KEYS, pools=(PoolUse("dw"),), retry=RETRY, **SPARED),
    _watched(asset("model", "features", priority=1, pools=(PoolUse("gpu"),), **STOP), 20, 30),
    _eager(asset("digest", "tally", partitions=KEYS)),
    checks=(Check("good", "model", own_step=True, blocking=True),),
    pools=(Pool("gpu", 1),),
    reactions=(
        Reaction("on_clean", ("check_failed", "run_failed", "run_succeeded"), "clean", retry=TOLD_AGAIN),
        Reaction("on_late", ("asset_late", "asset_on_time"), retry=TOLD_AGAIN),
    ),
)
LIVELY = Town(
    "lively",
    {"sales": (SALES, Code.of(SALES), ("default", "mail")), "ml": (ML, Code.of(ML), ("default",))},
    (
        RunRequest(("clean", "mails"), all_partitions=True),
        RunRequest(("clean", "report"), all_partitions=True),
        RunRequest(("clean",), all_partitions=True, checks_only=True),
        RunRequest(("*",), all_partitions=True),
        RunRequest(("features", "model"), all_partitions=True),
        RunRequest(("model",), all_partitions=True, checks_only=True),
    ),
    slots={("queue", "sales/default"): 5, ("pool", "dw"): 3, ("pool", "ml/gpu"): 1, ("team", "sales"): 6},
    rates={("queue", "sales/mail"): (0.2, 2.0)},
    upstream={
        "clean": "raw",
        "mails": "clean",
        "report": "clean",
        "features": "clean",
        "model": "features",
        "tally": "clean",
        "digest": "tally",
    },
    uses={
        "clean": {("pool", "dw"): 2},
        "clean:checks": {("pool", "dw"): 2},
        "features": {("pool", "dw"): 1},
        "model": {("pool", "ml/gpu"): 1},
        "model:checks": {("pool", "ml/gpu"): 1},
    },
    loads={"report": "clean"},
    eager={"tally": "clean", "digest": "tally"},
    ages={"clean": (15, 40), "model": (20, 30)},
    hears=(
        Hears(
            ("sales", "on_trouble"),
            frozenset({"asset_on_time", "check_failed", "run_failed", "sensor_failed", "step_failed"}),
            frozenset(),
            2,
        ),
        Hears(("ml", "on_clean"), frozenset({"check_failed", "run_failed", "run_succeeded"}), frozenset({"clean"}), 2),
        Hears(("ml", "on_late"), frozenset({"asset_late", "asset_on_time"}), frozenset(), 2),
    ),
    judged={"clean": frozenset({"sound"}), "model": frozenset({"good"})},
)


def town_of(seed: int) -> Town:
    """In which town the world of a seed is: so much happens in the lively one that it takes twice as long."""
    return LIVELY if seed % 3 == 2 else PLAIN
