"""Telling: what an evaluation found, operand by operand, for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from hedgerow_scheduler.automation.program import Program


class Operand(msgspec.Struct, frozen=True):
    """One operand, `depth` levels below the whole condition: for how many of the partitions it was asked of it held. `of` is the
    upstream asset it was asked of, "" the asset itself.
    """

    depth: int
    label: str
    of: str
    asked: int
    true: int


def operands(program: Program, findings: Iterable[tuple[int, str, int, int]]) -> Iterable[Operand]:
    """The operands of a condition as they are written, the whole first, each with what (place, upstream asset, asked, true) says of it."""
    by_place: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for place, of, asked, true in findings:
        by_place[place].append((of, asked, true))
    for place, (label, depth) in enumerate(zip(program.labels, program.depths, strict=True)):
        for of, asked, true in by_place[place]:
            yield Operand(depth, label, of, asked, true)
