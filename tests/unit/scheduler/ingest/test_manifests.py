"""Manifests in the stream: asked for, put together, refused whole or put in force."""

from __future__ import annotations

import hashlib
from typing import Any
from zoneinfo import available_timezones

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW, World, asset, chunks, manifest, multi, published

from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.partitions.model import StaticPartitions, TimePartitions, Window
from hedgerow.protocol import events as ev
from hedgerow_scheduler.ingest import manifests as arriving
from hedgerow_scheduler.ingest.bounds import depth, manifest_defect
from hedgerow_scheduler.planning import team_bounds

OLD = manifest("sales", asset("orders"))
NEW = manifest("sales", asset("orders"), asset("totals", "orders"))
RAW = manifest("raw", asset("raw/x"))


def announce(world: World, one: model.Manifest, team: str = "", worker: str = "w1") -> None:
    body = ev.ManifestPublished(one.team, one.location, published(one).hash, 1)
    world.send(team or one.team, body, worker=worker)


def deliver(world: World, one: model.Manifest, team: str = "", worker: str = "w1") -> None:
    world.send(team or one.team, *chunks(one), worker=worker)


def in_force(world: World, team: str = "sales", location: str = "") -> str | None:
    return world.snapshot.catalog.manifest_hash(team, location or team)


def test_an_unknown_manifest_is_asked_for_once_in_five_seconds() -> None:
    world = World()
    asked = []
    for _ in range(11):
        announce(world, NEW)
        asked.append(bool(world.recorded()[1].send_manifest))
        world.after(seconds=1)
    assert [second for second, was in enumerate(asked) if was] == [0, 5, 10]


def test_a_heartbeat_of_an_unknown_manifest_asks_for_it_too() -> None:
    world = World()
    world.beat("sales", manifest="f" * 64)
    assert world.snapshot.effects.send_manifest == {"f" * 64: "sales"}


@given(st.permutations(range(len(chunks(NEW, 40)))), st.data())
def test_chunks_are_put_together_in_whatever_order_and_however_often_they_come(order: list[int], data: Any) -> None:
    world = World()
    parts = chunks(NEW, 40)
    for position in order[:-1]:
        world.send("sales", *([parts[position]] * data.draw(st.integers(1, 2))))
        assert in_force(world) is None
    world.send("sales", parts[order[-1]])
    assert in_force(world) == published(NEW).hash
    (recorded,) = world.recorded()[0].manifests
    assert recorded.accepted
    assert recorded.body == model.encode(NEW)


def test_chunks_are_not_kept_among_the_events() -> None:
    world = World()
    deliver(world, NEW)
    changes, _ = world.recorded()
    assert changes.events == []
    assert changes.sequences == {("sales", "w1"): len(chunks(NEW))}


def test_a_manifest_comes_into_force_and_its_keys_are_its_teams() -> None:
    world = World(OLD)
    deliver(world, NEW)
    changes, _ = world.recorded()
    assert [(change.location, change.manifest_hash, change.problems) for change in changes.locations] == [
        ("sales", published(NEW).hash, ())
    ]
    assert world.snapshot.owners == {"orders": ("sales", "sales"), "totals": ("sales", "sales")}
    assert set(world.snapshot.accepted) == {published(OLD).hash, published(NEW).hash}


def test_a_known_manifest_comes_back_into_force_without_being_sent_and_is_the_newest_then() -> None:
    world = World(OLD)
    deliver(world, NEW)
    world.recorded()
    announce(world, OLD)
    assert in_force(world) == published(OLD).hash
    assert list(world.snapshot.accepted) == [published(NEW).hash, published(OLD).hash]
    assert world.recorded()[1].send_manifest == {}


def test_text_that_does_not_hash_to_its_name_is_put_aside() -> None:
    world = World(OLD)
    parts = chunks(NEW)
    lies = [msgspec.structs.replace(part, hash="0" * 64) for part in parts]
    world.send("sales", *lies)
    changes, _ = world.recorded()
    assert "its hash is another" in changes.quarantined[0].reason
    assert in_force(world) == published(OLD).hash
    assert changes.manifests == []


def test_a_manifest_in_another_teams_name_is_put_aside() -> None:
    world = World(RAW)
    deliver(world, NEW, team="raw")
    changes, _ = world.recorded()
    assert "it names the team 'sales'" in changes.quarantined[0].reason
    assert in_force(world) is None
    assert changes.locations == []


