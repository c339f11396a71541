"""What the teams of a simulated platform declare, and what limits it has: the same in every world."""

from __future__ import annotations

from support.scheduling import asset, manifest

from hedgerow.manifest import model
from hedgerow.manifest.model import Dependency, Pool, PoolUse, Queue, Retry
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import Dispatch, PlatformSettings, TeamPolicy, Timings
from simulation.runner import CODE_VERSION
from simulation.worker import Code

KEYS = StaticPartitions(tuple(f"k{number}" for number in range(4)))
RETRY = Retry(2, delay_ms=2000, jitter=False)
STOP = {"on_lost_contact": "stop"}
SPARED = {"skip_unchanged": True, "code_version": CODE_VERSION}

SALES = manifest(
    "sales",
    asset("raw", partitions=KEYS, retry=RETRY),
    asset("clean", "raw", partitions=KEYS, pools=(PoolUse("dw", 2),), **STOP),
    asset("mails", "clean", partitions=KEYS, queue="mail", **STOP),
    asset("report", Dependency("clean", parameter="clean"), **SPARED),
    queues=(Queue("default", concurrency=5), Queue("mail", rate_per_s=0.2, burst=2.0)),
)
ML = manifest(
    "ml",
    asset(
        "features",
        "clean",
        partitions=KEYS,
        pools=(PoolUse("dw"),),
        retry=RETRY,
        **SPARED,
    ),
    asset("model", "features", priority=1, pools=(PoolUse("gpu"),), **STOP),
    pools=(Pool("gpu", 1),),
)
CODE: dict[str, tuple[model.Manifest, Code, tuple[str, ...]]] = {
    "sales": (SALES, Code.of(SALES), ("default", "mail")),
    "ml": (ML, Code.of(ML), ("default",)),
}
SELECTIONS = (("clean", "mails"), ("*",), ("features", "model"), ("mails",), ("raw", "report"), ("clean", "features"))
SETTINGS = PlatformSettings(
    root=None,
    name="sim",
    declared={},
    urls={"storage": "/storage", "broker": "redis://sim", "database": "postgresql://sim"},
    teams={"sales": TeamPolicy(max_slots=6), "ml": TeamPolicy(weight=2.0)},
    pools=(Pool("dw", 3),),
    timings=Timings(),
    dispatch=Dispatch(max_batch=4),
)
# By hand, apart from the code that works it out: slots at once, and (rate, burst).
SLOTS = {("queue", "sales/default"): 5, ("pool", "dw"): 3, ("pool", "ml/gpu"): 1, ("team", "sales"): 6}
RATES = {("queue", "sales/mail"): (0.2, 2.0)}
UPSTREAM = {"clean": "raw", "mails": "clean", "report": "clean", "features": "clean", "model": "features"}
USES = {
    "clean": {("pool", "dw"): 2},
    "features": {("pool", "dw"): 1},
    "model": {("pool", "ml/gpu"): 1},
}
