"""Which faults come in which cycle, drawn from any seed."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

from chaos.cycles import EARLY, drawn
from chaos.faults import KINDS
from chaos.recovery import BOUNDS_S
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32).map(Random)
SUBSETS = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, unique=True)


def server(kind: str) -> str:
    return kind.partition("_")[0] if kind.startswith(("valkey", "postgres")) else kind


@given(SEEDS)
def test_each_kind_that_is_measured_by_itself_comes_alone_before_anything_else_comes_with_it(random: Random) -> None:
    cycles = list(islice(drawn(list(KINDS), random, EARLY), 20))
    for kind in BOUNDS_S:
        first = next(cycle for cycle in cycles if kind in cycle)
        assert first == [kind]
    assert ["worker_drained"] in cycles[:EARLY]


@given(SEEDS, st.integers(1, 5))
def test_a_worker_is_drained_however_few_the_cycles_are(random: Random, cycles: int) -> None:
    assert ["worker_drained"] in islice(drawn(list(KINDS), random, cycles), cycles)


@given(SEEDS, SUBSETS)
def test_no_kind_gets_far_ahead_of_another_and_never_two_come_of_one_server(random: Random, kinds: list[str]) -> None:
    counts: Counter[str] = Counter()
    for cycle in islice(drawn(kinds, random, EARLY), 60):
        assert len({server(kind) for kind in cycle}) == len(cycle) <= 2
        counts.update(cycle)
        assert set(cycle) <= set(kinds)
        assert max(counts.values()) <= 2 + min(counts[kind] for kind in kinds)
