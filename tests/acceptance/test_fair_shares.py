"""Fences between teams, timed on real processes: prints what it measured. Minutes long, hence not part of `make test`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median

import pytest
from support.neighbours import SLOTS, most_at_once, row, starts, under_way, write_neighbours
from support.processes import eventually
from support.town import Town, town

pytestmark = [pytest.mark.servers, pytest.mark.processes, pytest.mark.timeout(900)]
STEP_S = 0.25
WINDOW_S = 60


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    def write(root: object) -> None:
        write_neighbours(root, steps=10_000, seconds=STEP_S, weights={"ada": 1, "bob": 3})  # type: ignore[arg-type]

    with town(write) as found:
        yield found


def cancel(place: Town, *runs: str) -> None:
    for run in runs:
        assert place.ask("POST", f"/runs/{run}/cancel", {})[0] in (200, 202)
        place.finished(run)


def test_one_step_beside_ten_thousand_starts_within_one_steps_duration(place: Town) -> None:
    many = place.launch("ada/many", all_partitions=True)
    under_way(place, many, 4 * SLOTS)
    waits = []
    for _ in range(5):
        one = place.launch("bob/one")
        assert place.finished(one)["state"] == "succeeded"
        (waited,) = row(
            place, "SELECT extract(epoch FROM started_at - ready_at)::float8 FROM steps WHERE run_id = %s", one
        )
        waits.append(waited)
    (ready,) = row(place, "SELECT count(*) FROM steps WHERE run_id = %s AND state = 'ready'", many)
    print(json.dumps({"waiting_of_ada": ready, "bob_waited_s": waits, "median_s": median(waits), "step_s": STEP_S}))
    cancel(place, many)
    assert ready > 9_000
    assert max(waits) <= STEP_S + 0.1  # a tenth for the messages and a busy machine


def test_over_a_minute_the_shares_are_those_of_the_weights(place: Town) -> None:
    runs = {team: place.launch(f"{team}/many", all_partitions=True) for team in ("ada", "bob")}
    for run in runs.values():
        under_way(place, run, 2 * SLOTS)
    began = max(starts(place, run)[0] for run in runs.values()) + 1
    eventually(
        lambda: min(starts(place, run)[-1] for run in runs.values()) >= began + WINDOW_S,
        within=WINDOW_S + 60,
        every=2,
        what="a minute of starts",
    )
    counts = {
        team: sum(began <= at < began + WINDOW_S for at in starts(place, run)) for team, run in runs.items()
    }  # fmt: skip
    share = counts["bob"] / sum(counts.values())
    print(
        json.dumps(
            {"starts": counts, "share_of_bob": round(share, 4), "by_weight": 0.75, "at_once": most_at_once(place)}
        )
    )
    cancel(place, *runs.values())
    assert abs(share - 0.75) <= 0.1 * 0.75
    assert most_at_once(place) <= SLOTS


def test_a_rate_that_is_raised_in_mid_flight_holds_from_one_second_after_the_command(place: Town) -> None:
    run = place.launch("ada/often", all_partitions=True)
    under_way(place, run, 20)
    status, body = place.ask("PUT", "/limits/queue/ada/often", {"rate": "20/s", "reason": "measure", "author": "test"})
    assert status in (200, 201), body
    (set_at,) = row(
        place, "SELECT extract(epoch FROM set_at)::float8 FROM limit_overrides WHERE kind = 'queue' AND field = 'rate'"
    )
    eventually(lambda: starts(place, run)[-1] >= set_at + 32, within=60, every=1, what="half a minute of starts")
    at = starts(place, run)
    before = sum(set_at - 3 <= each < set_at for each in at) / 3
    after = sum(set_at + 1 <= each < set_at + 31 for each in at)
    effect_ms = min(each for each in at if each > set_at) - set_at
    print(
        json.dumps(
            {"per_s_before": before, "in_30_s_after": after, "wanted": 600, "first_start_after_s": round(effect_ms, 4)}
        )
    )
    cancel(place, run)
    assert abs(after - 600) <= 30
