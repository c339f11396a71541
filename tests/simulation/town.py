"""What the teams of a simulated platform declare, and what limits it has: the same in every world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from support.scheduling import asset, manifest

from hedgerow.manifest import model
from hedgerow.manifest.model import Dependency, Pool, PoolUse, Queue, Retry
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import Dispatch, PlatformSettings, TeamPolicy, Timings
from hedgerow_scheduler.planning.request import RunRequest
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
Limit = tuple[str, str]


@dataclass(frozen=True)
class Hears:
    """A reaction, by its (team, name): which `kinds` it hears of that happen to `assets` (none: its team's own), and how often it may fail."""

    place: tuple[str, str]
    kinds: frozenset[str]
    assets: frozenset[str]
    retries: int


@dataclass(frozen=True)
class Town:
    """What lives in a world: by team its manifest, its code and the queues that its workers serve; and what people ask for.

    The rest says once more, by hand and apart from the code that works it out, what must come of that: the `slots` of limits and their
    `rates` with a burst, which asset each is made from (`upstream`) and loads (`loads`), what it uses of pools, and which blocking checks
    of an asset are a step of their own (`judged`), and which reactions there are (`hears`),
    after how many seconds an asset is warned of and late (`ages`), and which are made by themselves after which (`eager`).
    """

    name: str
    code: Mapping[str, tuple[model.Manifest, Code, tuple[str, ...]]]
    requests: tuple[RunRequest, ...]
    slots: Mapping[Limit, int]
    rates: Mapping[Limit, tuple[float, float]]
    upstream: Mapping[str, str]
    uses: Mapping[str, Mapping[Limit, int]]
    loads: Mapping[str, str]
    judged: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hears: tuple[Hears, ...] = ()
    ages: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    eager: Mapping[str, str] = field(default_factory=dict)


PLAIN = Town(
    "plain",
    {"sales": (SALES, Code.of(SALES), ("default", "mail")), "ml": (ML, Code.of(ML), ("default",))},
    tuple(
        RunRequest(selection, all_partitions=True)
        for selection in (
            ("clean", "mails"),
            ("*",),
            ("features", "model"),
            ("mails",),
            ("raw", "report"),
            ("clean", "features"),
        )
    ),
    slots={("queue", "sales/default"): 5, ("pool", "dw"): 3, ("pool", "ml/gpu"): 1, ("team", "sales"): 6},
    rates={("queue", "sales/mail"): (0.2, 2.0)},
    upstream={"clean": "raw", "mails": "clean", "report": "clean", "features": "clean", "model": "features"},
    uses={
        "clean": {("pool", "dw"): 2},
        "features": {("pool", "dw"): 1},
        "model": {("pool", "ml/gpu"): 1},
    },
    loads={"report": "clean"},
)