def test_text_that_is_no_manifest_is_put_aside() -> None:
    world = World(OLD)
    for text in ("nonsense", "{}", "[" * 50_000, '{"team":"sales","location":"no name"}'):
        world.send("sales", ev.ManifestChunk(hashlib.sha256(text.encode()).hexdigest(), 0, 1, text))
    assert len(world.recorded()[0].quarantined) == 4
    assert in_force(world) == published(OLD).hash


def test_manifests_that_are_never_finished_do_not_pile_up() -> None:
    world = World()
    first = chunks(NEW)[0]
    for number in range(1000):
        world.send("sales", msgspec.structs.replace(first, hash=f"{number:064}"))
    assert sum(len(parts) for parts in world.fold.manifests._chunks.values()) <= 5
    deliver(world, NEW)
    assert in_force(world) == published(NEW).hash


def test_another_teams_chunks_do_not_mix_with_ones_own() -> None:
    world = World()
    parts = chunks(NEW)
    world.send("sales", *parts[:-1])
    world.send("raw", parts[-1])
    assert in_force(world) is None
    world.send("sales", parts[-1])
    assert in_force(world) == published(NEW).hash


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_manifest_with_another_teams_key_is_refused_whole_and_the_reason_is_shown() -> None:
    world = World(RAW, OLD)
    thief = manifest("sales", asset("orders"), asset("raw/x"), asset("fresh"))
    deliver(world, thief)
    changes, _ = world.recorded()
    assert in_force(world) == published(OLD).hash
    assert "fresh" not in world.snapshot.owners
    (change,) = changes.locations
    assert change.manifest_hash is None
    assert [problem.code for problem in change.problems] == ["HR-Q010"]
    assert [(new.hash, new.accepted) for new in changes.manifests] == [(published(thief).hash, False)]
    assert ("sales", "sales") in world.snapshot.broken


def test_a_refused_manifest_is_asked_for_again_but_only_once_a_minute() -> None:
    world = World(RAW, OLD)
    thief = manifest("sales", asset("raw/x"))
    announce(world, thief)
    deliver(world, thief)
    world.recorded()
    asked = []
    for _ in range(20):
        world.after(seconds=10)
        world.beat("sales", manifest=published(thief).hash)
        asked.append(bool(world.recorded()[1].send_manifest))
    assert sum(asked) == 3


def test_a_refused_manifest_comes_into_force_once_its_reason_is_gone() -> None:
    world = World(manifest("ml", asset("model", "orders")))
    circle = manifest("sales", asset("orders", "model"))
    deliver(world, circle)
    assert in_force(world) is None
    deliver(world, manifest("ml", asset("model")), worker="w2")
    deliver(world, circle)
    assert in_force(world) == published(circle).hash
    assert ("sales", "sales") not in world.snapshot.broken


def test_going_back_to_a_manifest_that_would_close_a_cycle_by_now_is_refused() -> None:
    first = manifest("sales", asset("orders", "model"))
    world = World(first)
    deliver(world, second := manifest("sales", asset("orders")))
    deliver(world, manifest("ml", asset("model", "orders")))
    world.recorded()
    announce(world, first)
    (change,) = world.recorded()[0].locations
    assert [problem.code for problem in change.problems] == ["HR-Q011"]
    assert in_force(world) == published(second).hash


def test_code_that_can_not_be_loaded_leaves_the_last_good_manifest_and_shows_the_problems() -> None:
    world = World(OLD)
    problem = Problem("HR-D001", "It raised.", "Mend it.", "sales/assets.py", 3)
    world.send("sales", ev.LocationFailed("sales", "sales", (problem,)))
    (change,) = world.recorded()[0].locations
    assert (change.team, change.location, change.manifest_hash, change.problems) == ("sales", "sales", None, (problem,))
    assert in_force(world) == published(OLD).hash
    assert world.snapshot.broken == {("sales", "sales")}
    announce(world, OLD)
    assert world.snapshot.broken == set()


DAILY = TimePartitions("day", "2024-01-01")
KILO = StaticPartitions(tuple(f"k{number}" for number in range(1000)), dim="a")
PLAIN = model.Asset("x", "x")
ZONES = tuple(enumerate(sorted(available_timezones())[:60]))
MINUTES = tuple(TimePartitions("* * * * *", "2024-01-01T00:00", tz=zone) for _, zone in ZONES[:8])
MAKES_X = model.Computation("x", ("x",))


