"""Some worlds, and what they are worth: `make simulate` lives through thousands."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from simulation.checks import Violation
from simulation.mutants import MUTANTS, Mutant
from simulation.world import World, live

WORLDS = 60
SEEDS_OF_A_MUTANT = 150


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, WORLDS, 20))
def test_nothing_is_lost_and_nothing_counts_twice_whatever_fails(first: int) -> None:
    for seed in range(first, first + 20):
        met = live(seed)
        assert met["size"]["cycles"] >= 200
        assert met["size"]["steps"] >= 20
        assert met["faults"].total() >= 3


def test_a_seed_is_the_same_world_each_time() -> None:
    first, second = World(7), World(7)
    first.run()
    second.run()
    assert first.log == second.log
    assert first.faults.told == second.faults.told
    assert first.database.attempts == second.database.attempts


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if not each.rare], ids=lambda each: each.name)
def test_a_defect_put_in_on_purpose_is_noticed(mutant: Mutant) -> None:
    with mutant.alive():
        for seed in range(SEEDS_OF_A_MUTANT):
            try:
                live(seed, mutant.town)
            except Violation:
                return
    pytest.fail(f"{SEEDS_OF_A_MUTANT} worlds did not notice that {mutant.name}")


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.rare], ids=lambda each: each.name)
def test_the_place_of_a_rare_defect_is_still_in_the_code(mutant: Mutant) -> None:
    with mutant.alive():
        pass
