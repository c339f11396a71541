"""What holds and is not requested: when it is asked again, and which of it."""

from __future__ import annotations

from pyroaring import BitMap

from hedgerow_scheduler.automation.withheld import MOST_IN_VAIN, Withheld


def test_what_was_held_back_is_released_once_and_all_of_it() -> None:
    withheld = Withheld()
    withheld.hold_back("a", BitMap([1]))
    withheld.hold_back("a", BitMap([2]))
    withheld.hold_back("b", BitMap([7]))
    assert withheld.released() == {"a": BitMap([1, 2]), "b": BitMap([7])}
    assert withheld.released() == {}


def test_only_what_was_left_to_someone_comes_back_from_there() -> None:
    withheld = Withheld()
    withheld.leave("a", BitMap([1, 2]))
    assert withheld.let_go("a", BitMap([2, 3])) == BitMap([2])
    assert not withheld.let_go("a", BitMap([2]))
    assert not withheld.let_go("b", BitMap([1]))


def test_what_is_requested_over_and_over_is_given_up_until_a_step_has_ended() -> None:
    withheld, which = Withheld(), BitMap([1])
    assert [withheld.gives_up("a", which) for _ in range(MOST_IN_VAIN)] == [False] * MOST_IN_VAIN
    assert not withheld.tried_again("a")
    assert withheld.gives_up("a", which)
    assert withheld.has_given_up
    assert not withheld.tried_again("b")
    assert withheld.tried_again("a") == which
    assert not withheld.has_given_up
    assert not withheld.gives_up("a", which)


def test_news_of_the_asset_or_a_step_that_goes_out_begins_the_count_anew() -> None:
    withheld, which = Withheld(), BitMap([1])
    for _ in range(MOST_IN_VAIN):
        withheld.gives_up("a", which)
    withheld.not_in_vain("a")
    assert not withheld.gives_up("a", which)
