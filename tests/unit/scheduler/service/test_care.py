"""After a defect, entries are taken one by one until the one at fault is known."""

from __future__ import annotations

from hedgerow_scheduler.ingest.fold import Entry
from hedgerow_scheduler.ingest.inbox import Batch, Message
from hedgerow_scheduler.service.care import Care


def batch(*numbers: int) -> Batch:
    return Batch("sales", tuple(Entry("sales", f"{number}-0", b"[]") for number in numbers), True, 1, 0.0)


def entries(messages: list[Message]) -> list[str]:
    return [entry.id for message in messages if isinstance(message, Batch) for entry in message.entries]


def test_without_a_defect_everything_is_taken_at_once() -> None:
    care = Care()
    assert entries(care.portion([batch(1, 2, 3), batch(4)])) == ["1-0", "2-0", "3-0", "4-0"]
    assert not care.is_holding()


def test_the_entry_at_which_two_terms_end_is_the_only_suspect() -> None:
    care = Care()
    care.begin_term()
    care.portion([batch(1, 2, 3)])
    care.defect()
    care.begin_term()
    assert entries(care.portion([batch(1, 2, 3)])) == ["1-0"]
    care.recorded()
    assert entries(care.portion([])) == ["2-0"]
    care.defect()
    care.begin_term()
    assert entries(care.portion([batch(2, 3)])) == []
    care.recorded()
    assert [care.suspects(entry) for entry in batch(1, 2, 3).entries] == [False, True, False]
    assert entries(care.portion([])) == ["2-0"]
    care.recorded()
    assert entries(care.portion([])) == ["3-0"]
    care.recorded()
    care.portion([])
    care.recorded()
    assert entries(care.portion([batch(4, 5)])) == ["4-0", "5-0"]


def test_care_ends_when_all_that_waited_was_recorded() -> None:
    care = Care()
    care.defect()
    care.begin_term()
    care.portion([batch(1)])
    care.recorded()
    assert entries(care.portion([batch(2, 3)])) == ["2-0", "3-0"]


def test_no_entry_is_blamed_when_a_cycle_without_any_fails_too() -> None:
    care = Care()
    care.begin_term()
    care.portion([batch(1, 2)])
    care.defect()
    for _ in range(3):
        care.begin_term()
        assert entries(care.portion([batch(1, 2)])) == ["1-0"]
        care.defect()
        care.begin_term()
        assert entries(care.portion([batch(1, 2)])) == []
        assert care.is_holding()
        care.defect()
    assert not any(care.suspects(entry) for entry in batch(1, 2).entries)


def test_a_manifest_that_ends_the_cycle_in_which_it_is_judged_is_condemned_once_a_cycle_without_it_has_succeeded() -> (
    None
):
    care = Care()
    care.begin_term()
    care.judges("large")
    care.defect()
    care.begin_term()
    care.judges(None)
    assert entries(care.portion([batch(1)])) == []
    assert not care.condemns("large")
    care.recorded()
    assert care.condemns("large")
    assert care.left_out(["other"]) == set()


def quiet_term_fails(care: Care, *lately: str) -> list[str]:
    """A term whose first cycle takes nothing and fails; what was left out of it."""
    care.begin_term()
    found = sorted(care.left_out(lately))
    care.judges(None)
    care.portion([])
    care.defect()
    return found


def test_where_cycles_without_entries_fail_the_manifests_of_late_are_left_out_the_latest_first_until_one_succeeds() -> (
    None
):
    care = Care()
    assert quiet_term_fails(care, "c", "b", "a") == []
    assert quiet_term_fails(care, "c", "b", "a") == []  # only now is it known that no entry is at fault
    assert quiet_term_fails(care, "c", "b", "a") == ["c"]
    care.begin_term()
    assert care.left_out(["c", "b", "a"]) == {"b", "c"}
    care.recorded()
    assert (care.condemns("b"), care.condemns("c")) == (
        True,
        False,
    )  # the one after whose leaving out a cycle succeeded


def test_manifests_come_back_when_leaving_them_out_does_not_help() -> None:
    care = Care()
    for expected in ([], [], ["b"], ["a", "b"], [], ["b"]):
        assert quiet_term_fails(care, "b", "a") == expected
