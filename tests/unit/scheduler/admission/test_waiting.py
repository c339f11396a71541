"""Why a step waits: each cause from the facts that make it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hedgerow.errors import Problem
from hedgerow_scheduler.admission.waiting import explain_asset, explain_step, explain_unplanned
from hedgerow_scheduler.admission.waiting_facts import (
    AssetFacts,
    BlockedInput,
    Holder,
    LocationFact,
    QueueFact,
    StepFacts,
    UpstreamStep,
    WorkerFact,
)

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOLDER = Holder("run-b", 7, ("sales/orders",), "2024-01-01", "running", NOW)
IDLE_QUEUE = QueueFact(None, 0, 0, ())
WORKER = WorkerFact("w1", "sales", "ready", 2, 0, "0" * 64, ("default",), 1.0)


def facts(**more: Any) -> StepFacts:
    """A ready step that nothing holds, but for `more`."""
    values: dict[str, Any] = {
        "now": NOW, "run_id": "run-a", "number": 3, "state": "ready", "team": "sales", "location": "sales",
        "queue": "default", "assets": ("sales/orders",), "partition": "", "attempt": 0, "not_before": None,
        "started_at": None, "error": None, "cancel_requested": False, "leader_stale_s": 0.5, "upstream": (),
        "queue_fact": IDLE_QUEUE, "same_output": (), "workers": (WORKER,),
        "locations": (LocationFact("sales", "0" * 64, ()),), "declared": True, "unresolved": (), "blocked": (),
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


def test_a_full_queue_says_who_holds_it_and_how_many_are_ahead() -> None:
    text = told(facts(queue_fact=QueueFact(1, 1, 4, (HOLDER,))))["queue_concurrency"]
    assert "sales/default is full, 1/1, held by run-b/7 sales/orders[2024-01-01]" in text
    assert "4 ready steps are ahead" in text


def test_a_queue_below_its_limit_holds_nothing() -> None:
    assert list(told(facts(queue_fact=QueueFact(2, 1, 0, (HOLDER,))))) == ["next"]


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
    text = told(facts(workers=(busy,), queue_fact=QueueFact(None, 1, 0, (HOLDER,))))["slots_busy"]
    assert "1/1, by run-b/7" in text


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
    assert "undeclared" in told(facts(declared=False))


def test_a_scheduler_that_does_not_run_is_the_first_cause() -> None:
    found = told(facts(leader_stale_s=75.0, workers=()))
    assert next(iter(found)) == "scheduler_down"
    assert "1 m 15 s ago" in found["scheduler_down"]
    assert "scheduler_down" in told(facts(leader_stale_s=None))
    assert [cause.kind for cause in explain_unplanned(None)] == ["scheduler_down"]
    assert [cause.kind for cause in explain_unplanned(0.1)] == ["not_planned"]


def test_running_dispatched_and_ended_steps_have_one_answer() -> None:
    assert "attempt 2" in told(facts(state="running", attempt=2, started_at=NOW))["running"]
    assert list(told(facts(state="dispatched", unresolved=("x",)))) == ["dispatched"]
    failed = told(facts(state="failed", error=Problem("HR-X001", "no", "")))
    assert "HR-X001: no" in failed["ended"]
    assert "hedgerow run retry run-a" in failed["ended"]


def asset_facts(**more: Any) -> AssetFacts:
    values: dict[str, Any] = {
        "asset": "sales/orders", "partition": None, "team": "sales", "external": False, "partitioned": False,
        "current": 0, "last_run_id": None, "last_number": None, "last_state": None, "last_error": None,
        "upstream_missing": (), "unresolved": (),
    }  # fmt: skip
    return AssetFacts(**values | more)


def test_an_idle_asset_says_its_last_run_what_it_has_and_what_is_missing() -> None:
    never = explain_asset(asset_facts(upstream_missing=("raw/orders",)))
    assert [cause.kind for cause in never] == ["never_run", "no_data", "upstream"]
    done = explain_asset(asset_facts(last_run_id="run-a", last_number=0, last_state="succeeded", current=1))
    assert [cause.kind for cause in done] == ["last_run", "has_data"]
    assert [cause.kind for cause in explain_asset(asset_facts(external=True))] == ["external"]
