"""Crowds: as if two groups were very many, so that small worlds are drawn from as large ones are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hedgerow_scheduler.limits import lines, parking


@contextmanager
def crowds(on: bool = True) -> Iterator[None]:
    """Within it a queue looks at two groups, and a limit wakes none at once."""
    before = parking.FEW, lines.MANY
    if on:
        parking.FEW, lines.MANY = 0, 2
    try:
        yield
    finally:
        parking.FEW, lines.MANY = before
