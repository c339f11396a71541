"""After a defect, entries are taken one by one until the one at fault is known, and nothing is blamed for a coincidence."""

from __future__ import annotations

import pytest

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


def take(care: Care, *numbers: int) -> list[str]:
    """The entries that a cycle takes of these."""
    care.judges(None)
    return entries(care.portion([batch(*numbers)] if numbers else []))


def term_fails(care: Care, *numbers: int) -> list[str]:
    """What the first cycle of a term took with which it ended."""
    care.begin_term()
    care.left_out([])
    taken = take(care, *numbers)
    care.defect()
    return taken


def test_an_entry_is_suspected_once_cycles_fail_with_it_succeed_without_it_and_fail_with_it_again() -> None:
    care = Care()
    term_fails(care, 1, 2, 3)
    care.begin_term()
    assert take(care, 1, 2, 3) == ["1-0"]
    care.recorded()
    assert take(care) == ["2-0"]
    care.defect()
    care.begin_term()
    assert take(care, 2, 3) == []
    care.recorded()
    assert take(care) == ["2-0"]
    assert not any(care.suspects(entry) for entry in batch(1, 2, 3).entries)
    care.defect()
    assert [care.suspects(entry) for entry in batch(1, 2, 3).entries] == [False, True, False]
    care.begin_term()
    assert take(care, 2, 3) == ["2-0"]  # and it is quarantined
    care.recorded()
    assert take(care) == ["3-0"]
    care.recorded()
    take(care)
    care.recorded()
    assert take(care, 4, 5) == ["4-0", "5-0"]


def test_an_entry_that_does_no_harm_the_second_time_is_no_suspect_later() -> None:
    care = Care()
    term_fails(care, 1, 2)
    assert term_fails(care, 1, 2) == ["1-0"]
    care.begin_term()
    assert take(care, 1, 2) == []
    care.recorded()
    assert take(care) == ["1-0"]  # what ailed the scheduler has passed
    care.recorded()
    assert term_fails(care, 1, 2) == ["1-0"]
    assert not care.suspects(batch(1).entries[0])


def test_others_flow_on_while_the_entries_of_a_cycle_that_failed_are_taken_one_by_one() -> None:
    care = Care()
    term_fails(care, 2, 3)
    care.begin_term()
    assert take(care, 1, 2, 3, 4, 5) == ["1-0"]
    care.recorded()
    for expected in (["2-0"], ["3-0"]):
        assert take(care) == expected
        care.recorded()
    assert take(care, 6, 7) == ["4-0", "5-0", "6-0", "7-0"]
    care.recorded()
    assert take(care, 8, 9) == ["8-0", "9-0"]
    assert not care.is_holding()


def test_care_ends_when_all_that_waited_was_recorded() -> None:
    care = Care()
    care.defect()
    care.begin_term()
    care.portion([batch(1)])
    care.recorded()
    assert take(care, 2, 3) == ["2-0", "3-0"]


def test_no_entry_is_blamed_when_a_cycle_without_any_fails_too() -> None:
    care = Care()
    term_fails(care, 1, 2)
    for _ in range(3):
        assert term_fails(care, 1, 2) == ["1-0"]
        assert term_fails(care, 1, 2) == []
    assert not any(care.suspects(entry) for entry in batch(1, 2).entries)


def test_a_manifest_that_ends_twice_the_cycle_in_which_it_is_judged_is_condemned() -> None:
    care = Care()
    care.begin_term()
    care.judges("large")
    care.defect()
    care.begin_term()
    assert take(care, 1) == []
    care.recorded()
    care.judges("large")
    assert not care.condemns("large")
    care.defect()
    assert care.condemns("large")
    assert care.left_out(["other"]) == {"large"}


LATELY = ("c", "b", "a")


class Terms:
    """Terms whose first cycles take nothing, and fail while one of `poison` is in force or the scheduler is `ailing`."""

    def __init__(self, *poison: str, ailing: bool = False) -> None:
        self.poison, self.ailing, self.at_s = set(poison), ailing, 0.0
        self.care = Care(lambda: self.at_s)

    def one(self) -> str:
        """What became of one, "failed", "rehearsed" or "recorded", and the manifests that were left out of it."""
        self.care.begin_term()
        left_out = self.care.left_out(LATELY)
        assert take(self.care) == []
        if self.ailing or self.poison - left_out:
            self.care.defect()
            end = "failed"
        elif self.care.is_rehearsal():
            self.care.rehearsed()
            end = "rehearsed"
        else:
            self.care.recorded()
            end = "recorded"
        return f"{end} {','.join(sorted(left_out))}".strip()

    def until_recorded(self) -> list[str]:
        found = [self.one()]
        while not found[-1].startswith("recorded"):
            found.append(self.one())
            assert len(found) < 50
        return found

    def condemned(self) -> list[str]:
        return [each for each in LATELY if self.care.condemns(each)]


@pytest.mark.parametrize(
    ("poison", "expected"),
    [
        ("c", ["failed", "failed", "rehearsed c", "failed", "recorded c"]),
        ("b", ["failed", "failed", "failed c", "rehearsed b,c", "failed", "recorded b"]),
        ("a", ["failed", "failed", "failed c", "failed b,c", "rehearsed a,b,c", "failed", "recorded a"]),
    ],
)
def test_the_manifest_in_force_by_which_terms_end_is_withdrawn_and_no_other(poison: str, expected: list[str]) -> None:
    terms = Terms(poison)
    assert terms.until_recorded() == expected
    assert terms.condemned() == [poison]


def test_of_two_manifests_by_which_terms_end_both_are_withdrawn() -> None:
    terms = Terms("c", "a")
    terms.until_recorded()
    assert terms.condemned() == ["c", "a"]


@pytest.mark.parametrize("failing", range(1, 12))
def test_no_manifest_is_withdrawn_for_what_passes_whenever_that_is(failing: int) -> None:
    terms = Terms(ailing=True)
    for _ in range(failing):
        assert terms.one().startswith("failed")
    terms.ailing = False
    assert terms.until_recorded()[-1] == "recorded"
    assert terms.condemned() == []


def test_manifests_come_back_when_leaving_them_out_does_not_help() -> None:
    terms = Terms(ailing=True)
    left_out = [terms.one().removeprefix("failed").strip() for _ in range(8)]
    assert left_out == ["", "", "c", "b,c", "a,b,c", "", "c", "b,c"]


@pytest.mark.parametrize(("later_s", "expected"), [(60.0, ["c"]), (3 * 3600.0, [])])
def test_a_manifest_that_is_accused_again_soon_has_no_second_trial(later_s: float, expected: list[str]) -> None:
    terms = Terms("c")
    assert [terms.one() for _ in range(3)][-1] == "rehearsed c"
    terms.poison.clear()  # it does harm in later cycles of a term only
    assert terms.one() == "recorded"
    terms.at_s = later_s
    terms.poison.add("c")
    ends = [terms.one() for _ in range(2 if expected else 3)]  # long after a defect, another one is news
    assert ends[-1] == "rehearsed c"
    assert terms.condemned() == expected
