"""What a sensor is asked and what it answers, as JSON within the messages of an evaluation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

MAX_CURSOR_BYTES = 64 * 2**10
MAX_RUNS = 1_000  # of one evaluation
MAX_RUNS_WITH_KEYS = 100  # beside changes of dynamic partitions: they are planned at once, since those count for them
MAX_DEDUPE_KEY = 255  # characters
MAX_ANSWER_BYTES = 192 * 2**10  # it travels in one event, beside the log


class SensorQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a sensor left off (`cursor`, None at first) and the instant for which it is evaluated."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    cursor: str | None = None


class RequestedRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run that a sensor asks for. Without `selection` it is the sensor's target; `dedupe_key` "" means none."""

    selection: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    tags: dict[str, str] = {}
    dedupe_key: str = ""


class ChangedKeys(msgspec.Struct, frozen=True, omit_defaults=True):
    """Keys of a set of dynamic partitions that a sensor adds or removes."""

    name: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class SensorAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an evaluation came to: runs to launch, the new cursor (None: as before), why nothing is launched, changes of dynamic partitions."""

    runs: tuple[RequestedRun, ...] = ()
    cursor: str | None = None
    skipped: str = ""
    keys: tuple[ChangedKeys, ...] = ()
