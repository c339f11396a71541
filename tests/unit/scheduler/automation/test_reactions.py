"""Who is to be told what happens, and what becomes of each telling."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.scheduling import NOW, asset, catalog_of, manifest

from hedgerow.manifest.model import Asset, Reaction, Retry
from hedgerow.protocol.happenings import MAX_ASSETS, Event
from hedgerow_scheduler.automation.reactions import (
    ASKED_AGAIN,
    DELIVERY_ARROWS,
    GIVEN_UP_AFTER,
    OVER,
    Delivery,
    DeliveryState,
    Listeners,
    after,
    told_again,
    visible,
)
from hedgerow_scheduler.lifecycle.evaluations import Answer

RAW = manifest("raw", asset("raw/x"))


def hearing(*reactions: Reaction) -> Listeners:
    sales = manifest("sales", asset("orders", "raw/x", group="sales"), asset("report", "orders"), reactions=reactions)
    return Listeners(catalog_of(RAW, sales))


def event(kind: Any = "step_failed", *assets: str, team: str = "sales", **more: Any) -> Event:
    return Event(kind, "", NOW, team, assets, **more)


@pytest.mark.parametrize(
    ("reaction", "told", "hears"),
    [
        (Reaction("r", ("step_failed",)), event("step_failed", "orders"), True),
        (Reaction("r", ("step_failed",)), event("run_failed", "orders"), False),
        (Reaction("r", ("step_failed",)), event("step_failed", "raw/x", team="raw"), False),
        (Reaction("r", ("run_failed",)), event("run_failed", "raw/x", "report", team=""), True),
        (Reaction("r", ("step_failed",), "raw/x"), event("step_failed", "raw/x", team="raw"), True),
        (Reaction("r", ("step_failed",), "+orders"), event("step_failed", "raw/x", team="raw"), True),
        (Reaction("r", ("step_failed",), "group:sales"), event("step_failed", "report"), False),
        (Reaction("r", ("asset_late",), severity="error"), event("asset_late", "orders", severity="warn"), False),
        (Reaction("r", ("asset_late",), severity="warn"), event("asset_late", "orders", severity="warn"), True),
        (Reaction("r", ("location_failed",)), event("location_failed"), True),
        (Reaction("r", ("location_failed",), "raw/x"), event("location_failed", team="raw"), False),
        (Reaction("r", ("step_failed",), enabled=False), event("step_failed", "orders"), False),
        (Reaction("r", ("step_failed",)), event("step_failed", "nobody's"), False),
    ],
)
def test_a_reaction_hears_of_the_assets_that_it_names_or_of_its_teams_own(
    reaction: Reaction, told: Event, hears: bool
) -> None:
    assert bool(hearing(reaction).of(told)) == hears


def test_a_selection_that_names_nothing_is_a_problem_of_that_reaction_alone() -> None:
    listeners = hearing(Reaction("bad", ("step_failed",), "ordrs"), Reaction("good", ("step_failed",)))
    assert [problem.code for problem in listeners.problems.values()] == ["HR-Q001"]
    assert [each.place.name for each in listeners.of(event("step_failed", "orders"))] == ["good"]
    assert listeners.kinds == {"step_failed"}


def test_another_team_learns_that_it_happened_and_nothing_of_what_the_code_said() -> None:
    told = event("step_failed", "raw/x", team="raw", message="password=hunter2", details={"step": "1"})
    theirs = visible(told, "sales", "id")
    assert (theirs.id, theirs.assets, theirs.message, theirs.details) == ("id", ("raw/x",), "", {})
    assert visible(told, "raw", "id").message == "password=hunter2"


def test_of_very_many_assets_all_are_looked_at_and_the_first_are_named() -> None:
    assets = tuple(f"x{number}" for number in range(500))
    told = event("run_failed", *assets, "orders", team="")
    assert hearing(Reaction("r", ("run_failed",))).of(told)
    shown = visible(told, "sales", "id")
    assert (len(shown.assets), shown.details) == (MAX_ASSETS, {"assets": 501})


DELIVERY = Delivery("id", "sales", "r", event("step_failed", "orders"), NOW, NOW)
REACTION = Reaction("r", ("step_failed",), retry=Retry(2, 10_000, "constant", jitter=False))


@pytest.mark.parametrize(
    ("reason", "attempts", "age", "state", "left", "wait"),
    [
        ("ok", 0, timedelta(0), DeliveryState.DELIVERED, 0, None),
        ("user_error", 0, timedelta(0), DeliveryState.WAITING, 1, timedelta(seconds=10)),
        ("timed_out", 1, timedelta(0), DeliveryState.WAITING, 2, timedelta(seconds=10)),
        ("runner_lost", 2, timedelta(0), DeliveryState.GIVEN_UP, 3, None),
        ("bad_result", 2, timedelta(0), DeliveryState.GIVEN_UP, 3, None),
        ("lost", 2, timedelta(0), DeliveryState.WAITING, 2, ASKED_AGAIN),
        ("lost", 0, GIVEN_UP_AFTER, DeliveryState.GIVEN_UP, 0, None),
    ],
)
def test_what_becomes_of_a_delivery(
    reason: Any, attempts: int, age: timedelta, state: DeliveryState, left: int, wait: timedelta | None
) -> None:
    now = NOW + age
    delivery = Delivery("id", "sales", "r", DELIVERY.event, NOW, NOW, attempts)
    told = after(delivery, REACTION, Answer("e", "sales", "reaction", "r", reason), now, 0.5)
    assert (told.state, told.delivery.attempts) == (state, left)
    assert (DeliveryState.ASKED, state) in DELIVERY_ARROWS
    if wait is not None:
        assert told.delivery.next_at == now + wait
    else:
        assert told.state in OVER


def test_what_was_given_up_waits_again_when_someone_asks_for_it() -> None:
    tried = Delivery("id", "sales", "r", DELIVERY.event, NOW, NOW, 3)
    later = NOW + timedelta(days=2)
    assert told_again(tried, later) == Delivery("id", "sales", "r", DELIVERY.event, later, later, 0)
    lost = after(told_again(tried, later), REACTION, Answer("e", "sales", "reaction", "r", "lost"), later, 0.5)
    assert lost.state is DeliveryState.WAITING
    assert (DeliveryState.GIVEN_UP, DeliveryState.WAITING) in DELIVERY_ARROWS


def test_an_external_asset_is_its_teams_own_too() -> None:
    listeners = Listeners(catalog_of(manifest("raw", Asset("feed"), reactions=(Reaction("r", ("asset_late",)),))))
    assert listeners.of(event("asset_late", "feed", team="raw"))
