"""Why a step waits: each cause from the facts that make it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hedgerow.errors import Problem
from hedgerow_scheduler.admission.estimates import estimate
from hedgerow_scheduler.admission.waiting import explain_asset, explain_step, explain_unplanned
from hedgerow_scheduler.admission.waiting_facts import (
    AssetFacts,
    BlockedInput,
    Holder,
    LimitFact,
    LocationFact,
    Pace,
    SlotsFact,
    StepFacts,
    UpstreamStep,
    WorkerFact,
)
from hedgerow_scheduler.limits.limit import Values
from hedgerow_scheduler.planning.rules import Override

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOLDER = Holder("run-b", 7, "sales", ("sales/orders",), "2024-01-01", "running", NOW - timedelta(minutes=4))
WORKER = WorkerFact("w1", "sales", "ready", 2, 0, "0" * 64, ("default",), 1.0)


def facts(**more: Any) -> StepFacts:
    """A ready step that nothing holds, but for `more`."""
    values: dict[str, Any] = {
        "now": NOW, "run_id": "run-a", "number": 3, "state": "ready", "team": "sales", "location": "sales",
        "queue": "default", "assets": ("sales/orders",), "partition": "", "attempt": 0, "not_before": None,
        "started_at": None, "error": None, "cancel_requested": False, "leader_stale_s": 0.5, "upstream": (),
        "limits": (), "ahead": 0, "ready": 1, "pace": Pace(), "slots": SlotsFact(), "same_output": (), "workers": (WORKER,),
        "locations": (LocationFact("sales", "0" * 64, ()),), "declared": True, "code_served": True, "unresolved": (), "blocked": (),
    }  # fmt: skip
    return StepFacts(**values | more)


def told(step: StepFacts) -> dict[str, str]:
    return {cause.kind: f"{cause.text} {cause.remedy}" for cause in explain_step(step)}


def test_a_step_that_nothing_holds_starts_in_a_moment() -> None:
    assert list(told(facts())) == ["next"]


def test_a_waiting_step_names_the_upstream_steps_that_have_not_succeeded() -> None:
    upstream = tuple(UpstreamStep(n, "sales/raw", f"d{n}", "succeeded" if n == 0 else "ready") for n in range(6))
    text = told(facts(state="waiting", upstream=upstream))["upstream"]
    assert "5 upstream steps" in text
    assert "1 sales/raw[d1] (ready)" in text
    assert "and 2 more" in text
    assert "d0" not in text


def test_a_retry_says_when_and_after_what() -> None:
    error = Problem("HR-X001", "ValueError: no", "")
    text = told(facts(state="retry_wait", attempt=1, not_before=NOW + timedelta(seconds=90), error=error))["retry_wait"]
    assert text.startswith("Attempt 2 comes in 1 m 30 s, at 2024-05-01T12:01:30")
    assert "HR-X001: ValueError: no" in text


def limit(kind: str = "queue", name: str = "sales/default", **more: Any) -> LimitFact:
    """A limit without numbers, but for `more`; `concurrency`, `rate` and `paused` are what it is set to."""
    values = Values(**{field: more.pop(field) for field in ("concurrency", "rate", "paused") if field in more})
    return LimitFact(kind=kind, name=name, values=values, **more)  # type: ignore[arg-type]


def override(field: str, value: float | None, **more: Any) -> Override:
    return Override("pool", "snowflake", field, value, "ada", "month end", NOW - timedelta(minutes=4), **more)


def test_a_full_queue_says_who_holds_it_how_many_come_first_and_when_it_starts() -> None:
    full = limit(concurrency=1, in_use=1, ahead=4, holders=(HOLDER,), pace=Pace(mean_s=8.0))
    text = told(facts(limits=(full,)))["queue_concurrency"]
    assert "sales/default is full, 1/1, held by run-b/7 sales/orders[2024-01-01] (1 slot, team sales, for 4 m" in text
    assert "4 steps come first; it starts in about 40.0 s" in text


def test_a_limit_below_its_bounds_holds_nothing() -> None:
    free = (limit(concurrency=2, in_use=1), limit("pool", "dw", rate=1.0, tokens=1.0, next_token_s=0.0))
    assert list(told(facts(limits=free))) == ["next"]


def test_every_limit_that_is_full_is_told_with_its_name_in_the_order_of_admission() -> None:
    limits = (
        limit(concurrency=1, in_use=1, holders=(HOLDER,)),
        limit("team", "sales", concurrency=3, in_use=3, holders=(HOLDER,)),
        limit("run", "run-a", concurrency=1, in_use=1, holders=(HOLDER,)),
        limit("pool", "snowflake", concurrency=8, in_use=7, slots=2, holders=(HOLDER,)),
        limit("key", "sales/account=42", concurrency=1, in_use=1, holders=(HOLDER,)),
    )
    found = told(facts(limits=limits, workers=()))
    assert list(found) == [
        "queue_concurrency", "team_slots", "no_workers", "run_concurrency", "pool_slots", "key_concurrency"
    ]  # fmt: skip
    assert "Team sales is full, 3/3" in found["team_slots"]
    assert "Pool snowflake has 1 of 8 slots free and the step needs 2" in found["pool_slots"]
    assert "Key limit sales/account of '42' is full, 1/1" in found["key_concurrency"]
    assert all("held by run-b/7" in found[kind] for kind in ("team_slots", "run_concurrency", "pool_slots"))


def test_a_rate_tells_what_is_left_of_it_and_when_the_turn_comes() -> None:
    slow = limit("pool", "snowflake", rate=5.0, tokens=0.2, next_token_s=0.16, ahead=10)
    text = told(facts(limits=(slow,)))["pool_rate"]
    assert "starts 5/s at most, 0.2 tokens are left, the next start in 160 ms; 10 steps come first" in text
    assert "it starts in about 2.2 s" in text
    stopped = limit("pool", "snowflake", rate=0.0, tokens=0.0)
    assert "starts nothing: its rate is 0" in told(facts(limits=(stopped,)))["pool_rate"]


def test_a_pause_names_who_why_and_until_when() -> None:
    until = NOW + timedelta(hours=1)
    pause = limit("pool", "snowflake", paused=True, overrides=(override("paused", 1.0, expires_at=until),))
    text = told(facts(limits=(pause,)))["paused"]
    assert 'Pool snowflake is paused by ada, 4 m 00 s ago: "month end", until 2024-05-01T13:00:00+00:00.' in text
    assert "`hedgerow limits clear pool snowflake paused --reason …`" in text


def test_a_limit_that_an_operator_changed_says_so() -> None:
    lowered = limit(
        "pool", "snowflake", concurrency=4, in_use=6, declared=Values(8), overrides=(override("concurrency", 4.0),)
    )
    assert 'is full, 6/4 (set from 8 to 4 by ada: "month end")' in told(facts(limits=(lowered,)))["pool_slots"]


def test_a_need_that_can_never_be_met_says_what_to_do() -> None:
    small = told(facts(limits=(limit("pool", "gpu", concurrency=2, slots=4),)))["pool_slots"]
    assert "Pool gpu has 2 slots, and the step needs 4: it can't start until there are more." in small
    assert "hedgerow limits set pool gpu --concurrency 4" in small
    nobody = told(facts(limits=(limit("pool", "sales/dw", concurrency=0, known=False),)))["pool_slots"]
    assert "Pool 'dw' is declared by nobody" in nobody
    assert 'hr.pool("dw"' in nobody


def test_a_step_that_only_its_turn_holds_up_says_how_many_come_first() -> None:
    assert "3 steps come first" in told(facts(ahead=3))["turn"]


def test_workers_with_older_code_are_told_from_those_that_are_missing() -> None:
    assert list(told(facts(code_served=False))) == ["no_code"]


def test_another_attempt_at_the_same_output_is_named_with_its_run() -> None:
    assert "run-b/7 is making sales/orders now" in told(facts(same_output=(HOLDER,)))["same_output"]


def test_a_queue_without_workers_says_what_to_start() -> None:
    text = told(facts(workers=()))["no_workers"]
    assert "No live worker serves queue sales/default" in text
    assert "hedgerow worker PATH" in text


def test_workers_of_other_queues_or_locations_do_not_count() -> None:
    other_queue = WorkerFact("w2", "sales", "ready", 2, 0, "0" * 64, ("heavy",), 1.0)
    other_place = WorkerFact("w3", "sales-eu", "ready", 2, 0, "0" * 64, ("default",), 1.0)
    assert "2 live workers none serves it" in told(facts(workers=(other_queue, other_place)))["no_workers"]


def test_workers_that_are_not_warm_take_nothing_yet() -> None:
    starting = WorkerFact("w1", "sales", "starting", 2, 0, "0" * 64, ("default",), 1.0)
    assert "(starting)" in told(facts(workers=(starting,)))["workers_starting"]


def test_workers_with_code_that_was_refused_are_told_apart_from_none() -> None:
    refused = WorkerFact("w1", "sales", "ready", 2, 0, "1" * 64, ("default",), 1.0, accepted=False)
    text = told(facts(workers=(refused,)))["refused_code"]
    assert "The code that the worker of queue sales/default has loaded is not in force." in text
    assert "hedgerow team show sales" in text
    assert list(told(facts(workers=(refused, WORKER)))) == ["next"]


def test_busy_slots_say_who_has_them() -> None:
    busy = WorkerFact("w1", "sales", "ready", 1, 1, "0" * 64, ("default",), 1.0)
    text = told(facts(workers=(busy,), slots=SlotsFact(1, 1, (HOLDER,))))["slots_busy"]
    assert "1/1, by run-b/7" in text


def test_slots_that_other_queues_of_the_location_have_are_busy_too() -> None:
    one = WorkerFact("w1", "sales", "ready", 1, 1, "0" * 64, ("default", "heavy"), 1.0)
    text = told(facts(workers=(one,), slots=SlotsFact(0, 1, (), (HOLDER,))))["slots_busy"]
    assert "by run-b/7" in text


def test_an_unresolved_upstream_names_the_key() -> None:
    assert "'fx/rates' is declared by no team" in told(facts(unresolved=("fx/rates",)))["unresolved"]


def test_a_rejected_upstream_names_the_check_and_the_run() -> None:
    blocked = BlockedInput("raw/orders", "not_empty", "d1", "run-z")
    text = told(facts(blocked=(blocked,)))["blocked_by_check"]
    assert "raw/orders[d1]" in text
    assert "'not_empty' failed in run run-z" in text


def test_broken_code_is_shown_with_its_place_and_does_not_hide_other_causes() -> None:
    broken = LocationFact("sales", "0" * 64, (Problem("HR-X004", "boom", "", "a.py", 3),))
    found = told(facts(locations=(broken,), workers=()))
    assert list(found) == ["location_failed", "no_workers"]
    assert "HR-X004 boom (a.py:3)" in found["location_failed"]


def test_a_location_that_never_published_and_a_definition_that_vanished_are_told_apart() -> None:
    assert "no_manifest" in told(facts(locations=()))
    assert "undeclared" in told(facts(declared=False, code_served=False))


def test_a_scheduler_that_does_not_run_is_the_first_cause() -> None:
    found = told(facts(leader_stale_s=75.0, workers=()))
    assert next(iter(found)) == "scheduler_down"
    assert "1 m 15 s ago" in found["scheduler_down"]
    assert "scheduler_down" in told(facts(leader_stale_s=None))
    assert [cause.kind for cause in explain_unplanned(None)] == ["scheduler_down"]
    assert [cause.kind for cause in explain_unplanned(0.1)] == ["planning"]


def test_running_dispatched_and_ended_steps_have_one_answer() -> None:
    assert "attempt 2" in told(facts(state="running", attempt=2, started_at=NOW))["running"]
    assert list(told(facts(state="dispatched", unresolved=("x",)))) == ["dispatch"]
    failed = told(facts(state="failed", error=Problem("HR-X001", "no", "")))
    assert "HR-X001: no" in failed["ended"]
    assert "hedgerow run retry run-a" in failed["ended"]


def asset_facts(**more: Any) -> AssetFacts:
    values: dict[str, Any] = {
        "asset": "sales/orders", "partition": None, "team": "sales", "external": False, "partitioned": False,
        "current": 0, "last_run_id": None, "last_number": None, "last_state": None, "last_error": None,
        "upstream_missing": (), "unresolved": (), "held_back": "",
    }  # fmt: skip
    return AssetFacts(**values | more)


def test_an_idle_asset_says_its_last_run_what_it_has_and_what_is_missing() -> None:
    never = explain_asset(asset_facts(upstream_missing=("raw/orders",)))
    assert [cause.kind for cause in never] == ["never_run", "no_data", "upstream"]
    done = explain_asset(asset_facts(last_run_id="run-a", last_number=0, last_state="succeeded", current=1))
    assert [cause.kind for cause in done] == ["last_run", "has_data"]
    assert [cause.kind for cause in explain_asset(asset_facts(external=True))] == ["external"]


def test_an_asset_whose_newest_output_is_held_back_says_so_and_how_to_check_it_again() -> None:
    held = explain_asset(asset_facts(partitioned=True, partition="2026-01-05", held_back="rejected", current=1))
    assert [cause.kind for cause in held] == ["never_run", "has_data", "held_back"]
    assert "rejected by a blocking check" in held[-1].text
    assert "--partition '2026-01-05' --checks-only" in held[-1].remedy
    unchecked = explain_asset(asset_facts(held_back="unchecked"))
    assert "has not passed its checks yet" in unchecked[-1].text


def test_a_step_starts_when_the_last_of_its_causes_lets_it_go() -> None:
    full = limit(concurrency=1, in_use=1, pace=Pace(mean_s=8.0))
    slow = limit("pool", "dw", rate=0.1, tokens=0.0, next_token_s=9.0)
    expected = estimate(explain_step(facts(limits=(full, slow))), NOW)
    assert (expected.at, expected.text) == (NOW + timedelta(seconds=9), "It starts in about 9.0 s.")


def test_what_nobody_can_tell_is_said_with_its_reason() -> None:
    paused = limit("pool", "dw", paused=True)
    for about, why in (
        ({"limits": (paused,)}, "nobody said when the pause ends"),
        ({"workers": ()}, "no worker serves its queue"),
        ({"limits": (limit(concurrency=1, in_use=1),)}, "too little was measured"),
        ({"limits": (limit("pool", "gpu", concurrency=2, slots=4),)}, "it can't start as things are"),
    ):
        expected = estimate(explain_step(facts(**about)), NOW)
        assert expected.at is None
        assert why in expected.text
