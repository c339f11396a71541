"""Changing the keys of dynamic partitions: what is recorded, what is cancelled, what is refused."""

from __future__ import annotations

import pytest
from support.scheduling import World, asset, chunks, manifest, planned, states, token_of

from hedgerow.errors import RequestError
from hedgerow.partitions.constructors import daily, dynamic, hourly
from hedgerow.partitions.key_sets import MAX_KEYS
from hedgerow.protocol import events as ev
from hedgerow_scheduler.partitions.key_sets import KeySets, StoredKey
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.planning.key_changes import KeysChanged, change_keys
from hedgerow_scheduler.planning.request import PartitionRange

CUSTOMERS = dynamic("customers", dim="customer")
SALES = manifest(
    "sales",
    asset("source"),
    asset("each", "source", partitions=CUSTOMERS),
    asset("daily", "each", partitions=daily("2024-01-01") * CUSTOMERS),
    asset("total", "each"),
)


def deployed() -> World:
    """The team's code is in force, and a worker has room for everything."""
    world = World()
    world.send("sales", *chunks(SALES))
    world.beat("sales", slots=9)
    world.recorded()
    return world


def change(world: World, **keys: list[str]) -> KeysChanged:
    """People change the team's customers."""
    return change_keys(world.snapshot, "sales", "customers", world.now, author="ann", **keys)


def test_each_key_is_recorded_once_as_it_is_in_the_end() -> None:
    world = deployed()
    assert change(world, added=["acme", "globex", "acme"]).added == ("acme", "globex")
    assert change(world, added=["acme"], removed=["globex", "nobody"]) == KeysChanged((), ("globex",))
    changes, _ = world.recorded()
    assert [(stored.number, stored.key, stored.is_there, author) for stored, author in changes.partition_keys.values()] == [
        (0, "acme", True, "ann"), (1, "globex", False, "ann"),
    ]  # fmt: skip
    assert change(world, added=["globex", "initech"]).added == ("globex", "initech")
    stored = [stored for stored, _ in world.recorded()[0].partition_keys.values()]
    assert [(one.number, one.key) for one in stored] == [(1, "globex"), (2, "initech")]
    assert [one.seq for one in stored] == [4, 5]


def test_what_was_recorded_is_taken_up_in_any_order_and_as_a_whole_or_by_and_by() -> None:
    rows = [StoredKey("sales", "customers", number, key, key != "b", seq) for number, key, seq in ((2, "c", 3), (0, "a", 9), (1, "b", 5))]  # fmt: skip
    for parts in (
        [rows],
        [[rows[0], rows[1], rows[2]], []],
        [[*rows], [StoredKey("sales", "customers", 1, "b", True, 10)]],
    ):
        sets = KeySets()
        for part in parts:
            sets.take(part)
        assert sets.of("sales", "customers").keys() == (("a", "b", "c") if sets.seq == 10 else ("a", "c"))
        assert sets.of("sales", "customers").number("c") == 2


def test_runs_take_the_keys_that_there_are() -> None:
    world = deployed()
    change(world, added=["acme", "globex"])
    catalog = world.snapshot.catalog
    assert [step.partition for step in planned(catalog, "each", all_partitions=True)] == ["acme", "globex"]
    chosen = planned(catalog, "each", "daily", partitions=("2024-01-02|globex",))
    assert [(step.assets[0], step.partition) for step in chosen] == [("each", "globex"), ("daily", "2024-01-02|globex")]
    days = planned(catalog, "daily", partition_range=PartitionRange("2024-01-02|acme", "2024-01-04|acme"))
    assert [step.partition for step in days] == [f"2024-01-0{day}|acme" for day in (2, 3, 4)]
    for request, code in (
        ({"partitions": ("nobody",)}, "HR-Q101"),
        ({"partition_range": PartitionRange("acme", "globex")}, "HR-Q107"),
    ):
        with pytest.raises(RequestError) as raised:
            planned(catalog, "each", **request)
        assert raised.value.code == code
        assert raised.value.problems[0].remedy


def test_steps_of_a_removed_key_that_wait_are_cancelled_and_say_why() -> None:
    world = deployed()
    change(world, added=["acme", "globex"])
    run = world.start("source", "each", "daily", partitions=("2024-01-02|acme", "2024-01-02|globex"))
    (out,) = world.cycle()
    assert change(world, removed=["globex"]).cancelled == 2
    cancelled = [step for step in run.steps if step.state.value == "cancelled"]
    assert {step.partition for step in cancelled} == {"globex", "2024-01-02|globex"}
    assert "HR-Q028" in {step.error.code for step in cancelled if step.error}
    world.begin(out)
    world.finish(out)
    assert states(run).count("ready") == 1


def test_what_runs_of_a_removed_key_ends_as_it_would() -> None:
    world = deployed()
    change(world, added=["acme"])
    run = world.start("each", partitions=("acme",))
    (out,) = world.cycle()
    world.begin(out)
    assert change(world, removed=["acme"]).cancelled == 0
    world.finish(out)
    assert states(run) == ["succeeded"]


def test_a_step_changes_the_keys_of_its_own_team_once_it_is_bound() -> None:
    world = deployed()
    world.start("source")
    (attempt,) = world.cycle()
    keys = world.snapshot.key_sets.of("sales", "customers")
    told = ev.PartitionsChanged(attempt.id, "customers", token_of(attempt), ("acme", "globex"), ("old",))
    world.send("sales", told)  # of an attempt that has not begun
    assert len(keys) == 0
    world.begin(attempt)
    world.send("sales", told)
    assert keys.keys() == ("acme", "globex")
    world.send("sales", ev.PartitionsChanged(attempt.id, "unknown", token_of(attempt), ("acme",)))
    world.send("sales", ev.PartitionsChanged(attempt.id, "customers", token_of(attempt), ("a|b",)))
    changes, _ = world.recorded()
    assert {author for _, author in changes.partition_keys.values()} == {f"run {attempt.step.run.id}"}
    assert ["HR-Q109" in changes.quarantined[0].reason, "malformed" in changes.quarantined[1].reason] == [True, True]


def test_a_set_takes_so_many_keys_and_no_more() -> None:
    world = deployed()
    assert change(world, added=[f"k{number}" for number in range(MAX_KEYS)]).problem is None
    full = change(world, added=["k7", "one more"], removed=["k1"])
    assert full.problem is not None
    assert (full.problem.code, full.added, full.removed) == ("HR-Q108", (), ("k1",))
    assert change(world, added=["k1"]).added == ("k1",)
    bad = change(world, added=["x" * 201])
    assert bad.problem is not None
    assert "200" in bad.problem.message


def test_beside_other_dimensions_a_set_takes_as_many_keys_as_can_be_told_apart() -> None:
    world = World()
    often = manifest("sales", asset("often", partitions=hourly("2024-01-01") * CUSTOMERS))
    world.send("sales", *chunks(often))
    keys = [f"k{number}" for number in range(20_000)]
    filled = change(world, added=keys)
    assert filled.problem is not None
    assert 5_000 < len(filled.added) < 15_000
    space = space_of(world.snapshot.catalog.assets["often"].definition.partitions)
    assert space.ordinal(f"2069-12-31T23|{filled.added[-1]}") is not None
    world.send("sales", *chunks(SALES))
    assert change(world, added=keys).problem is None