@pytest.mark.parametrize(
    ("assets", "computations", "says"),
    [
        ((PLAIN, PLAIN), (MAKES_X,), "same key"),
        ((PLAIN,), (), "no computation 'x'"),
        ((PLAIN,), (MAKES_X, MAKES_X), "same name"),
        ((PLAIN,), (model.Computation("x", ()),), "not named by its first asset"),
        ((PLAIN,), (MAKES_X, model.Computation("y", ("x",))), "not named by its first asset"),
        ((PLAIN,), (MAKES_X, model.Computation("y", ("y",))), "do not fit"),
        ((PLAIN,), (model.Computation("x", ("x",), partitions=DAILY),), "do not fit"),
        ((PLAIN,), (model.Computation("x", ("x",), priority=1 << 20),), "priority"),
        ((PLAIN,), (model.Computation("x", ("x",), pools=(model.PoolUse("p", -8),)),), "a use of a pool"),
        ((PLAIN,), (model.Computation("x", ("x",), pools=(model.PoolUse("P"),)),), "a use of a pool"),
        ((PLAIN,), (model.Computation("x", ("x",), pools=(model.PoolUse("p"), model.PoolUse("p", 2))),), "twice"),
        ((PLAIN,), (model.Computation("x", ("x",), limits=(model.KeyLimit("l", "tags.t", 0),)),), "a limit"),
        ((PLAIN,), (model.Computation("x", ("x",), limits=(model.KeyLimit("l", "t", 1),)),), "a limit"),
        ((PLAIN,), (model.Computation("x", ("x",), limits=(model.KeyLimit("y:tags.t", "tags.t", 1),)),), "a limit"),
        ((PLAIN,), (model.Computation("x", ("x",), limits=(model.KeyLimit("l", "tags.t", 1),) * 2),), "twice"),
        ((model.Asset("e", partitions=TimePartitions("day", "soon")),), (), "partitions of 'e'"),
        ((model.Asset("e", partitions=TimePartitions("day", "2024-01-01", tz="Mars/Olympus")),), (), "Mars"),
        (
            (model.Asset("e", partitions=TimePartitions("hour", "1900-01-01T00", tz="Europe/Oslo")),),
            (),
            "at most 1,000,000",
        ),
        (
            (model.Asset("e", partitions=KILO * msgspec.structs.replace(KILO, dim="b") * DAILY),),
            (),
            "can be planned with",
        ),
        (
            tuple(model.Asset(f"e{n}", partitions=TimePartitions("day", "2024-01-01", tz=z)) for n, z in ZONES),
            (),
            "zones",
        ),
        (tuple(model.Asset(f"e{n}", partitions=each) for n, each in enumerate(MINUTES)), (), "10,000 edges a day"),
        ((model.Asset("e", partitions=StaticPartitions(("a", "a"))),), (), "repeated"),
        ((model.Asset("e", partitions=StaticPartitions(("a|b",))),), (), "malformed"),
        ((model.Asset("e", partitions=StaticPartitions(("a\x00",))),), (), "malformed"),
        (
            (model.Asset("e", partitions=StaticPartitions(("é" * 255,)) * StaticPartitions(("ü" * 255,), dim="b")),),
            (),
            "too long",
        ),
        (
            (model.Asset("e", partitions=StaticPartitions(("a",))), PLAIN),
            (model.Computation("x", ("x",), (model.Dependency("e", mapping=Window(-1, 0)),)),),
            "mapping",
        ),
    ],
)
def test_a_manifest_that_no_one_could_plan_with_is_refused_with_the_reason(
    assets: tuple[model.Asset, ...], computations: tuple[model.Computation, ...], says: str
) -> None:
    world = World(RAW)
    deliver(world, model.Manifest("sales", "sales", assets, computations))
    (change,) = world.recorded()[0].locations
    (problem,) = change.problems
    assert problem.code == "HR-Q015"
    assert says in problem.message
    assert in_force(world) is None


def test_a_manifest_that_declares_more_than_one_may_is_refused_whole_with_what_and_why() -> None:
    world = World(OLD)
    deliver(world, manifest("sales", asset("orders"), queues=tuple(model.Queue(f"q{n}") for n in range(1_001))))
    (change,) = world.recorded()[0].locations
    assert [(problem.code, problem.message) for problem in change.problems] == [
        ("HR-D025", "Location 'sales' has 1,001 queues; it may have 1,000.")
    ]
    assert in_force(world) == published(OLD).hash


