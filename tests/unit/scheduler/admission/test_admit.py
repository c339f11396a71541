"""Admission and dispatch: a step starts when everything it needs is there, and holds nothing while it waits."""

from __future__ import annotations

from support.scheduling import World, asset, chunks, live, manifest, multi, published, states

from hedgerow.manifest.model import Dependency, Queue
from hedgerow.partitions.model import StaticPartitions
from hedgerow.protocol.references import Reference

MANY = StaticPartitions(tuple(f"p{number}" for number in range(10)))


def names(attempts: list[object]) -> list[str]:
    return [attempt.step.computation for attempt in attempts]  # type: ignore[attr-defined]


def test_without_workers_nothing_starts_and_nothing_is_lost() -> None:
    world = World(manifest("sales", asset("a")))
    run = world.start("a")
    assert world.cycle() == []
    assert states(run) == ["ready"]
    world.beat("sales")
    assert names(world.cycle()) == ["a"]


def test_no_more_starts_than_there_are_slots() -> None:
    world = World(manifest("sales", asset("a", partitions=MANY)))
    world.beat("sales", slots=3)
    world.start("a", all_partitions=True)
    first = world.cycle()
    assert len(first) == 3
    assert world.cycle() == []
    world.begin(first[0])
    world.finish(first[0])
    assert len(world.cycle()) == 1


def test_the_queues_own_limit_holds_however_many_slots_there_are() -> None:
    world = World(manifest("sales", asset("a", partitions=MANY), queues=(Queue("default", concurrency=2),)))
    world.beat("sales", slots=50)
    world.start("a", all_partitions=True)
    assert len(world.cycle()) == 2


def test_a_queue_that_lets_nothing_through_holds_everything() -> None:
    world = World(manifest("sales", asset("a"), queues=(Queue("default", concurrency=0),)))
    world.beat("sales")
    world.start("a")
    assert world.cycle() == []


def test_two_queues_share_the_slots_of_workers_that_serve_both() -> None:
    world = World(manifest("sales", asset("a", partitions=MANY), asset("h", partitions=MANY, queue="heavy")))
    world.beat("sales", slots=3, queues=("default", "heavy"))
    world.start("a h", all_partitions=True)
    assert len(world.cycle()) == 3


def test_queues_that_share_slots_share_them_by_priority_then_take_turns() -> None:
    many, urgent = asset("a", partitions=MANY), asset("h", queue="heavy", priority=5)
    world = World(manifest("sales", many, urgent, asset("k", queue="heavy")))
    world.beat("sales", slots=2, queues=("default", "heavy"))
    world.start("a", all_partitions=True)
    world.after(seconds=1)
    world.start("h k")
    first = world.cycle()
    assert sorted(names(first)) == ["a", "h"]
    world.begin(*first)
    world.finish(*first)
    assert sorted(names(world.cycle())) == ["a", "k"]


def test_a_full_queue_of_high_priority_leaves_the_slots_to_the_others() -> None:
    made = asset("a", partitions=MANY), asset("h", partitions=MANY, queue="heavy", priority=5)
    world = World(manifest("sales", *made, queues=(Queue("heavy", concurrency=1),)))
    world.beat("sales", slots=3, queues=("default", "heavy"))
    world.start("a h", all_partitions=True)
    assert sorted(names(world.cycle())) == ["a", "a", "h"]


def test_a_queue_that_no_worker_serves_waits_and_does_not_hold_up_the_other() -> None:
    world = World(manifest("sales", asset("a"), asset("h", queue="heavy")))
    world.beat("sales", slots=3)
    run = world.start("a h")
    assert names(world.cycle()) == ["a"]
    assert states(run) == ["dispatched", "ready"]


def test_a_draining_worker_is_given_nothing() -> None:
    world = World(manifest("sales", asset("a")))
    world.beat("sales", state="draining")
    world.start("a")
    assert world.cycle() == []
    world.beat("sales", "w2")
    assert names(world.cycle()) == ["a"]


