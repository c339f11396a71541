"""Random worlds of assets with conditions, over all kinds of mappings, and scripts of what happens in them."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
from hypothesis import strategies as st

from hedgerow.conditions import constructors as hr
from hedgerow.conditions import model as c
from hedgerow.partitions import mapping
from hedgerow.partitions.constructors import daily, dynamic, hourly, static, weekly
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import Dimension, DynamicPartitions, Mapping, Partitions, ProductPartitions, dimensions
from hedgerow.partitions.resolution import validate_mapping
from support.automated import NOON, Made, Stage

CUSTOMERS = dynamic("customers", dim="customer")
DAYS, HOURS, WEEKS = daily("2026-01-03"), hourly("2026-01-05T08"), weekly("2025-12-29")
LANDS, MORE_LANDS = static("no", "se", dim="land"), static("se", "de", "no", dim="land")
# Each with keys that exist, existed or come to exist while a script is played.
PARTITIONS: dict[Partitions | None, tuple[str, ...]] = {
    None: (),
    DAYS: ("2026-01-03", "2026-01-04", "2026-01-05"),
    daily("2026-01-03", tz="America/New_York"): ("2026-01-03", "2026-01-04"),
    HOURS: ("2026-01-05T10", "2026-01-05T11", "2026-01-05T12"),
    WEEKS: ("2025-12-29",),
    LANDS: ("no", "se"),
    MORE_LANDS: ("se", "de"),
    CUSTOMERS: ("acme", "globex"),
    DAYS * LANDS: ("2026-01-03|no", "2026-01-04|no", "2026-01-04|se"),
    DAYS * CUSTOMERS: ("2026-01-03|acme", "2026-01-04|acme", "2026-01-04|globex"),
    MORE_LANDS * CUSTOMERS: ("se|acme", "de|globex", "no|globex"),
}
ALONG_ONE: list[Any] = [mapping.same(), mapping.all(), mapping.last(1), mapping.last(2), mapping.window(-1, 0), mapping.window(-2, -1)]  # fmt: skip
ACROSS: list[Any] = [
    mapping.keys({"no": ["se", "no"], "*": "se"}),
    mapping.keys({"2026-01-04": ["2026-01-03", "2026-01-05"], "2026-01-05": "2026-01-03"}),
    mapping.keys({"acme": "no", "*": ["se"]}),
    mapping.keys({"se": "acme", "*": ["globex", "acme"]}),
]
MAPPINGS: list[Mapping] = [
    *ALONG_ONE, *ACROSS,
    *(mapping.by_dim(time=each) for each in ALONG_ONE), *(mapping.by_dim(land=each) for each in (*ALONG_ONE, *ACROSS)),
    *(mapping.by_dim(time=a, land=b) for a, b in product(ALONG_ONE, (mapping.last(1), ACROSS[0]))),
    mapping.by_dim(customer=mapping.last(1)), mapping.by_dim(customer=mapping.all(), time=mapping.window(-1, 0)),
    mapping.keys({"2026-01-04": ["2026-01-03|no", "2026-01-04|se"], "*": "2026-01-03|se"}),
]  # fmt: skip
FITTING = {
    (down, up): [each for each in MAPPINGS if validate_mapping(each, down, up) is None]
    for down, up in product(PARTITIONS, PARTITIONS)
}
CUSTOM = c.Custom("open")  # asked of the asset itself only
LASTING: list[c.Condition] = [
    hr.missing(), hr.in_progress(), hr.failed(), hr.check_failed("rows"), hr.check_failed(), hr.code_changed(), hr.late(), hr.late("warn"),
    hr.in_latest_window(), hr.in_latest_window("36h"), hr.in_latest_window("90m"),
]  # fmt: skip
PASSING: list[c.Condition] = [
    hr.updated(), hr.data_changed(), c.Updated(elsewhere=True), c.Started(), c.Requested(), c.FirstSeen(), hr.cron_tick("0 6 * * *"),
    hr.cron_tick("15 * * * *"),
]  # fmt: skip
OPERANDS = [*LASTING, *PASSING]


def _wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda of: of[0] & of[1]),
        pairs.map(lambda of: of[0] | of[1]),
        pairs.map(lambda of: of[0].since(of[1])),
        inner.map(lambda of: ~of),
        inner.map(lambda of: of.since_handled()),
        inner.map(lambda of: of.became_true()),
        inner.map(lambda of: of.debounce("30m")),
        inner.map(lambda of: of.at_most(1, per="2h")),
        inner.map(lambda of: of.except_during("0 22 * * *", "8h")),
        inner.map(lambda of: of.labeled("so")),
    )


CHOICES: list[dict[str, Any]] = [{}, {}, {"keys": ("a",)}, {"keys": ("b", "c")}, {"but": ("a",)}]
OF_UPSTREAM = st.recursive(st.sampled_from([*OPERANDS, c.WillBeRequested()]), _wider, max_leaves=3)
OF_DEPS = st.one_of(
    st.builds(lambda of, chosen: c.AnyDep(of, **chosen), OF_UPSTREAM, st.sampled_from(CHOICES)),
    st.builds(
        lambda of, chosen, some: c.AllDeps(of, **chosen, some=some),
        OF_UPSTREAM, st.sampled_from(CHOICES), st.booleans(),
    ),
)  # fmt: skip
READY_MADE: list[c.Condition] = [
    hr.eager(), hr.eager("all"), hr.eager("36h"), hr.on_cron("0 6 * * *"), hr.on_cron("15 * * * *", window="all"), hr.on_missing(),
    hr.on_missing("all"), hr.eager("all") & hr.deps_checks_passed(),
]  # fmt: skip
CONDITIONS = st.one_of(
    st.sampled_from(READY_MADE),
    st.recursive(st.one_of(st.sampled_from([*OPERANDS, CUSTOM, hr.eager() & ~CUSTOM]), OF_DEPS), _wider, max_leaves=4),
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Made]:
    """Two to four assets, each made from some of those before it by mappings that fit."""
    assets: dict[str, Made] = {}
    for number, key in enumerate("abcd"[: draw(st.integers(2, 4))]):
        partitions = draw(st.sampled_from(list(PARTITIONS)))
        above = draw(st.sets(st.sampled_from(sorted(assets)), min_size=draw(st.integers(0, 1)))) if assets else set()
        deps = [(up, draw(st.sampled_from(FITTING[partitions, assets[up].partitions]))) for up in sorted(above)]
        assets[key] = Made(tuple(deps), draw(CONDITIONS) if number else None, partitions)
    return assets


WAITS = st.sampled_from(["wait 20m", "wait 3h", "wait 13h"])


@st.composite
def scripts(draw: st.DrawFn, assets: dict[str, Made], most_at_once: int = 3) -> list[str]:
    """What happens to them: each line is seen by one turn, which takes no time, or is a time in which nothing else happens."""
    happens = st.lists(_events(assets), min_size=1, max_size=most_at_once).map("; ".join)
    return draw(st.lists(st.one_of(happens, happens, happens, WAITS), min_size=1, max_size=10))


@st.composite
def _events(draw: st.DrawFn, assets: dict[str, Made]) -> str:
    key = draw(st.sampled_from(sorted(assets)))
    some = PARTITIONS[assets[key].partitions]
    name = f"{key}@{draw(st.sampled_from(some))}" if some else key
    customer = draw(st.sampled_from(["acme", "globex", "hooli"]))
    return draw(
        st.sampled_from(
            [
                f"make {name}", f"make {name}", f"make {name} same", f"fail {name}", f"begin {name}", f"check {name} rows fails",
                f"check {name} rows passes", f"code {key} v1", f"code {key} v2", f"answer {key} open yes",
                f"answer {key} open {draw(st.sampled_from(['no', 'first', 'silent']))}",
                f"stand {name} late", f"stand {name} warned", f"stand {name} fine", f"add {customer}", f"remove {customer}",
            ]
        )
    )  # fmt: skip


def begun(kind: type[Stage], assets: dict[str, Made]) -> Stage:
    """A stage on which two customers are known."""
    keys = KeySet("team", "customers")
    for key in ("acme", "globex"):
        keys.add(key)
    return kind(_bound(assets, keys), NOON, keys)


def _bound(assets: dict[str, Made], keys: KeySet) -> dict[str, Made]:
    """The assets with their dynamic partitions bound to a set."""

    def known(dim: Dimension) -> Dimension:
        return KnownPartitions(name=dim.name, dim=dim.dim, known=keys) if isinstance(dim, DynamicPartitions) else dim

    found = {}
    for key, made in assets.items():
        dims = tuple(map(known, dimensions(made.partitions))) if made.partitions is not None else ()
        partitions = ProductPartitions(dims) if len(dims) > 1 else next(iter(dims), None)
        found[key] = msgspec.structs.replace(made, partitions=partitions)
    return found
