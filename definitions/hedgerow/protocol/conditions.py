"""What a function under `@hr.condition` is asked and what it answers, as JSON within the messages of an evaluation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

MAX_ASKED = 1_000  # partitions that one question names


class ConditionQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of which asset, for which instant, and the last thousand of its partitions that exist, oldest first; none without partitions."""

    asset: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    partitions: tuple[str, ...] = ()


class ConditionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether it holds, for every partition (`holds`); or, where `partitions` are given, for these of those that were asked about."""

    holds: bool = False
    partitions: tuple[str, ...] | None = None
