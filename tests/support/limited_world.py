"""A small platform full of limits, with what its steps need written down by hand, apart from the code that works it out."""

from __future__ import annotations

from typing import TypeAlias

from hedgerow.manifest.model import Dependency, KeyLimit, Manifest, Pool, PoolUse, Queue, Retry
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import TeamPolicy
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.planning.rules import PlatformLimits
from support.scheduling import asset, external, manifest

Id: TypeAlias = tuple[str, str]
NeedByHand: TypeAlias = tuple[Id, Id, int]  # the limit, the name under which it is set, and how many slots

SOME = StaticPartitions(tuple(f"k{number}" for number in range(16)))
EACH = StaticPartitions(("acme", "initech"), dim="customer") * StaticPartitions(("x", "y", "z"), dim="part")
RETRY = Retry(2, delay_ms=1000, jitter=False)


def sales(changed: bool) -> Manifest:
    """The main location of team sales; `changed` is its next deployment, of which pools and needs are others."""
    a_uses = (PoolUse("dw"),) if changed else (PoolUse("dw", 2), PoolUse("own"))
    return manifest(
        "sales",
        asset("a", partitions=SOME, pools=a_uses, retry=RETRY),
        asset("b", partitions=SOME, priority=2),
        asset("c", partitions=SOME, queue="mail", pools=(PoolUse("dw"), PoolUse("api"))),
        asset("k", partitions=SOME, limits=(KeyLimit("tenant", "tags.tenant", 2 if changed else 1),), pools=(PoolUse("own"),)),
        asset("p", partitions=EACH, limits=(KeyLimit("customer", "partition.customer", 1),), priority=-1),
        asset("f", partitions=SOME, limits=(KeyLimit("who", "config.who", 2),)),
        asset("g", Dependency("raw", parameter="raw"), pools=(PoolUse("own"),)),
        external("raw"),
        queues=(Queue("default", concurrency=5), Queue("mail", rate_per_s=1.0, burst=2.0)),
        pools=(Pool("own", 3, 2.0, 2.0) if changed else Pool("own", 2),),
    )  # fmt: skip


ETL = manifest("sales", asset("e", partitions=SOME, pools=(PoolUse("own"), PoolUse("dw"))), location="etl")
ML = manifest(
    "ml",
    asset("m", partitions=SOME, pools=(PoolUse("dw"), PoolUse("api")), retry=RETRY),
    asset("n", partitions=SOME, pools=(PoolUse("dw", 3),)),
)
PLATFORM = PlatformLimits(
    {"sales": TeamPolicy(max_slots=8, min_slots=1), "ml": TeamPolicy(weight=3.0)},
    {"dw": Pool("dw", 4), "api": Pool("api", None, 2.0, 2.0)},
)
DECLARED: dict[Id, dict[str, float | None]] = {
    ("queue", "sales/default"): {"concurrency": 5},
    ("queue", "sales/mail"): {"rate": 1.0, "burst": 2.0},
    ("queue", "sales/etl/default"): {},
    ("queue", "ml/default"): {},
    ("pool", "dw"): {"concurrency": 4},
    ("pool", "api"): {"rate": 2.0, "burst": 2.0},
    ("pool", "sales/own"): {"concurrency": 2},
    ("team", "sales"): {"concurrency": 8},
    ("team", "ml"): {},
    ("key", "sales/tenant"): {"concurrency": 1},
    ("key", "sales/customer"): {"concurrency": 1},
    ("key", "sales/who"): {"concurrency": 2},
}
CHANGED: dict[Id, dict[str, float | None]] = {
    ("pool", "sales/own"): {"concurrency": 3, "rate": 2.0, "burst": 2.0},
    ("key", "sales/tenant"): {"concurrency": 2},
}
DW, API, OWN = ("pool", "dw"), ("pool", "api"), ("pool", "sales/own")
POOLS: dict[str, list[tuple[Id, int]]] = {
    "a": [(DW, 2), (OWN, 1)], "c": [(DW, 1), (API, 1)], "k": [(OWN, 1)], "g": [(OWN, 1)], "e": [(OWN, 1), (DW, 1)],
    "m": [(DW, 1), (API, 1)], "n": [(DW, 3)],
}  # fmt: skip
# Workers: location, queues.
WORKERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "w1": ("sales", "sales", ("default", "mail")),
    "w2": ("sales", "sales", ("default",)),
    "w3": ("sales", "etl", ("default",)),
    "w4": ("ml", "ml", ("default",)),
}


def declared(changed: bool, spec: Id) -> dict[str, float | None]:
    """What a limit is set to by those who declare it."""
    return CHANGED.get(spec, DECLARED.get(spec, {})) if changed else DECLARED.get(spec, {})


def queue_id(step: Step) -> Id:
    """The limit of the step's queue."""
    return ("queue", f"sales/etl/{step.queue}" if step.location == "etl" else f"{step.team}/{step.queue}")


def needs_by_hand(step: Step, changed: bool, run_is_limited: bool) -> list[NeedByHand]:
    """What a step needs."""
    pools = [(DW, 1)] if changed and step.computation == "a" else POOLS.get(step.computation, [])
    found: list[NeedByHand] = [(id, id, slots) for id, slots in [(queue_id(step), 1), (("team", step.team), 1), *pools]]
    run = step.run
    if step.computation == "k":
        found.append((("key", f"sales/tenant={run.tags.get('tenant', '')}"), ("key", "sales/tenant"), 1))
    if step.computation == "p":
        found.append((("key", f"sales/customer={str(step.partition).split('|')[0]}"), ("key", "sales/customer"), 1))
    if step.computation == "f":
        found.append((("key", f"sales/who={run.config.get('f', {}).get('who', '')}"), ("key", "sales/who"), 1))
    if run_is_limited:
        found.append((("run", run.id), ("run", run.id), 1))
    return found
