"""Conditions asked of what may be different answer as conditions that are asked of everything, at a cost that follows what happened."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from support.automated import NOON, Made, Restless, Stage

from hedgerow.conditions import constructors as hr
from hedgerow.conditions import model as c
from hedgerow.partitions import mapping
from hedgerow.partitions.constructors import daily, dynamic, static
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import (
    Dimension,
    DynamicPartitions,
    Partitions,
    ProductPartitions,
    StaticPartitions,
    dimensions,
)

CUSTOMERS = dynamic("customers", dim="customer")
PARTITIONS: list[Partitions | None] = [
    None,
    daily("2026-01-03"),
    static("no", "se"),
    CUSTOMERS,
    daily("2026-01-03") * CUSTOMERS,
]
KEYS = st.sampled_from(["acme", "globex", "hooli"])
OPERANDS: list[c.Condition] = [
    hr.missing(), hr.in_progress(), hr.failed(), hr.check_failed("rows"), hr.code_changed(), hr.in_latest_window(), hr.updated(),
    c.Updated(elsewhere=True), c.Started(), c.Requested(), c.FirstSeen(), hr.cron_tick("0 6 * * *"),
]  # fmt: skip


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
    )


OF_PARTITIONS = st.recursive(st.sampled_from(OPERANDS), _wider, max_leaves=3)
OF_DEPS = st.one_of(OF_PARTITIONS.map(hr.any_dep), OF_PARTITIONS.map(hr.all_deps))
OPEN = c.Custom("open")  # asked of the asset itself only
CONDITIONS = st.one_of(
    st.sampled_from([hr.eager(), hr.eager("all"), hr.on_cron("0 6 * * *"), hr.on_missing()]),
    st.recursive(
        st.one_of(st.sampled_from(OPERANDS), st.sampled_from([OPEN, hr.eager() & ~OPEN]), OF_DEPS), _wider, max_leaves=4
    ),
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Made]:
    """Two to four assets, each made from some of those before it."""
    assets: dict[str, Made] = {}
    for number, key in enumerate("abcd"[: draw(st.integers(2, 4))]):
        partitions = draw(st.sampled_from(PARTITIONS))
        above = draw(st.sets(st.sampled_from(sorted(assets)))) if assets else set()
        deps = [(up, mapping.same() if assets[up].partitions == partitions else mapping.all()) for up in sorted(above)]
        automation = draw(CONDITIONS) if number else None
        assets[key] = Made(tuple(deps), automation, partitions)
    return assets


def keys_of(partitions: Partitions) -> tuple[str, ...]:
    """Some partitions that exist, or existed."""
    if isinstance(partitions, ProductPartitions):
        return ("2026-01-03|acme", "2026-01-04|acme", "2026-01-04|globex")
    if isinstance(partitions, DynamicPartitions):
        return ("acme", "globex")
    return ("no", "se") if isinstance(partitions, StaticPartitions) else ("2026-01-03", "2026-01-04")


def bound(assets: dict[str, Made], keys: KeySet) -> dict[str, Made]:
    """The assets with their dynamic partitions bound to a set."""

    def known(dim: Dimension) -> Dimension:
        return KnownPartitions(name=dim.name, dim=dim.dim, known=keys) if isinstance(dim, DynamicPartitions) else dim

    found = {}
    for key, made in assets.items():
        dims = tuple(map(known, dimensions(made.partitions))) if made.partitions is not None else ()
        partitions = ProductPartitions(dims) if len(dims) > 1 else next(iter(dims), None)
        found[key] = msgspec.structs.replace(made, partitions=partitions)
    return found


def begun(kind: type[Stage], assets: dict[str, Made]) -> Stage:
    """A stage on which two customers are known."""
    keys = KeySet("team", "customers")
    for key in ("acme", "globex"):
        keys.add(key)
    return kind(bound(assets, keys), NOON, keys)


@st.composite
def scripts(draw: st.DrawFn, assets: dict[str, Made]) -> list[str]:
    """What happens to them."""
    script = []
    for _ in range(draw(st.integers(1, 10))):
        key = draw(st.sampled_from(sorted(assets)))
        name = key
        if (partitions := assets[key].partitions) is not None:
            name = f"{key}@{draw(st.sampled_from(keys_of(partitions)))}"
        script.append(
            draw(
                st.sampled_from(
                    [
                        f"make {name}", f"make {name}", f"fail {name}", f"check {name} rows fails", f"code {key} v1", f"code {key} v2",
                        f"answer {key} open {draw(st.sampled_from(['yes', 'no', 'first', 'silent']))}",
                        "wait 20m", "wait 3h", "wait 13h", f"add {draw(KEYS)}", f"remove {draw(KEYS)}",
                    ]
                )
            )
        )  # fmt: skip
    return script


class Thorough(Stage):
    """A stage whose turns ask every partition that there is of every asset with a condition."""

    def before_turn(self) -> None:
        for key in self.engine.declared.automated:
            self.engine._ask_again(key, self.engine.facts[key].space.existing(self.now))


def played(kind: type[Stage], assets: dict[str, Made], script: list[str], taken_over: bool = False) -> list[list[str]]:
    """What is requested after each event. Conditions that ask for themselves without end are left out."""
    try:
        stage = begun(kind, assets)
        found = []
        for event in script:
            found.append(stage.play(event))
            if taken_over:
                found[-1] += stage.play("takeover")
    except Restless:
        reject()
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_what_is_asked_of_a_part_is_answered_as_if_it_were_asked_of_everything(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    script = data.draw(scripts(assets))
    assert played(Stage, assets, script) == played(Thorough, assets, script)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_another_leader_at_any_time_changes_nothing(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    script = data.draw(scripts(assets))
    assert played(Stage, assets, script) == played(Stage, assets, script, taken_over=True)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_nothing_is_asked_when_nothing_happens_and_only_neighbours_when_something_does(data: st.DataObject) -> None:
    assets = data.draw(worlds())
    try:
        stage = begun(Stage, assets)
    except Restless:
        reject()
    key = data.draw(st.sampled_from(sorted(assets)))
    reached = {key}
    for each, made in assets.items():
        if reached & {dep[0] for dep in made.deps}:
            reached.add(each)
    partitions = assets[key].partitions
    partition = f"@{keys_of(partitions)[1]}" if partitions is not None else ""
    stage.evaluated.clear()
    try:
        stage.play(f"fail {key}{partition}")
    except Restless:
        reject()
    assert stage.evaluated.keys() <= reached
    asked = stage.asked
    stage.settle()
    assert stage.asked == asked
