"""Turns: who is next where steps of several runs, queues and teams want the same slots."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from support.scheduling import World, asset, live, manifest, states

from hedgerow.manifest.model import Pool, PoolUse, Queue
from hedgerow.partitions.model import StaticPartitions
from hedgerow.settings.platform import TeamPolicy
from hedgerow_scheduler.lifecycle.model import Attempt, Run
from hedgerow_scheduler.limits.fairness import AGEING
from hedgerow_scheduler.limits.lines import Group
from hedgerow_scheduler.planning.limiting import prioritise, use_overrides
from hedgerow_scheduler.planning.rules import Override, PlatformLimits

MANY = StaticPartitions(tuple(f"{number:05}" for number in range(10_000)))
SOME = StaticPartitions(tuple(f"{number:03}" for number in range(200)))


def shared(slots: int, keys: StaticPartitions = SOME, priority: int = 0, **policies: TeamPolicy) -> World:
    """Two teams beside a pool of the platform, with workers enough."""
    uses = (PoolUse("dw"),)
    world = World(
        manifest(
            "ada", asset("ada/many", partitions=keys, pools=uses, priority=priority), asset("ada/one", pools=uses)
        ),
        manifest("bob", asset("bob/many", partitions=keys, pools=uses), asset("bob/one", pools=uses)),
        platform=PlatformLimits(policies, {"dw": Pool("dw", slots)}),
    )
    beat(world)
    return world


def beat(world: World) -> None:
    for team in ("ada", "bob"):
        world.beat(team, f"w-{team}", slots=50)


def ended(world: World, attempt: Attempt) -> list[Attempt]:
    """An attempt ends, and what is admitted for it."""
    world.begin(attempt)
    world.finish(attempt)
    return world.cycle()


def teams(attempts: list[Attempt]) -> list[str]:
    return [attempt.step.team for attempt in attempts]


def set_to(world: World, kind: str, name: str, **fields: float | None) -> None:
    overrides = [Override(kind, name, field, value, "op", "why", world.now) for field, value in fields.items()]
    use_overrides(world.snapshot, overrides, world.now)


def test_one_step_is_the_very_next_however_many_another_team_has_waiting() -> None:
    world = shared(3, MANY)
    world.start("ada/many", all_partitions=True)
    out = world.cycle()
    for _ in range(50):
        out = [*out[1:], *ended(world, out[0])]
    one = world.start("bob/one")
    assert world.cycle() == []
    assert teams(ended(world, out[0])) == ["bob"]
    assert states(one) == ["dispatched"]


@pytest.mark.parametrize(("weights", "ratio"), [((1, 1), 1), ((1, 3), 3), ((2, 0.5), 0.25)])
def test_teams_share_a_pool_by_their_weights(weights: tuple[float, float], ratio: float) -> None:
    world = shared(2, ada=TeamPolicy(weight=weights[0]), bob=TeamPolicy(weight=weights[1]))
    world.start("ada/many", all_partitions=True)
    world.start("bob/many", all_partitions=True)
    out, started = world.cycle(), Counter[str]()
    for _ in range(120):
        fresh = ended(world, out[0])
        started.update(teams(fresh))
        out = [*out[1:], *fresh]
    assert abs(started["bob"] / weights[1] - started["ada"] / weights[0]) <= 1 / weights[0] + 1 / weights[1]
    assert started["bob"] / started["ada"] == pytest.approx(ratio, rel=0.1)


def test_a_changed_weight_acts_on_the_backlog_at_once() -> None:
    world = shared(1)
    for team in ("ada", "bob"):
        world.start(f"{team}/many", all_partitions=True)
    out = world.cycle()
    set_to(world, "team", "bob", weight=9)
    started = Counter[str]()
    for _ in range(50):
        out = ended(world, out[0])
        started.update(teams(out))
    assert started["bob"] >= 44


def test_what_a_team_declares_as_priority_pushes_no_other_team_aside() -> None:
    world = shared(1, priority=1000)
    world.start("ada/many", all_partitions=True)
    world.start("bob/many", all_partitions=True)
    out, started = world.cycle(), Counter[str]()
    for _ in range(40):
        out = ended(world, out[0])
        started.update(teams(out))
    assert started["ada"] == started["bob"] == 20


def test_a_run_that_operators_made_urgent_goes_before_other_teams() -> None:
    world = shared(1)
    world.start("ada/many", all_partitions=True)
    urgent = world.start("bob/many", all_partitions=True)
    out = world.cycle()
    prioritise(world.snapshot, urgent, 10, world.now)
    started = Counter[str]()
    for _ in range(30):
        out = ended(world, out[0])
        started.update(teams(out))
    assert started == {"bob": 30}


def test_a_team_below_its_minimum_goes_first_and_lends_what_it_does_not_use() -> None:
    world = shared(4, ada=TeamPolicy(weight=100), bob=TeamPolicy(min_slots=2))
    world.start("ada/many", all_partitions=True)
    out = world.cycle()
    assert teams(out) == ["ada"] * 4
    world.start("bob/many", all_partitions=True)
    first, second = ended(world, out[0]), ended(world, out[1])
    assert teams([*first, *second]) == ["bob", "bob"]
    assert teams(ended(world, out[2])) == ["ada"]


def test_runs_of_one_queue_take_turns_and_a_new_one_need_not_wait_for_the_old_one() -> None:
    world = World(manifest("ada", asset("a", partitions=SOME), asset("b", partitions=SOME)))
    world.beat("ada", slots=1)
    old = world.start("a", all_partitions=True)
    out = world.cycle()
    for _ in range(20):
        out = ended(world, out[0])
    new = world.start("b", all_partitions=True)
    started = []
    for _ in range(20):
        out = ended(world, out[0])
        started.append(out[0].step.run)
    assert Counter(id(run) for run in started) == {id(old): 10, id(new): 10}


def test_queues_of_one_location_take_turns_for_its_slots() -> None:
    queues = (Queue("default"), Queue("mail"))
    world = World(
        manifest("ada", asset("a", partitions=SOME), asset("m", partitions=SOME, queue="mail"), queues=queues)
    )
    world.beat("ada", slots=1, queues=("default", "mail"))
    world.start("a", all_partitions=True)
    world.start("m", all_partitions=True)
    out, started = world.cycle(), Counter[str]()
    for _ in range(40):
        out = ended(world, out[0])
        started[out[0].step.queue] += 1
    assert started == {"default": 20, "mail": 20}


def test_a_band_that_is_passed_over_rises_until_it_is_served() -> None:
    world = World(manifest("ada", asset("high", partitions=SOME, priority=3), asset("low")))
    world.beat("ada", slots=1)
    world.start("high", all_partitions=True)
    low = world.start("low")
    out = world.cycle()
    for _ in range(3):
        assert states(low) == ["ready"]
        out = ended(world, out[0])
        world.now += AGEING - timedelta(seconds=1)
        world.beat("ada", slots=1)
    out = ended(world, out[0])
    assert states(low) == ["ready"]
    world.now += timedelta(seconds=3)
    world.beat("ada", slots=1)
    ended(world, out[0])
    assert states(low) == ["dispatched"]


def big(world: World) -> Group:
    """The group that needs several slots."""
    lines = world.snapshot.backlog.lines.values()
    return next(group for line in lines for group in line.groups() if any(slots > 1 for _, slots in group.needs))


def crowded() -> tuple[World, Run, list[Attempt]]:
    """A pool of four slots full of steps that take one, and a step that needs three."""
    made = asset("small", partitions=SOME, pools=(PoolUse("dw"),)), asset("large", pools=(PoolUse("dw", 3),))
    world = World(manifest("ada", *made, pools=(Pool("dw", 4),)))
    world.beat("ada", slots=50)
    world.start("small", all_partitions=True)
    out = world.cycle()
    large = world.start("large")
    world.cycle()
    return world, large, out


def test_a_step_that_needs_many_slots_is_not_passed_over_for_ever() -> None:
    world, large, out = crowded()
    for _ in range(20):
        out = [*out[1:], *ended(world, out[0])]
    assert states(large) == ["ready"]
    world.now += AGEING
    world.beat("ada", slots=50)
    for _ in range(4):
        fresh = ended(world, out[0])
        out = [*out[1:], *fresh]
    assert states(large) == ["dispatched"]
    assert world.snapshot.limits.get(("pool", "ada/dw")).used <= 4


def test_slots_are_not_kept_for_a_step_that_something_else_holds_up() -> None:
    world, large, out = crowded()
    world.now += AGEING
    world.beat("ada", slots=50)
    out = [*out[1:], *ended(world, out[0])]
    assert big(world).hungry_since is not None
    set_to(world, "run", large.id, paused=1)
    fresh = ended(world, out[0])
    assert [attempt.step.computation for attempt in fresh] == ["small", "small"]


def test_what_was_kept_for_a_step_that_leaves_goes_to_those_that_were_refused_for_it() -> None:
    smalls = asset("small", partitions=SOME, pools=(PoolUse("dw"),), priority=9)
    world = World(manifest("ada", smalls, asset("large", pools=(PoolUse("dw", 3),)), pools=(Pool("dw", 4),)))
    world.beat("ada", slots=50)
    world.start("small", all_partitions=True)
    out = world.cycle()
    large = world.start("large")
    world.cycle()
    world.now += AGEING
    world.beat("ada", slots=50)
    out = [*out[1:], *ended(world, out[0])]
    assert ended(world, out[0]) == ended(world, out[1]) == []
    world.snapshot.cancel_step(large.steps[0], world.now, "on request")
    assert [attempt.step.computation for attempt in world.cycle()] == ["small", "small"]


def test_slots_beside_those_that_are_kept_go_out_meanwhile() -> None:
    smalls = asset("small", partitions=SOME, pools=(PoolUse("dw"),), priority=9)
    world = World(manifest("ada", smalls, asset("large", pools=(PoolUse("dw", 3),)), pools=(Pool("dw", 4),)))
    world.beat("ada", slots=50)
    world.start("small", all_partitions=True)
    out = world.cycle()
    large = world.start("large")
    world.cycle()
    world.now += AGEING
    world.beat("ada", slots=50)
    out = [*out[1:], *ended(world, out[0])]
    world.begin(*out)
    world.finish(*out)
    assert [attempt.step.computation for attempt in world.cycle()] == ["small", "large"]
    assert states(large) == ["dispatched"]


def test_who_spreads_its_steps_over_many_queues_gets_no_more_turns() -> None:
    queues = tuple(Queue(f"q{number}") for number in range(40))
    spread = [asset(f"ada/{queue.name}", partitions=SOME, pools=(PoolUse("dw"),), queue=queue.name) for queue in queues]
    world = World(
        manifest("ada", *spread, queues=queues),
        manifest("bob", asset("bob/many", partitions=SOME, pools=(PoolUse("dw"),))),
        platform=PlatformLimits({}, {"dw": Pool("dw", 1)}),
    )
    world.beat("ada", "w-ada", slots=5, queues=tuple(queue.name for queue in queues))
    world.beat("bob", "w-bob", slots=5)
    world.start("*", all_partitions=True)
    out, started = world.cycle(), Counter[str]()
    for _ in range(120):
        world.now += timedelta(seconds=20)
        world.beat("ada", "w-ada", slots=5, queues=tuple(queue.name for queue in queues))
        world.beat("bob", "w-bob", slots=5)
        out = ended(world, out[0])
        started.update(teams(out))
    assert started == {"ada": 60, "bob": 60}


@pytest.mark.parametrize(("kind", "name"), [("queue", "ada/default"), ("pool", "ada/dw"), ("team", "ada")])
def test_what_is_paused_starts_nothing_and_ends_what_runs(kind: str, name: str) -> None:
    world, _, out = crowded()
    set_to(world, kind, name, paused=1)
    for attempt in out:
        assert ended(world, attempt) == []
    use_overrides(world.snapshot, [], world.now)
    assert len(world.cycle()) >= 2


def test_lowering_drains_and_raising_lets_more_out_at_once() -> None:
    world, _, out = crowded()
    set_to(world, "pool", "ada/dw", concurrency=2)
    assert len(live(world.snapshot)) == 4
    assert ended(world, out[0]) == ended(world, out[1]) == []
    assert len(ended(world, out[2])) == 1
    set_to(world, "pool", "ada/dw", concurrency=7)
    assert sum(slots for a in [*world.cycle()] for _, slots in a.step.holding.needs[2:]) == 5


def test_a_pool_that_nobody_declares_lets_nobody_out_until_someone_does() -> None:
    world = World(manifest("ada", asset("a", pools=(PoolUse("later"),))))
    world.beat("ada")
    world.start("a")
    assert world.cycle() == []
    set_to(world, "pool", "ada/later", concurrency=1)
    assert len(world.cycle()) == 1


def looks_of(world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many heads a cycle looks at in which nothing can start."""
    seen = 0
    plain = Group.first_line

    def counted(group: Group) -> object:
        nonlocal seen
        seen += 1
        return plain(group)

    with monkeypatch.context() as patch:
        patch.setattr(Group, "first_line", counted)
        assert world.cycle() == []
    return seen


def test_a_cycle_looks_at_as_many_heads_with_ten_thousand_waiting_as_with_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = []
    for keys in (StaticPartitions(("1", "2", "3", "4", "5")), MANY):
        world = shared(1, keys)
        world.start("ada/many", all_partitions=True)
        world.start("bob/many", all_partitions=True)
        world.cycle()
        beat(world)
        looks.append(looks_of(world, monkeypatch))
    assert looks[0] == looks[1] <= 2