def test_a_manifest_that_is_said_to_be_too_large_is_refused_and_never_asked_for() -> None:
    world = World()
    world.send("sales", ev.ManifestPublished("sales", "sales", "f" * 64, 17 * 2**20))
    changes, effects = world.recorded()
    assert [problem.code for change in changes.locations for problem in change.problems] == ["HR-D025"]
    assert effects.send_manifest == {}


def test_chunks_that_come_to_too_much_are_put_aside() -> None:
    world = World()
    for index in range(170):
        world.send("sales", ev.ManifestChunk("f" * 64, index, 200, "x" * 100_000))
    assert "too large" in world.recorded()[0].quarantined[0].reason


@pytest.mark.parametrize(
    "limits",
    [
        {"pools": (model.Pool("p", -1),)},
        {"pools": (model.Pool("p", None, 0.0, 1.0),)},
        {"pools": (model.Pool("p", None, 1.0, 0.5),)},
        {"queues": (model.Queue("default", 10**400),)},
        {"queues": (model.Queue("default", None, -1.0, 1.0),)},
        {"queues": (model.Queue("default", None, 1e300),)},
    ],
)
def test_a_manifest_whose_limits_can_not_be_counted_is_refused(limits: dict[str, Any]) -> None:
    defect = manifest_defect(model.Manifest("sales", "sales", (PLAIN,), (MAKES_X,), **limits), NOW)
    assert defect is not None
    assert "out of bounds" in defect


def test_a_step_that_asks_for_more_of_a_pool_than_its_own_manifest_declares_is_refused() -> None:
    greedy = asset("x", pools=(model.PoolUse("own", 3), model.PoolUse("dw", 1_000)))
    defect = manifest_defect(manifest("sales", greedy, pools=(model.Pool("own", 2),)), NOW)
    assert defect == "'x' asks for 3 slots of pool 'own', which has 2"
    assert manifest_defect(manifest("sales", greedy, pools=(model.Pool("own", 3),)), NOW) is None


def test_limits_as_definitions_make_them_are_taken() -> None:
    limits = (model.KeyLimit("l", "tags.t", 1), model.KeyLimit("x:partition", "partition", 2))
    made = asset("x", pools=(model.PoolUse("p", 2),), limits=limits)
    pools, queues = (model.Pool("p", 2, 0.1, 1.0), model.Pool("free")), (model.Queue("default", 1, 5.0, 5.0),)
    assert manifest_defect(manifest("sales", made, pools=pools, queues=queues), NOW) is None


@pytest.mark.parametrize(
    "bad",
    [
        model.Manifest("sales", "sales", (model.Asset("a\x00b"),)),
        model.Manifest("sales", "sales", (model.Asset("A"),)),
        model.Manifest("sales", "sales", (PLAIN,), (model.Computation("x", ("x",), queue="No Queue"),)),
    ],
)
def test_a_manifest_with_a_bad_name_is_refused_with_it(bad: model.Manifest) -> None:
    world = World(RAW)
    deliver(world, bad)
    (change,) = world.recorded()[0].locations
    assert [problem.code for problem in change.problems] == ["HR-Q013"]
    assert in_force(world) is None


def test_what_definitions_make_is_planned_with() -> None:
    total = asset("total", model.Dependency("total", mapping=Window(-1, -1)), partitions=DAILY)
    product = asset("p", partitions=DAILY * StaticPartitions(("no", "se"), dim="country"))
    assert manifest_defect(manifest("sales", total, product, multi(("x", "y"), "total")), NOW) is None


