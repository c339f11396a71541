"""Former columns, as a leader follows them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import World, asset, manifest, multi

from hedgerow.manifest.model import Check, Column
from hedgerow.protocol import events as ev
from hedgerow.protocol.orders import OrderMessage
from hedgerow_scheduler.lifecycle.judging import Judgeable
from hedgerow_scheduler.lifecycle.model import Materialization
from hedgerow_scheduler.lifecycle.states import MaterializationState, StepState
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.planning.former_columns import Former, FormerColumns


def columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "int") for name in names)


def output(asset: str, seq: int, *names: str) -> Materialization:
    described = tuple(Column(name, "int", "Told to people.") for name in names)
    return Materialization(
        f"{seq}", asset, "", "r", 0, seq, MaterializationState.CURRENT, None, "", "", {}, described
    )  # fmt: skip


class Recorded:
    """What PostgreSQL would tell: the newest output with columns of each asset."""

    def __init__(self) -> None:
        self.outputs: list[Materialization] = []
        self.asked: list[str] = []

    def read(self, assets: Collection[str]) -> Mapping[str, Former]:
        """As metadata.former_columns.read_former."""
        self.asked += assets
        found: dict[str, Former] = {}
        for one in sorted(self.outputs, key=lambda one: one.dispatch_seq):
            if one.columns and one.asset in assets and one.state is MaterializationState.CURRENT:
                found[one.asset] = Former(one.dispatch_seq, tuple(Column(each.name, each.type) for each in one.columns))
        return found


def test_what_was_dispatched_last_counts_whenever_it_was_accepted() -> None:
    known, recorded = FormerColumns(), Recorded()
    recorded.outputs.append(output("a", 3, "x"))
    assert known.of(["a", "never"], recorded.read) == {"a": columns("x"), "never": ()}
    for seq, name in ((5, "new"), (4, "late")):
        known.accepted(output("a", seq, name))
    assert known.of(["a", "never"], recorded.read) == {"a": columns("new"), "never": ()}
    assert recorded.asked == ["a", "never"]
    known.accepted(output("never", 1, "first"))
    assert known.of(["never"], recorded.read) == {"never": columns("first")}


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 20), st.sampled_from(["", "x", "y", "xy"]), st.booleans()),
        max_size=40,
    )
)
def test_what_is_followed_is_what_would_be_read(history: list[tuple[str, int, str, bool]]) -> None:
    known, recorded, made = FormerColumns(max_bytes=500), Recorded(), dict[int, Materialization]()
    for key, seq, names, looks in history:
        if seq not in made:  # a number is given once
            made[seq] = output(key, seq, *names)
            recorded.outputs.append(made[seq])
            known.accepted(made[seq])
        elif made[seq].state is MaterializationState.CURRENT:  # its checks ran again
            made[seq].state = MaterializationState.REJECTED
            known.rejected(made[seq])
        else:
            made[seq].state = MaterializationState.CURRENT
            known.accepted(made[seq])
        if looks:
            told = recorded.read("ab")
            found = {key: told[key].columns if key in told else () for key in "ab"}
            assert known.of("ab", recorded.read) == found


class Comparing(World):
    """A world whose dispatch notes of which assets it asks the former columns."""

    def __init__(self, *parts: Any, checks: tuple[Check, ...]) -> None:
        super().__init__(manifest("a", *parts, checks=checks))
        self.recorded_of, self.former = Recorded(), list[Mapping[str, Any]]()
        self.judged, self.carried = output("x", 1), columns()

    def cycle(self) -> Any:
        grants = self.admission.grant(self.snapshot, self.now)
        for message in self.dispatcher.dispatch(
            self.snapshot, grants, self.now, lambda _: Stored({}, frozenset()),
            judgeable=lambda steps: {(step.run.id, step.number): Judgeable(self.judged) for step in steps},
            compare=self.recorded_of.read,
        ):  # fmt: skip
            for order in orders_in(message.body):
                self.former.append(order.former)
                self.carried = order.judged[0].columns if order.judged else ()
        self.orders.extend(self.snapshot.changes.new_attempts)
        return self.orders


def orders_in(body: bytes) -> Any:
    return msgspec.json.decode(json.loads(body)[0][0], type=OrderMessage).orders


def test_only_orders_of_what_is_compared_carry_columns_and_only_they_are_looked_up() -> None:
    checks = (Check("same", "x", former_columns=True), Check("rows", "y"), Check("rows", "z"))
    world = Comparing(multi(("x", "y")), asset("z"), checks=checks)
    world.recorded_of.outputs += [output(key, 1, "id") for key in "xyz"]
    world.snapshot.dispatch_seq = 1
    world.beat("a", slots=10)
    world.start("x", "y", "z")
    world.cycle()
    assert (world.recorded_of.asked, world.former) == (["x"], [{"x": columns("id")}, {}])
    (attempt,) = (one for one in world.orders if one.step.computation == "x")
    world.begin(attempt)
    materialized = ev.AssetMaterialized(attempt.id, "x", attempt.token, columns=columns("id", "note"))
    world.send("a", materialized, ev.AttemptSucceeded(attempt.id, attempt.token, 1.0))
    world.start("x")
    world.cycle()
    assert (world.recorded_of.asked, world.former[-1]) == (["x"], {"x": columns("id", "note")})


def test_what_is_judged_again_is_compared_with_what_came_before_it_was_accepted() -> None:
    world = Comparing(asset("x"), checks=(Check("same", "x", former_columns=True),))
    world.recorded_of.outputs.append(output("x", 7, "new"))
    world.beat("a", slots=10)
    state = MaterializationState
    for accepted, compared in ((state.REJECTED, "new"), (state.UNCHECKED, "new"), (state.CURRENT, "id")):
        world.judged = output("x", 3, "id")
        world.judged.state = accepted
        run = world.start("x", checks_only=True)
        world.cycle()
        assert world.former.pop() == {"x": columns(compared)}
        assert world.carried == columns("id")
        (step,) = run.steps
        world.snapshot.move(step, StepState.FAILED, world.now)


def test_where_no_check_compares_nothing_is_asked() -> None:
    world = Comparing(asset("z"), checks=(Check("rows", "z"),))
    world.beat("a", slots=10)
    world.start("z")
    world.cycle()
    assert (world.recorded_of.asked, world.former) == ([], [{}])
