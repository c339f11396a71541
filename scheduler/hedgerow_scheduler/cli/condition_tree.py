"""The operands of a condition as a tree for people: each upstream asset's together, and what does not matter folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

ALL_OF = "all of"
SINCE = "since ("
_DECIDED_BY_SOME = (ALL_OF, "any of", "all upstream", "any upstream")

Told = Mapping[str, Any]


class Line(NamedTuple):
    """A line of the tree. `of` is the upstream asset where those below it begin, "" elsewhere; `folded`: what stands below is left out."""

    depth: int
    of: str
    label: str
    asked: int
    true: int
    folded: bool


def tree_lines(operands: Sequence[Told], *, whole: bool = False) -> Iterator[Line]:
    """The lines of operands in the order in which they were told, the whole condition first. Unless `whole`, what stands below an
    operand is left out where it is no reason for what the operands above it came to.
    """
    ordered = list(by_upstream(operands))
    above: list[
        tuple[Told, bool, int]
    ] = []  # the operands above, whether what stands below is shown, and how many of it came
    for place, one in enumerate(ordered):
        del above[one["depth"] :]
        parent, shown, nth = above[-1] if above else (None, True, 0)
        if parent is not None:
            above[-1] = (parent, shown, nth + 1)
        if not shown:
            above.append((one, False, 0))
            continue
        matters = whole or parent is None or _matters(one, parent, nth)
        above.append((one, matters, 0))
        below = place + 1 < len(ordered) and ordered[place + 1]["depth"] > one["depth"]
        begins = one["of"] if parent is None or parent["of"] != one["of"] else ""
        yield Line(one["depth"], begins, one["label"], one["asked"], one["true"], below and not matters)


def by_upstream(operands: Iterable[Told]) -> Iterator[Told]:
    """Operands that are told one by one, each of all upstream assets, in the order of these assets.

    >>> told = [("", "any"), ("a", "not"), ("b", "not"), ("a", "missing"), ("b", "missing"), ("", "failed")]
    >>> [f"{one['of']}:{one['label']}" for one in by_upstream({"of": of, "label": label} for of, label in told)]
    [':any', 'a:not', 'a:missing', 'b:not', 'b:missing', ':failed']
    """
    together: dict[str, list[Told]] = {}
    for one in operands:
        if one["of"]:
            together.setdefault(one["of"], []).append(one)
            continue
        for some in together.values():
            yield from some
        together.clear()
        yield one
    for some in together.values():
        yield from some


def _matters(one: Told, parent: Told, nth: int) -> bool:
    """Whether the `nth` operand below `parent` is a reason for what that came to."""
    came_to, found = _truth(parent), _truth(one)
    if parent["label"].startswith(SINCE):
        return found is not came_to if nth else found is came_to
    if parent["label"].startswith(_DECIDED_BY_SOME):
        return came_to is None or found is None or found is came_to
    return True


def _truth(one: Told) -> bool | None:
    """Whether an operand held; None when only for some."""
    return None if 0 < one["true"] < one["asked"] else one["true"] > 0
