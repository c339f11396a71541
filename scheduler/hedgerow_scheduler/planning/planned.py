"""Planned steps: what a request comes to, before a run has them."""

from __future__ import annotations

import msgspec


class PlannedStep(msgspec.Struct, frozen=True):
    """A step to be: numbered from 0 in dependency order, `upstream` are lower numbers of the same run."""

    number: int
    team: str
    location: str
    queue: str
    priority: int
    computation: str
    assets: tuple[str, ...]
    partition: str | None
    upstream: tuple[int, ...]