def test_steps_are_bound_to_the_newest_manifest_that_has_live_slots() -> None:
    old, new = manifest("sales", asset("a"), asset("b")), manifest("sales", asset("a"), asset("b", "a"))
    world = World(old)
    world.beat("sales", "w1")
    world.start("a")
    world.send("sales", *chunks(new))
    (first,) = world.cycle()
    assert first.manifest_hash == published(old).hash
    world.beat("sales", "w2")
    world.start("b")
    (second,) = world.cycle()
    assert second.manifest_hash == published(new).hash


def test_one_team_without_workers_does_not_hold_up_another() -> None:
    world = World(manifest("sales", asset("a")), manifest("ml", asset("m")))
    world.beat("ml")
    world.start("a m")
    assert names(world.cycle()) == ["m"]


# -- one live attempt per asset and partition ---------------------------------------------------------------------------


def test_the_same_partition_is_made_by_one_attempt_at_a_time() -> None:
    world = World(manifest("sales", asset("a", partitions=MANY)))
    world.beat("sales", slots=9)
    first, second = world.start("a", partitions=("p1",)), world.start("a", partitions=("p1", "p2"))
    started = world.cycle()
    assert [(attempt.step.run, attempt.step.partition) for attempt in started] == [(first, "p1"), (second, "p2")]
    assert world.cycle() == []
    world.begin(started[0])
    world.finish(started[0])
    assert [(attempt.step.run, attempt.step.partition) for attempt in world.cycle()] == [(second, "p1")]


def test_a_parked_step_is_released_however_the_other_ends() -> None:
    for end in ("user_error", "runner_lost", "interrupted", "cancelled"):
        world = World(manifest("sales", asset("a")))
        world.beat("sales", slots=9)
        world.start("a")
        second = world.start("a")
        (attempt,) = world.cycle()
        world.begin(attempt)
        world.fail(attempt, end)  # type: ignore[arg-type]
        for other in world.cycle():
            world.begin(other)
            world.finish(other)
        world.cycle()
        assert states(second) != ["ready"], end


def test_all_or_nothing_a_step_takes_no_lock_while_one_of_its_assets_is_being_made() -> None:
    both, left, right = multi(("x", "y"), subset=True), asset("l"), asset("r")
    world = World(manifest("sales", both, left, right))
    world.beat("sales", slots=9)
    world.start("x")
    whole = world.start("x y")
    world.start("y")
    started = world.cycle()
    assert [attempt.step.assets for attempt in started] == [("x",), ("y",)]
    assert set(world.snapshot.locks) == {("x", ""), ("y", "")}
    for attempt in started:
        assert states(whole) == ["ready"]
        world.begin(attempt)
        world.finish(attempt)
        again = world.cycle()
    assert [attempt.step.run for attempt in again] == [whole]


def test_a_step_given_up_at_dispatch_releases_those_that_waited_for_it() -> None:
    made = asset("a", Dependency("raw", parameter="raw"))
    world = World(manifest("sales", made, asset("raw")))
    world.beat("sales", slots=9)
    first, second = world.start("a"), world.start("a")
    assert world.cycle() == []
    world.cycle()
    assert (states(first), states(second)) == (["failed"], ["failed"])
    error = first.steps[0].error
    assert error is not None
    assert (error.code, "leading '+'" in error.remedy) == ("HR-Q023", True)


# -- what a step needs -------------------------------------------------------------------------------------------------


def test_a_definition_that_has_vanished_fails_with_its_code() -> None:
    world = World(manifest("sales", asset("a"), asset("b")))
    run = world.start("a b")
    world.send("sales", *chunks(manifest("sales", asset("b"))))
    world.beat("sales")
    assert names(world.cycle()) == ["b"]
    assert states(run) == ["failed", "dispatched"]
    error = run.steps[0].error
    assert error is not None
    assert (error.code, "declares a," in error.message) == ("HR-Q012", True)


