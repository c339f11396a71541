"""Steps: which computations a request comes to, for which partitions, and which of them wait for which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import asset, catalog_of, external, manifest, multi, planned

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Dependency, KeyLimit
from hedgerow.partitions.model import All, Last, StaticPartitions, TimePartitions, Window
from hedgerow_scheduler.planning import steps as steps_module
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import PartitionRange, RunRequest
from hedgerow_scheduler.planning.steps import plan_steps

DAILY = TimePartitions("day", "2024-01-01")
WEEKLY = TimePartitions("week", "2024-01-01")
MONTHLY = TimePartitions("month", "2024-01")
COUNTRY = StaticPartitions(("se", "no", "dk"), dim="country")
DAY_AND_COUNTRY = DAILY * COUNTRY
MID_MARCH = datetime(2024, 3, 15, 12, tzinfo=UTC)

FLIGHTS = catalog_of(
    manifest("ingest", external("source"), asset("raw", "source", partitions=DAILY, queue="io", priority=7)),
    manifest("analytics", asset("days", "raw", partitions=DAILY), asset("months", "days", partitions=MONTHLY)),
    manifest("ml", asset("model", Dependency("days", mapping=All()))),
)


def edges(plan: tuple[PlannedStep, ...]) -> dict[str, list[str]]:
    """Each step as computation[partition], with those it waits for."""
    names = [f"{step.computation}[{step.partition}]" if step.partition else step.computation for step in plan]
    return {name: [names[number] for number in step.upstream] for name, step in zip(names, plan, strict=True)}


def refusal(*selection: str, catalog: Any = FLIGHTS, now: datetime = MID_MARCH, **request: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        planned(catalog, *selection, now=now, **request)
    return caught.value


def test_a_step_carries_its_team_queue_priority_and_assets() -> None:
    (step,) = planned(FLIGHTS, "raw", partitions=("2024-01-01",))
    assert step == PlannedStep(0, "ingest", "ingest", "io", 7, "raw", ("raw",), "2024-01-01", ())


def test_a_chain_waits_link_by_link_across_teams() -> None:
    assert edges(planned(FLIGHTS, "raw days model", partitions=("2024-01-01",))) == {
        "raw[2024-01-01]": [],
        "days[2024-01-01]": ["raw[2024-01-01]"],
        "model": ["days[2024-01-01]"],
    }


def test_what_is_not_in_the_run_is_not_waited_for() -> None:
    assert edges(planned(FLIGHTS, "model")) == {"model": []}
    assert edges(planned(FLIGHTS, "raw model", partitions=("2024-01-01",)))["model"] == []


def test_an_unpartitioned_asset_waits_for_every_day_of_the_run() -> None:
    plan = edges(planned(FLIGHTS, "days model", partition_range=PartitionRange("2024-01-01", "2024-01-05")))
    assert plan["model"] == [f"days[2024-01-0{day}]" for day in range(1, 6)]


def test_a_range_takes_both_ends() -> None:
    plan = planned(FLIGHTS, "raw", partition_range=PartitionRange("2024-01-30", "2024-02-02"))
    assert [step.partition for step in plan] == ["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02"]


def test_a_range_that_begins_before_an_asset_does_takes_the_part_that_the_asset_has() -> None:
    later = asset("later", "days", partitions=TimePartitions("day", "2024-02-01"))
    catalog = catalog_of(manifest("t", asset("days", partitions=DAILY), later))
    plan = planned(catalog, "days later", partition_range=PartitionRange("2024-01-30", "2024-02-02"))
    assert [step.partition for step in plan if step.computation == "later"] == ["2024-02-01", "2024-02-02"]


def test_all_partitions_are_those_that_are_complete() -> None:
    plan = planned(FLIGHTS, "days months", all_partitions=True, now=MID_MARCH)
    assert [step.partition for step in plan if step.computation == "months"] == ["2024-01", "2024-02"]
    assert [step.partition for step in plan if step.computation == "days"][-1] == "2024-03-14"
    assert plan[-1].upstream == tuple(range(31, 60))


def test_all_partitions_of_what_has_none_is_the_thing_itself() -> None:
    assert edges(planned(FLIGHTS, "model", all_partitions=True)) == {"model": []}


def test_days_bring_the_months_that_they_lie_in() -> None:
    plan = edges(planned(FLIGHTS, "days months", partitions=("2024-01-31", "2024-02-01")))
    assert plan["months[2024-01]"] == ["days[2024-01-31]"]
    assert plan["months[2024-02]"] == ["days[2024-02-01]"]


def test_a_month_brings_all_its_days() -> None:
    plan = planned(FLIGHTS, "days months", partitions=("2024-02",))
    assert [step.partition for step in plan] == [f"2024-02-{day:02}" for day in range(1, 30)] + ["2024-02"]
    assert plan[-1].upstream == tuple(range(29))


def test_days_and_months_may_be_asked_for_together() -> None:
    plan = planned(FLIGHTS, "days months", partitions=("2024-01-05", "2024-02"))
    assert [step.partition for step in plan if step.computation == "months"] == ["2024-01", "2024-02"]
    assert len([step for step in plan if step.computation == "days"]) == 30


def test_a_month_that_is_not_over_is_left_out_while_others_are_left() -> None:
    plan = planned(FLIGHTS, "days months", partitions=("2024-02-28", "2024-03-01"), now=MID_MARCH)
    assert [step.partition for step in plan] == ["2024-02-28", "2024-03-01", "2024-02"]


def test_a_month_that_is_not_over_is_refused_when_it_would_be_the_only_one() -> None:
    error = refusal("days months", partitions=("2024-03-01",))
    assert error.code == "HR-Q102"
    assert "2024-03" in str(error)


def test_days_bring_their_weeks_although_keys_of_weeks_look_like_days() -> None:
    catalog = catalog_of(manifest("a", asset("days", partitions=DAILY), asset("weeks", "days", partitions=WEEKLY)))
    plan = edges(planned(catalog, "*", partitions=("2024-01-01", "2024-01-10")))
    assert plan["weeks[2024-01-01]"] == ["days[2024-01-01]"]
    assert plan["weeks[2024-01-08]"] == ["days[2024-01-10]"]


def test_a_product_waits_key_by_key_and_sums_wait_for_the_whole_dimension() -> None:
    catalog = catalog_of(
        manifest(
            "a",
            asset("sales", partitions=DAY_AND_COUNTRY),
            asset("taxed", "sales", partitions=DAY_AND_COUNTRY),
            asset("per_day", "sales", partitions=DAILY),
        )
    )
    plan = edges(planned(catalog, "sales taxed", partition_range=PartitionRange("2024-01-01|se", "2024-01-02|no")))
    assert plan["taxed[2024-01-02|no]"] == ["sales[2024-01-02|no]"]
    assert len(plan) == 8
    whole = edges(planned(catalog, "sales per_day", partitions=("2024-01-02",)))
    assert whole["per_day[2024-01-02]"] == [f"sales[2024-01-02|{country}]" for country in ("se", "no", "dk")]
    part = edges(planned(catalog, "sales per_day", partitions=("2024-01-02|no",)))
    assert part["per_day[2024-01-02]"] == ["sales[2024-01-02|no]"]


def test_static_keys_come_in_the_order_of_their_declaration_however_they_were_asked_for() -> None:
    catalog = catalog_of(manifest("a", asset("x", partitions=COUNTRY)))
    plan = planned(catalog, "x", partitions=("dk", "se", "no", "se"))
    assert [step.partition for step in plan] == ["se", "no", "dk"]


def test_an_asset_that_reads_its_day_before_waits_for_it_in_whatever_order_days_were_asked_for() -> None:
    total = asset("total", Dependency("total", mapping=Window(-1, -1)), partitions=DAILY)
    plan = planned(catalog_of(manifest("a", total)), "total", partitions=("2024-01-03", "2024-01-01", "2024-01-02"))
    assert edges(plan) == {
        "total[2024-01-01]": [],
        "total[2024-01-02]": ["total[2024-01-01]"],
        "total[2024-01-03]": ["total[2024-01-02]"],
    }


def test_a_window_waits_for_the_days_around_that_are_in_the_run() -> None:
    smooth = asset("smooth", Dependency("days", mapping=Window(-2, 0)), partitions=DAILY)
    plan = edges(
        planned(
            catalog_of(manifest("a", asset("days", partitions=DAILY), smooth)),
            "*",
            partition_range=PartitionRange("2024-01-01", "2024-01-04"),
        )
    )
    assert plan["smooth[2024-01-01]"] == ["days[2024-01-01]"]
    assert plan["smooth[2024-01-04]"] == [f"days[2024-01-0{day}]" for day in (2, 3, 4)]


def test_the_last_partition_is_the_last_complete_one_not_the_last_of_the_run() -> None:
    newest = asset("newest", Dependency("days", mapping=Last()))
    catalog = catalog_of(manifest("a", asset("days", partitions=DAILY), newest))
    assert edges(planned(catalog, "*", partitions=("2024-03-13",), now=MID_MARCH))["newest"] == []
    assert edges(planned(catalog, "*", partitions=("2024-03-14",), now=MID_MARCH))["newest"] == ["days[2024-03-14]"]


def test_a_step_makes_all_assets_of_its_computation_unless_that_allows_a_subset() -> None:
    catalog = catalog_of(manifest("a", multi(("x", "y")), multi(("p", "q", "r"), subset=True)))
    plan = {step.computation: step.assets for step in planned(catalog, "y r p")}
    assert plan == {"x": ("x", "y"), "p": ("p", "r")}


def test_a_step_waits_once_for_another_of_which_it_reads_two_assets() -> None:
    catalog = catalog_of(manifest("a", multi(("x", "y")), asset("z", "x", "y")))
    assert edges(planned(catalog, "*")) == {"x": [], "z": ["x"]}


def test_an_upstream_that_nobody_declares_gives_no_edge() -> None:
    assert edges(planned(catalog_of(manifest("a", asset("x", "nowhere"))), "x")) == {"x": []}


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "request_", "code", "says"),
    [
        ("raw", {}, "HR-Q101", "no partition was given"),
        ("raw model", {}, "HR-Q101", "--partition"),
        ("raw", {"partitions": ("2024-13-01",)}, "HR-Q101", "no partition '2024-13-01'"),
        ("raw", {"partitions": ("2023-12-31",)}, "HR-Q101", "2023-12-31"),
        ("raw", {"partitions": ("2024-01-01", "never")}, "HR-Q101", "never"),
        ("raw", {"partitions": ("2024-03-15",)}, "HR-Q102", "not complete before"),
        ("months", {"partitions": ("2024-01-01",)}, "HR-Q101", "2024-01-01"),
        ("raw", {"partition_range": PartitionRange("2024-01-02", "2024-01-01")}, "HR-Q103", "2024-01-02"),
        ("raw", {"partition_range": PartitionRange("2024-01-02", "2025-01-01")}, "HR-Q102", "2025-01-01"),
        ("days months", {"partition_range": PartitionRange("2024-01-02", "2024-02")}, "HR-Q103", "different kinds"),
        ("model", {"partitions": ("2024-01-01",)}, "HR-Q004", "nothing in the selection is partitioned"),
        ("model", {"config": {"raw": {}}}, "HR-Q005", "'raw', which the run does not make"),
        ("model", {"config": {"modl": {}}}, "HR-Q005", "Did you mean 'model'?"),
        ("source", {}, "HR-Q002", "external"),
        ("modle", {}, "HR-Q001", "Did you mean 'model'?"),
    ],
)
def test_a_request_that_can_not_be_served_says_why(
    selection: str, request_: dict[str, Any], code: str, says: str
) -> None:
    error = refusal(selection, **request_)
    assert error.code == code
    assert says in str(error)


def test_an_unknown_static_key_is_answered_with_the_closest_one() -> None:
    catalog = catalog_of(manifest("a", asset("x", partitions=StaticPartitions(("norway", "sweden")))))
    error = refusal("x", catalog=catalog, partitions=("norwy",))
    assert (error.code, "Did you mean 'norway'?" in str(error)) == ("HR-Q101", True)


def test_partitions_that_say_nothing_about_one_of_the_assets_are_refused_for_it() -> None:
    catalog = catalog_of(manifest("a", asset("days", partitions=DAILY), asset("x", partitions=COUNTRY)))
    assert refusal("*", catalog=catalog, partitions=("2024-01-01",)).code == "HR-Q101"
    assert len(planned(catalog, "*", partitions=("2024-01-01", "no"))) == 2


def test_more_steps_than_a_run_takes_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "MAX_STEPS", 3)
    whole = PartitionRange("2024-01-01", "2024-01-04")
    assert refusal("raw", partition_range=whole).code == "HR-Q006"
    assert len(planned(FLIGHTS, "raw", partition_range=PartitionRange("2024-01-01", "2024-01-03"))) == 3


def test_a_product_of_partitions_that_is_far_too_large_is_refused_without_being_listed() -> None:
    kilo = StaticPartitions(tuple(f"k{number}" for number in range(1000)), dim="a")
    vast = kilo * StaticPartitions(kilo.keys, dim="b") * StaticPartitions(kilo.keys, dim="c")
    error = refusal("x", catalog=catalog_of(manifest("a", asset("x", partitions=vast))), all_partitions=True)
    assert (error.code, "1,000,000,000 steps" in str(error)) == ("HR-Q006", True)


def test_more_edges_than_a_run_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = asset("x", Dependency("raw", mapping=All()), partitions=DAILY)
    catalog = catalog_of(manifest("a", asset("raw", partitions=DAILY), everything))
    monkeypatch.setattr(steps_module, "MAX_EDGES", 9)
    three_days = PartitionRange("2024-01-01", "2024-01-03")
    assert len(planned(catalog, "*", partition_range=three_days)) == 6
    error = refusal("*", catalog=catalog, partition_range=PartitionRange("2024-01-01", "2024-01-04"))
    assert error.code == "HR-Q006"


def test_thousands_of_keys_are_planned_in_a_time_that_grows_with_their_number() -> None:
    many = StaticPartitions(tuple(f"k{number}" for number in range(20_000)))
    catalog = catalog_of(manifest("a", asset("x", partitions=many), asset("y", "x", partitions=many)))
    plan = planned(catalog, "*", all_partitions=True)
    assert [step.upstream for step in plan[20_000:20_002]] == [(0,), (1,)]


# -- any graph ---------------------------------------------------------------------------------------------------------

KINDS = st.sampled_from([None, DAILY, WEEKLY, MONTHLY])


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[Any, set[int]]]:
    """For each node its partitions and the earlier nodes that it reads."""
    return [
        (draw(KINDS), draw(st.sets(st.integers(0, number - 1), max_size=4)) if number else set())
        for number in range(draw(st.integers(1, 9)))
    ]


@given(graphs(), st.integers(0, 40), st.integers(0, 20), st.randoms(use_true_random=False))
def test_every_step_comes_after_what_it_waits_for_and_waits_for_exactly_what_its_edges_say(
    graph: list[tuple[Any, set[int]]], first: int, length: int, random: Any
) -> None:
    """Names are shuffled, so that the order can't come from them."""
    names = [f"n{number}" for number in range(len(graph))]
    random.shuffle(names)
    catalog = catalog_of(
        *(
            manifest(f"t{number % 3}", *made, location=f"l{number % 3}")
            for number in range(3)
            if (
                made := [
                    asset(names[node], *(names[other] for other in sorted(above)), partitions=kind)
                    for node, (kind, above) in enumerate(graph)
                    if node % 3 == number
                ]
            )
        )
    )
    day = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=first)
    days = PartitionRange(day.date().isoformat(), (day + timedelta(days=length)).date().isoformat())
    partitioned = any(kind is not None for kind, _ in graph)
    request = RunRequest(("*",), partition_range=days if partitioned and DAILY in [kind for kind, _ in graph] else None,
                         all_partitions=partitioned and DAILY not in [kind for kind, _ in graph])  # fmt: skip
    plan = plan_steps(catalog, request, datetime(2024, 6, 1, tzinfo=UTC))
    assert [step.number for step in plan] == list(range(len(plan)))
    assert len({(step.computation, step.partition) for step in plan}) == len(plan)
    by_place = {(step.computation, step.partition): step.number for step in plan}
    reads = {names[node]: {names[other] for other in above} for node, (_, above) in enumerate(graph)}
    for step in plan:
        assert list(step.upstream) == sorted(set(step.upstream))
        assert all(number < step.number for number in step.upstream)
        assert {plan[number].computation for number in step.upstream} <= reads[step.computation]
        for name in reads[step.computation]:
            if (name, step.partition) in by_place and catalog.assets[name].definition.partitions == catalog.assets[
                step.computation
            ].definition.partitions:
                assert by_place[name, step.partition] in step.upstream
            if step.partition is None:
                assert {by_place[place] for place in by_place if place[0] == name} <= set(step.upstream)


