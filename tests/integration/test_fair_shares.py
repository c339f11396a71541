"""Two teams on one pool, with real processes: the order in which their steps start. Timings are for the acceptance runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.neighbours import SLOTS, most_at_once, row, sequence, starts, under_way, write_neighbours
from support.processes import eventually
from support.town import Town, town

pytestmark = [pytest.mark.servers, pytest.mark.processes]


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    def write(root: object) -> None:
        write_neighbours(root, steps=400, seconds=0.05, weights={"ada": 1, "bob": 3})  # type: ignore[arg-type]

    with town(write) as found:
        yield found


def cancelled(place: Town, run: str) -> None:
    assert place.ask("POST", f"/runs/{run}/cancel", {})[0] in (200, 202)
    place.finished(run)


def test_one_step_of_a_team_starts_at_its_turn_however_many_another_has_waiting(place: Town) -> None:
    many = place.launch("ada/many", all_partitions=True)
    under_way(place, many, 20)
    one = place.launch("bob/one")
    assert place.finished(one)["state"] == "succeeded"
    (ready_at,) = row(place, "SELECT ready_at FROM steps WHERE run_id = %s", one)
    before = row(
        place,
        "SELECT count(*) FROM attempts WHERE run_id = %s AND dispatched_at > %s AND dispatch_seq < %s",
        many, ready_at, sequence(place, one)[0],
    )  # fmt: skip
    assert before[0] <= 1, "it came after more than the step that was next when it became ready"
    cancelled(place, many)


def test_weights_share_a_pool_that_both_want_all_the_time(place: Town) -> None:
    runs = {team: place.launch(f"{team}/many", all_partitions=True) for team in ("ada", "bob")}
    for run in runs.values():
        under_way(place, run, 10)
    first = max(sequence(place, run)[0] for run in runs.values())
    eventually(lambda: len(starts(place, runs["bob"])) >= 200, within=120, what="200 starts")
    last = min(sequence(place, run)[-1] for run in runs.values())
    counts = {
        team: sum(first < number < last for number in sequence(place, run)) for team, run in runs.items()
    }  # fmt: skip
    assert abs(counts["bob"] / 3 - counts["ada"]) <= 1 + 1 / 3, counts
    for run in runs.values():
        cancelled(place, run)
    assert most_at_once(place) <= SLOTS