def test_a_step_that_only_older_code_declares_runs_on_the_workers_that_still_serve_it() -> None:
    old, new = manifest("sales", asset("a", partitions=MANY), asset("b")), manifest("sales", asset("b"))
    world = World(old)
    world.beat("sales", "w1", slots=2)
    world.start("a", all_partitions=True)
    world.after(seconds=1)
    world.start("b")
    world.send("sales", *chunks(new))
    world.beat("sales", "w2", slots=9)
    bound = [(attempt.step.computation, attempt.manifest_hash) for attempt in world.cycle()]
    assert sorted(bound) == [("a", published(old).hash)] * 2 + [("b", published(new).hash)]
    assert world.cycle() == []


def test_a_step_that_only_the_code_in_force_declares_waits_for_its_workers() -> None:
    old, new = manifest("sales", asset("b")), manifest("sales", asset("a"), asset("b"))
    world = World(old)
    world.beat("sales", "w1")
    world.send("sales", *chunks(new))
    run = world.start("a")
    assert world.cycle() == []
    assert states(run) == ["ready"]
    world.beat("sales", "w2")
    assert [attempt.manifest_hash for attempt in world.cycle()] == [published(new).hash]


def test_a_step_that_waits_for_code_fails_when_that_is_taken_back() -> None:
    old, new = manifest("sales", asset("b")), manifest("sales", asset("a"), asset("b"))
    world = World(old)
    world.beat("sales", "w1")
    world.send("sales", *chunks(new))
    run = world.start("a")
    world.cycle()
    world.send("sales", *chunks(manifest("sales", asset("b"), asset("c"))))
    world.cycle()
    assert states(run) == ["failed"]


def test_an_asset_that_moved_to_another_step_has_vanished_from_the_old_one() -> None:
    world = World(manifest("sales", multi(("x", "y"))))
    run = world.start("x")
    world.send("sales", *chunks(manifest("sales", multi(("x",)), asset("y"))))
    world.beat("sales")
    assert world.cycle() == []
    assert states(run) == ["failed"]


def test_an_upstream_that_nobody_declares_is_waited_for_until_its_manifest_arrives() -> None:
    world = World(manifest("sales", asset("a", "raw/x")))
    world.beat("sales")
    run = world.start("a")
    assert world.cycle() == []
    assert states(run) == ["ready"]
    world.send("raw", *chunks(manifest("raw", asset("raw/other"))))
    assert world.cycle() == []
    world.send("raw", *chunks(manifest("raw", asset("raw/x"), asset("raw/other"))))
    assert names(world.cycle()) == ["a"]


def test_an_optional_upstream_that_nobody_declares_is_not_waited_for() -> None:
    world = World(manifest("sales", asset("a", Dependency("raw/x", optional=True))))
    world.beat("sales")
    world.start("a")
    assert names(world.cycle()) == ["a"]


def test_an_input_that_a_check_holds_back_is_waited_for_until_it_is_current() -> None:
    world = World(manifest("sales", asset("raw"), asset("a", Dependency("raw", parameter="raw"))))
    world.beat("sales", slots=9)
    run = world.start("a")
    world.held_back = frozenset({("raw", "")})
    assert world.cycle() == []
    assert world.cycle() == []
    assert states(run) == ["ready"]
    world.held_back, world.stored = frozenset(), {("raw", ""): Reference("file:///raw", "json")}
    world.start("raw")
    (raw,) = world.cycle()
    assert raw.step.computation == "raw"
    world.begin(raw)
    world.finish(raw)
    assert names(world.cycle()) == ["a"]


def test_a_dispatched_attempt_is_numbered_and_must_be_started_in_time() -> None:
    world = World(manifest("sales", asset("a"), asset("b")))
    world.beat("sales", slots=2)
    world.start("a b")
    first, second = world.cycle()
    assert second.dispatch_seq == first.dispatch_seq + 1
    assert (first.number, first.step.attempt, first.step.attempt_id) == (1, 1, first.id)
    assert first.start_before > world.now
    assert live(world.snapshot) == [first, second]
    changes, _ = world.recorded()
    assert changes.new_attempts == [first, second]
