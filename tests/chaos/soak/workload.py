"""The work of the soak: three teams, far more steps than slots at any time, and something of everything.

Team `flood` does nothing, as often as it can. Team `shop` has short steps that read each other, print, and share a rate with team
`lab`, which scores what the shop sells in the same runs; its own runs fail, are retried, wait for slots and rates, and are `stop`ped.

The partitions are lanes `GG-NNN` in groups `GG`. A run is of lanes of one group, so that a group can be judged alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.locations import write_location

from chaos import sink
from chaos.history import Expectation, Rule

GROUPS = 64
LANES = 100
FLOOD = 8  # no-op assets; half of them depend on the other half

WORKERS = {"flood-1": "flood", "shop-1": "shop", "shop-2": "shop", "lab-1": "lab"}
TEAMS = ("flood", "shop", "lab")
SLOTS = {"flood": 4, "shop": 3, "lab": 8}

PLATFORM = """
[platform]
name = "soak"

[teams.flood]
[teams.shop]
[teams.lab]

[pools.shared]
slots = 3

[pools.metered]
rate = "10/s"
burst = 5
"""

HEAD = """
    import random
    import time

    import hedgerow as hr
    from sink import LANES, work

    lanes = hr.static(*LANES)
"""

FLOOD_CODE = """
    def nothing(number):
        @hr.asset(
            key=f"flood_{number}", group="flood", partitions=lanes, deps=[f"flood_{number - 4}"] if number >= 4 else []
        )
        def step(ctx: hr.Context) -> None:
            work(ctx, 0)

        return step

    globals().update({f"flood_{number}": nothing(number) for number in range(FLOOD)})
"""

SHOP_CODE = """
    @hr.asset(partitions=lanes, group="shop")
    def shop_orders(ctx: hr.Context) -> dict:
        return work(ctx, 0.002)

    @hr.asset(partitions=lanes, group="shop")
    def shop_items(ctx: hr.Context, shop_orders: dict) -> None:
        work(ctx, random.uniform(0.005, 0.02), [("shop_orders", shop_orders)])

    @hr.asset(partitions=lanes, group="shop")
    def shop_report(ctx: hr.Context, shop_orders: dict) -> None:
        for line in range(20):
            print(f"line {line} of the report of {ctx.partition_key}")
        work(ctx, random.uniform(0.01, 0.04), [("shop_orders", shop_orders)])

    @hr.asset(partitions=lanes, group="shop")
    def shop_total(ctx: hr.Context, shop_orders: dict, lab_score: dict) -> dict:
        return work(ctx, 0.005, [("shop_orders", shop_orders), ("lab_score", lab_score)])
"""

LAB_CODE = """
    @hr.asset(partitions=lanes, group="shop")
    def lab_score(ctx: hr.Context, shop_orders: dict) -> dict:
        return work(ctx, 0.01, [("shop_orders", shop_orders)])

    @hr.asset(partitions=lanes, group="lab", retry=hr.Retry(2, delay="200ms"))
    def lab_flaky(ctx: hr.Context) -> dict:
        return work(ctx, 0.01, fail=ctx.attempt == 1)

    @hr.asset(partitions=lanes, group="lab", pools=["shared"], on_lost_contact="stop")
    def lab_alone(ctx: hr.Context, lab_flaky: dict) -> None:
        work(ctx, random.uniform(0.1, 0.5), [("lab_flaky", lab_flaky)])

    @hr.asset(partitions=lanes, group="lab", queue="rated")
    def lab_rated(ctx: hr.Context) -> None:
        work(ctx, 0.005)

    @hr.asset(partitions=lanes, group="lab", pools=["metered"])
    def lab_metered(ctx: hr.Context) -> None:
        work(ctx, 0.005)

    @hr.asset(partitions=lanes, group="lab")
    def lab_told(ctx: hr.Context) -> None:
        print("it begins", flush=True)
        work(ctx, random.uniform(0.4, 0.8))
        print("it ends")

    @hr.asset(partitions=lanes, group="lab", retry=hr.Retry(1, delay="100ms"))
    def lab_doomed(ctx: hr.Context) -> dict:
        return work(ctx, 0.005, fail=True)

    @hr.asset(partitions=lanes, group="lab")
    def lab_after(ctx: hr.Context, lab_doomed: dict) -> None:
        work(ctx, 0)
"""

QUEUES = """
[queues.rated]
rate = "20/s"
burst = 5
"""


@dataclass(frozen=True)
class Kind:
    """A kind of run: of how many lanes, what it makes in each, and how many of its team's steps are to wait at any time."""

    group: str
    team: str
    lanes: int
    assets: frozenset[str]
    backlog: int


KINDS = (
    Kind("flood", "flood", LANES, frozenset(f"flood_{number}" for number in range(FLOOD)), 6000),
    Kind("shop", "shop", 50, frozenset({"shop_orders", "shop_items", "shop_report", "shop_total", "lab_score"}), 800),
    Kind(
        "lab",
        "lab",
        20,
        frozenset({f"lab_{what}" for what in ("flaky", "alone", "rated", "metered", "told", "doomed", "after")}),
        300,
    ),
)

EXPECTED = Expectation(
    ends={"lab_doomed": "failed", "lab_after": "upstream_failed"},
    stop=frozenset({"lab_alone"}),
    rules=(
        Rule("pool shared", frozenset({"lab_alone"}), slots=3),
        Rule("queue rated", frozenset({"lab_rated"}), rate=20.0, burst=5.0),
        Rule("pool metered", frozenset({"lab_metered"}), rate=10.0, burst=5.0),
    ),
)
LIMITED = tuple(sorted(frozenset().union(*(rule.assets for rule in EXPECTED.rules))))

# Each group has a file of its own.
BY_GROUP = """

def _file(ctx):
    return f"{SINK}.{ctx.partition_key[:2]}"
"""


def lanes(group: int, count: int = LANES) -> tuple[str, ...]:
    """The first lanes of a group.

    >>> lanes(7, 2)
    ('07-000', '07-001')
    """
    return tuple(f"{group:02}-{lane:03}" for lane in range(count))


def sink_file(root: Path, group: int) -> Path:
    """What the steps of a group write."""
    return root / f"sink.jsonl.{group:02}"


def write(root: Path) -> dict[str, Path]:
    """Writes platform.toml and the teams' code under `root`; their directories by team."""
    (root / "platform.toml").write_text(PLATFORM)
    every = tuple(lane for group in range(GROUPS) for lane in lanes(group))
    module = f"{sink.module(root / 'sink.jsonl')}{BY_GROUP}\n\nLANES = {every!r}\n"
    codes = {"flood": FLOOD_CODE.replace("FLOOD", str(FLOOD)), "shop": SHOP_CODE, "lab": LAB_CODE}
    places = {}
    for team in TEAMS:
        extra = QUEUES if team == "lab" else ""
        places[team] = write_location(root / team, team, HEAD + codes[team], slots=SLOTS[team], extra=extra)
        (places[team] / "sink.py").write_text(module)
    return places
