"""Teams that deploy code with mistakes on a running platform: everyone can see what is wrong, and what was in force stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.locations import write_location
from support.mistakes import MINE, MISTAKES, Mistake, write_mistake
from support.processes import eventually, has_idle_runners
from support.town import Town, town

from hedgerow_scheduler.embedded.parts import Part, State

pytestmark = [pytest.mark.servers, pytest.mark.processes]

GOOD = """
    import hedgerow as hr

    @hr.asset
    def numbers() -> list:
        return [1, 2, 3]

    @hr.asset(deps=["clumsy/mine"])
    def follows() -> int:
        return 1
"""

# What only the platform can see.
REFUSED = {
    "a key of another team": Mistake(
        "HR-Q010",
        "'numbers' belongs to team 'good'",
        "another key",
        "_assets.py:7",
        MINE + "\n    @hr.asset\n    def numbers() -> int: ...\n\n    @hr.asset\n    def fresh() -> int: ...\n",
    ),
    "a cycle over two teams": Mistake(
        "HR-Q011",
        "closes a cycle",
        "Remove one",
        first=MINE.replace('mine")', 'mine", deps=["follows"])') + "\n    @hr.asset\n    def fresh() -> int: ...\n",
    ),
}
# A worker that can't read who it is can't tell the platform either: its supervisor says it.
UNREAD = ("HR-C001", "HR-C002", "HR-C005")


def write_teams(root: Path) -> None:
    write_location(root / "good", "good", GOOD)
    write_mistake(root / "clumsy", "clumsy")
    write_mistake(root / "newcomer", "newcomer", MISTAKES["a cycle"])


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town(write_teams) as place:
        # A runner that is only now loading would meet the mistakes to come, and the worker would end for code that has changed.
        worker = place.platform.reports()["worker clumsy"].pid
        assert worker is not None
        eventually(lambda: has_idle_runners(worker, 3), what="both runners and the spare have loaded the code")
        yield place


def shown_problem(place: Town, team: str) -> Any:
    """What `team show` has of the team's one location."""
    (location,) = place.get(f"/teams/{team}")["locations"]
    (problem,) = location["location"]["problems"]
    return problem


@pytest.mark.parametrize("name", [*MISTAKES, *REFUSED])
def test_a_mistake_is_told_and_the_last_good_manifest_stays_in_force_with_its_worker(place: Town, name: str) -> None:
    mistake = {**MISTAKES, **REFUSED}[name]
    before = place.get("/teams/clumsy")["locations"][0]["location"]["manifest_hash"]
    pid = place.platform.reports()["worker clumsy"].pid
    write_mistake(place.root / "clumsy", "clumsy", mistake)

    def told(part: Part) -> bool:
        words = (mistake.code, mistake.told, mistake.where)
        return part.state is State.READY and all(word in part.detail for word in words)

    detail = place.part("worker clumsy", told, f"says {mistake.code}").detail
    assert "the old code stays in force" in detail
    assert mistake.remedy in detail
    assert place.platform.reports()["worker clumsy"].pid == pid
    assert place.get("/teams/clumsy")["locations"][0]["location"]["manifest_hash"] == before
    if mistake.code not in UNREAD:
        problem = shown_problem(place, "clumsy")
        assert (problem["code"], mistake.told in problem["message"]) == (mistake.code, True)
        assert mistake.remedy in problem["remedy"]
        assert place.get("/explain?asset=clumsy/mine")
    assert place.ask("GET", "/assets/fresh")[0] == 404  # refused whole
    assert place.get("/assets/numbers")["team"] == "good"
    place.succeeds("clumsy/mine", "numbers")


def test_people_see_what_is_wrong_with_code_remedy_and_place(place: Town) -> None:
    write_mistake(place.root / "clumsy", "clumsy", REFUSED["a key of another team"])
    place.part("worker clumsy", lambda part: "HR-Q010" in part.detail and part.state is State.READY, "refused")
    told = place.cli("team", "show", "clumsy").stdout
    assert "the manifest above stays in force" in told
    assert "HR-Q010  Asset 'numbers' belongs to team 'good'" in told
    assert "at clumsy_assets.py:7" in told
    assert "Choose another key" in told
    checked = place.cli("check", "clumsy", "--platform")
    assert checked.returncode == 2
    assert "HR-Q010" in checked.stderr
    assert place.cli("materialize", "fresh").returncode == 2


def test_mended_code_comes_into_force(place: Town) -> None:
    mended = Mistake("", "", "", first=MINE + "\n    @hr.asset\n    def fresh() -> int:\n        return 1\n")
    write_mistake(place.root / "clumsy", "clumsy", mended)
    place.part("worker clumsy", lambda part: part.state is State.READY and not part.detail, "ready")
    assert not place.get("/teams/clumsy")["locations"][0]["location"]["problems"]
    place.succeeds("fresh", "clumsy/mine")


def test_a_team_whose_first_code_is_wrong_has_nothing_in_force_and_holds_no_one_up(place: Town) -> None:
    part = place.platform.reports()["worker newcomer"].part
    assert (part.state, "HR-D006" in part.detail) == (State.BROKEN, True)
    assert shown_problem(place, "newcomer")["code"] == "HR-D006"
    assert "1 of 1 broken" in place.cli("team", "list").stdout
    write_mistake(place.root / "newcomer", "newcomer", REFUSED["a key of another team"])
    detail = place.part("worker newcomer", lambda part: "HR-Q010" in part.detail, "refused").detail
    assert "newcomer_assets.py:7" in detail
    status, answer = place.ask("POST", "/runs", {"selection": ["newcomer/mine"]})
    assert (status, answer["problems"][0]["code"]) == (400, "HR-Q001")
    place.succeeds("numbers")