def test_what_steps_read_counts_also_where_the_run_does_not_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = asset("x", Dependency("raw", mapping=All()), partitions=DAILY)
    catalog = catalog_of(manifest("a", asset("raw", partitions=DAILY), everything))
    monkeypatch.setattr(steps_module, "MAX_LOOKS", 240)
    assert len(planned(catalog, "*", partition_range=PartitionRange("2024-01-01", "2024-01-03"), now=MID_MARCH)) == 6
    error = refusal("*", catalog=catalog, partition_range=PartitionRange("2024-01-01", "2024-01-04"))
    assert (error.code, "240 partitions read by its 8 steps" in str(error)) == ("HR-Q006", True)


def test_more_limits_by_key_than_a_run_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (KeyLimit("a", "partition", 1), KeyLimit("b", "partition", 1))
    catalog = catalog_of(manifest("a", asset("x", partitions=DAILY, limits=limits)))
    monkeypatch.setattr(steps_module, "MAX_KEYED", 6)
    assert len(planned(catalog, "x", partition_range=PartitionRange("2024-01-01", "2024-01-03"))) == 3
    error = refusal("x", catalog=catalog, partition_range=PartitionRange("2024-01-01", "2024-01-04"))
    assert (error.code, "8 limits by key" in str(error)) == ("HR-Q006", True)
