"""The tree of a condition's operands: what matters is unfolded, each upstream asset by itself."""

from __future__ import annotations

from typing import Any

import pytest

from hedgerow_scheduler.cli.condition_tree import tree_lines


def told(text: str) -> list[dict[str, Any]]:
    """Operands from lines like `  a: missing 1/2`, indented by their depth; with no number, 1 of 1 for `+` and 0 of 1 for `-`."""
    found = []
    for line in text.strip("\n").splitlines():
        words, _, mark = line.strip().rpartition(" ")
        of, _, label = words.rpartition(": ")
        true, _, asked = {"+": "1/1", "-": "0/1"}.get(mark, mark).partition("/")
        depth = (len(line) - len(line.lstrip())) // 2
        found.append({"depth": depth, "label": label, "of": of, "asked": int(asked), "true": int(true)})
    return found


def shown(text: str, *, whole: bool = False) -> list[str]:
    return [
        "  " * line.depth + (f"{line.of}: " if line.of else "") + line.label + (" ..." if line.folded else "")
        for line in tree_lines(told(text), whole=whole)
    ]


HELD_BACK = """
all of -
  since (the first, until the second) -
    any of -
      missing -
      updated -
    any of -
      requested -
  nothing upstream is missing +
    not +
      missing -
"""


def test_what_holds_is_folded_where_something_else_does_not() -> None:
    assert shown(HELD_BACK) == [
        "all of",
        "  since (the first, until the second)",
        "    any of",
        "      missing",
        "      updated",
        "    any of ...",
        "  nothing upstream is missing ...",
    ]


def test_the_whole_of_it_can_be_had() -> None:
    assert len(shown(HELD_BACK, whole=True)) == 10
    assert not any(line.endswith("...") for line in shown(HELD_BACK, whole=True))


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("-\n  any of +\n    a +\n  any of +\n    b +", ["since (x)", "  any of ...", "  any of", "    b"]),
        ("+\n  any of -\n    a -\n  any of -\n    b -", ["since (x)", "  any of ...", "  any of", "    b"]),
        ("+\n  any of +\n    a +\n  any of +\n    b +", ["since (x)", "  any of", "    a", "  any of ..."]),
    ],
)
def test_of_since_what_began_it_or_ended_it_is_unfolded(since: str, expected: list[str]) -> None:
    assert shown(f"since (x) {since}") == expected


def test_upstream_assets_stand_one_after_the_other() -> None:
    assert shown("""
any upstream +
  a: all of -
  b: all of +
  c: all of 1/2
    a: missing -
    b: missing +
    c: missing 1/2
""") == ["any upstream", "  a: all of ...", "  b: all of", "    missing", "  c: all of", "    missing"]


def test_of_what_holds_for_some_everything_is_unfolded() -> None:
    assert shown("any of 1/2\n  not 2/2\n    a 0/2\n  not 0/2\n    b 2/2") == [
        "any of", "  not", "    a", "  not", "    b",
    ]  # fmt: skip
