"""Events recorded twice are noticed among many."""

from __future__ import annotations

import json

from chaos.soak.ledger import Ledger, Stretches
from hypothesis import given
from hypothesis import strategies as st


def row(*events: tuple[int, str]) -> bytes:
    return json.dumps([{"id": id, "seq": seq, "kind": "x", "body": {"seq": 1}} for seq, id in events]).encode()


def test_each_event_once_is_as_it_should_be() -> None:
    ledger = Ledger()
    ledger.add("t", "w", row((1, "a"), (2, "b")))
    ledger.add("t", "v", row((1, "c")))
    assert list(ledger.violations()) == []
    assert ledger.count == 3


def test_a_number_that_comes_again_is_flagged() -> None:
    ledger = Ledger()
    ledger.add("t", "w", row((1, "a"), (2, "b")))
    ledger.add("t", "w", row((2, "c")))
    assert [each.kind for each in ledger.violations()] == ["recorded_twice"]


def test_an_id_that_comes_again_under_another_number_is_flagged() -> None:
    ledger = Ledger()
    ledger.add("t", "w", row((1, "a"), (2, "b")))
    ledger.add("t", "v", row((1, "b")))
    assert [each.kind for each in ledger.violations()] == ["recorded_twice"]


@given(st.lists(st.integers(0, 40)))
def test_stretches_are_a_set(numbers: list[int]) -> None:
    stretches, known = Stretches(), set[int]()
    for number in numbers:
        assert stretches.add(number) == (number not in known)
        known.add(number)
    assert len(stretches) == sum(number - 1 not in known for number in known)
