"""The work that goes on while things break: two teams, small steps that depend on each other across them, and limits on many of them."""

from __future__ import annotations

from pathlib import Path
from random import Random

from support.locations import write_location

from chaos import sink
from chaos.history import Expectation, Rule

TEAMS = ("north", "south")
LANES = 60  # so that runs seldom wait for each other
KEYS = tuple(f"lane{number:02}" for number in range(LANES))
DOOMED_EVERY = 4  # one run in so many also makes what is bound to fail
PATIENT_EVERY = 20  # one run in so many also makes what outlasts a lease

PLATFORM = """
[platform]
name = "chaos"

[teams.north]
[teams.south]

[pools.shared]
slots = 3

[pools.metered]
rate = "4/s"
burst = 2
"""

HEAD = """
    import os
    import random
    from pathlib import Path

    import hedgerow as hr
    from sink import LANE_KEYS, SINK, judge, work

    LANES = hr.static(*LANE_KEYS)

    def first_time(ctx):
        try:
            Path(f"{SINK}.{ctx.run_id}.{ctx.asset_key}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
"""

NORTH = """
    @hr.asset(partitions=LANES, group="main")
    def north_seed(ctx: hr.Context) -> dict:
        return work(ctx, 0.01)

    @hr.asset(partitions=LANES, group="main")
    def north_quick(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, random.uniform(0.01, 0.05), [("north_seed", north_seed)])

    @hr.check("north_quick", blocking=True, own_step=True)
    def whole(ctx: hr.Context, north_quick: dict) -> bool:
        return judge(ctx, random.uniform(0.01, 0.3), [("north_quick", north_quick)])

    @hr.asset(partitions=LANES, group="main", pools=["metered"])
    def north_metered(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, 0.02, [("north_seed", north_seed)])

    @hr.asset(partitions=LANES, group="main", retry=hr.Retry(2, delay="200ms"))
    def north_flaky(ctx: hr.Context, north_quick: dict) -> dict:
        return work(ctx, 0.1, [("north_quick", north_quick)], fail=first_time(ctx))

    @hr.asset(partitions=LANES, group="main", pools=["shared"], on_lost_contact="stop")
    def north_alone(ctx: hr.Context, north_quick: dict) -> dict:
        return work(ctx, random.uniform(0.5, 3), [("north_quick", north_quick)])

    @hr.asset(partitions=LANES, group="main")
    def north_long(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, random.uniform(1, 3), [("north_seed", north_seed)])

    @hr.asset(partitions=LANES, group="patient", on_lost_contact="stop")
    def north_patient(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, random.uniform(15, 40), [("north_seed", north_seed)])
"""

SOUTH = """
    @hr.asset(partitions=LANES, group="patient")
    def south_patient(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, random.uniform(15, 40), [("north_seed", north_seed)])

    @hr.asset(partitions=LANES, group="main")
    def south_quick(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, random.uniform(0.01, 0.2), [("north_seed", north_seed)])

    @hr.asset(partitions=LANES, group="main", queue="narrow")
    def south_narrow(ctx: hr.Context, north_quick: dict) -> dict:
        return work(ctx, random.uniform(0.05, 0.5), [("north_quick", north_quick)])

    @hr.asset(partitions=LANES, group="main", queue="rated")
    def south_rated(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, 0.01, [("north_seed", north_seed)])

    @hr.asset(partitions=LANES, group="main", queue="rated", pools=["metered"])
    def south_metered(ctx: hr.Context, south_rated: dict) -> dict:
        return work(ctx, 0.01, [("south_rated", south_rated)])

    @hr.asset(partitions=LANES, group="main", pools=["shared"], on_lost_contact="stop")
    def south_alone(ctx: hr.Context, south_narrow: dict) -> dict:
        return work(ctx, random.uniform(0.5, 2), [("south_narrow", south_narrow)])

    @hr.asset(partitions=LANES, group="main", queue="narrow")
    def south_total(ctx: hr.Context, south_alone: dict, south_metered: dict, north_flaky: dict) -> dict:
        given = [("south_alone", south_alone), ("south_metered", south_metered), ("north_flaky", north_flaky)]
        return work(ctx, 0.05, given)

    @hr.asset(partitions=LANES, group="doomed", retry=hr.Retry(1, delay="100ms"))
    def south_doomed(ctx: hr.Context, north_seed: dict) -> dict:
        return work(ctx, 0.02, [("north_seed", north_seed)], fail=True)

    @hr.asset(partitions=LANES, group="doomed")
    def south_after(ctx: hr.Context, south_doomed: dict) -> dict:
        return work(ctx, 0.01)
"""

QUEUES = """
[queues.narrow]
concurrency = 2
[queues.rated]
rate = "5/s"
burst = 2
"""

MAIN = frozenset(
    {
        *("north_seed", "north_quick", "north_metered", "north_flaky", "north_alone", "north_long"),
        *("south_quick", "south_narrow", "south_rated", "south_metered", "south_alone", "south_total"),
    }
)
JUDGING = frozenset({"north_quick:checks"})  # what has a step of its own without being an asset
DOOMED = frozenset({"south_doomed", "south_after"})
PATIENT = frozenset({"north_patient", "south_patient"})
ASSETS = MAIN | DOOMED | PATIENT

EXPECTED = Expectation(
    ends={"south_doomed": "failed", "south_after": "upstream_failed"},
    stop=frozenset({"north_alone", "south_alone", "north_patient"}),
    rules=(
        Rule("pool shared", frozenset({"north_alone", "south_alone"}), slots=3),
        Rule("queue narrow", frozenset({"south_narrow", "south_total"}), slots=2),
        Rule("queue rated", frozenset({"south_rated", "south_metered"}), rate=5.0, burst=2.0),
        Rule("pool metered", frozenset({"north_metered", "south_metered"}), rate=4.0, burst=2.0),
    ),
)


def write(root: Path, sink_file: Path) -> dict[str, Path]:
    """Writes platform.toml and the two teams' code under `root`; their directories by team."""
    (root / "platform.toml").write_text(PLATFORM)
    places = {}
    for team, code, extra in (("north", NORTH, ""), ("south", SOUTH, QUEUES)):
        places[team] = write_location(root / team, team, HEAD + code, slots=3, extra=extra)
        (places[team] / "sink.py").write_text(sink.module(sink_file) + f"\n\nLANE_KEYS = {KEYS!r}\n")
    return places


def draw(number: int, random: Random) -> tuple[tuple[str, ...], str, frozenset[str]]:
    """The next run: its selection, its partition, and the assets that it is to make or judge."""
    lane = random.choice(KEYS)
    selection: tuple[str, ...] = ("group:main",)
    assets = MAIN | JUDGING
    if number % DOOMED_EVERY == DOOMED_EVERY - 1:
        selection, assets = (*selection, "group:doomed"), assets | DOOMED
    if number % PATIENT_EVERY == 0:
        selection, assets = (*selection, "group:patient"), assets | PATIENT
    return selection, lane, assets