@given(
    st.recursive(
        texts := st.text('[]{}\\" a', max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    )
)
def test_the_depth_of_json_is_that_of_its_value_whatever_its_texts_hold(value: object) -> None:
    def deep(found: object) -> int:
        if isinstance(found, dict):
            return 1 + max(map(deep, found.values()), default=0)
        if isinstance(found, list):
            return 1 + max(map(deep, found), default=0)
        return 0

    assert depth(msgspec.json.encode(["[" * 500, value])) == 1 + deep(value)  # the text makes it look closely


def test_deep_json_is_seen_as_deep() -> None:
    assert depth(b'"' + b"[" * 5000 + b'"') == 0
    assert depth(b"[" * 5000 + b'"]]]"' + b"]" * 5000) == 5000


def test_a_manifest_that_is_in_force_already_leaves_the_catalog_as_it_is() -> None:
    world = World(OLD)
    before = world.snapshot.catalog
    for number in range(3):
        announce(world, OLD, worker=f"w{number}")
    assert world.snapshot.catalog is before


@pytest.mark.parametrize(
    ("schedules", "told"),
    [
        ([("a", "@daily", "UTC")], "the times of schedule 'a'"),
        ([("a", "0 0 30 2 *", "UTC")], "the times of schedule 'a'"),
        ([("a", "0 2 * * *", "../../etc/passwd")], "the times of schedule 'a'"),
        ([("a", "0 2 * * *", "x" * 100_000)], "the times of schedule 'a'"),
        ([("a", "0," * 50_000 + "0 2 * * *", "UTC")], "the times of schedule 'a'"),
        ([("a", "0 2 * * *", "UTC"), ("a", "0 3 * * *", "UTC")], "two schedules"),
        ([("a", "0 2 * * *", "Europe/Oslo"), ("b", "0 3 * * *", "UTC")], None),
    ],
)
def test_a_schedule_that_can_not_tick_is_seen_whatever_a_stranger_says_of_it(
    schedules: list[tuple[str, str, str]], told: str | None
) -> None:
    declared = tuple(model.Schedule(name, "*", cron, tz) for name, cron, tz in schedules)
    defect = manifest_defect(manifest("sales", schedules=declared), NOW)
    assert (told is None) == (defect is None)
    assert told is None or told in (defect or "")


def test_a_large_manifest_is_judged_in_a_cycle_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "SMALL_MANIFEST_BYTES", 10)
    world = World()
    deliver(world, NEW)
    assert in_force(world) is None
    assert world.fold.manifests.next_offer()
    world.fold.manifests.take_offer(world.now)
    assert in_force(world) == published(NEW).hash
    assert not world.fold.manifests.next_offer()


def test_of_the_large_manifests_of_a_team_only_the_latest_wait_to_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "SMALL_MANIFEST_BYTES", 10)
    world = World()
    several = [manifest("sales", asset(f"x{number}")) for number in range(arriving.MAX_OPEN_MANIFESTS + 1)]
    for one in several:
        deliver(world, one)
    judged = []
    while world.fold.manifests.next_offer():
        world.fold.manifests.take_offer(world.now)
        judged.append(in_force(world))
    assert judged == [published(one).hash for one in several[1:]]


def test_a_manifest_that_nobody_can_judge_is_refused_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(arriving, "manifest_defect", fail)
    world = World()
    deliver(world, NEW)
    assert in_force(world) is None
    (told,) = world.recorded()[0].locations[-1].problems
    assert (told.code, "ZeroDivisionError" in told.message) == ("HR-Q015", True)


def test_a_team_has_so_many_locations_assets_and_keys_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team_bounds, "MAX_LOCATIONS", 2)
    monkeypatch.setattr(team_bounds, "MAX_ASSETS", 3)
    monkeypatch.setattr(team_bounds, "MAX_KEYS", 4)
    world = World(RAW)

    def told(location: str, *keys: str) -> str:
        deliver(world, manifest("sales", *map(asset, keys), location=location))
        problems = world.recorded()[0].locations[-1].problems
        assert all(each.code == "HR-Q019" for each in problems)
        return problems[0].message if problems else ""

    assert told("one", "a", "b") == ""
    assert "over 3 assets" in told("two", "c", "d")
    assert told("two", "c") == ""
    assert "over 2 locations" in told("three", "d")
    assert told("one", "a", "d") == ""
    assert "over 4 keys" in told("one", "a", "e")
    assert world.snapshot.catalog.manifest_hash("sales", "three") is None


def test_manifests_that_nobody_serves_are_not_kept_for_ever() -> None:
    world = World(RAW)
    several = [manifest("sales", asset("x", code_version=f"v{number}")) for number in range(arriving.MAX_KEPT + 5)]
    for number, one in enumerate(several):
        deliver(world, one)
        if number == 2:
            world.beat("sales", manifest=published(one).hash)
    kept = [published(one).hash in world.snapshot.accepted for one in several]
    assert kept == [number == 2 or number >= 5 for number in range(len(several))]
    assert published(RAW).hash in world.snapshot.accepted
