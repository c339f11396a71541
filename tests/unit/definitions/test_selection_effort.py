"""A selection is resolved by the scheduler's loop: it may look at so much and no more."""

from __future__ import annotations

import pytest

from hedgerow.errors import RequestError
from hedgerow.manifest.model import Asset, Job
from hedgerow.selection import Population, choose

ASSETS = {f"a{number}": Asset(f"a{number}") for number in range(1_000)}


def population(**jobs: str) -> Population:
    named = {name: Job(name, selection) for name, selection in jobs.items()}
    return Population(ASSETS, lambda _: "sales", lambda _: (), lambda _: (), named)


def code_of(selection: str, **jobs: str) -> str:
    with pytest.raises(RequestError) as caught:
        choose(population(**jobs), [selection])
    return caught.value.problems[0].code


def test_jobs_that_name_each_other_over_and_over_are_given_up() -> None:
    doubled = {f"j{number}": f"job:j{number + 1} job:j{number + 1}" for number in range(40)}
    assert code_of("job:j0", **doubled, j40="a1") == "HR-Q017"


def test_jobs_that_name_each_other_in_a_long_row_are_refused() -> None:
    row = {f"j{number}": f"job:j{number + 1}" for number in range(2_000)}
    assert code_of("job:j0", **row, j2000="a1") == "HR-Q003"
    assert choose(population(j0="job:j1", j1="job:j2", j2="a1"), ["job:j0"]) == {"a1"}


def test_very_many_globs_are_given_up() -> None:
    assert code_of("*," * 10_000) == "HR-Q017"


def test_what_people_write_is_resolved() -> None:
    assert len(choose(population(), [",".join(ASSETS), "a1*", "team:sales"])) == 1_000
