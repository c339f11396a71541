"""What happens on the platform and is told to reactions, as JSON within the messages of an evaluation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec

HappeningKind: TypeAlias = Literal[
    "run_failed",
    "run_succeeded",
    "step_failed",
    "check_failed",
    "asset_late",
    "asset_on_time",
    "location_failed",
    "sensor_failed",
    "backfill_ended",
]
HAPPENING_KINDS: tuple[str, ...] = get_args(HappeningKind)
MAX_MESSAGE = 2_000  # characters
MAX_ASSETS = 100  # that one happening names


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened; a reaction's parameter annotated `hr.Event` receives it. Make one yourself to try a reaction in a test.

    `id` is the same each time this is told to one reaction, also when it is told again. `team` is whose it is, `assets` are the first
    hundred that it is about; `partition` ("" without), `run_id`, `check` and `severity` (`warn` or `error`) are there where they make
    sense. `message` says it in words, `details` holds what else there is.

    >>> Event("check_failed", assets=("sales/orders",), check="not_empty").asset
    'sales/orders'
    """

    kind: HappeningKind
    id: str = ""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    team: str = ""
    assets: tuple[str, ...] = ()
    partition: str = ""
    run_id: str = ""
    check: str = ""
    severity: Literal["warn", "error"] = "error"
    message: str = ""
    details: dict[str, Any] = {}

    @property
    def asset(self) -> str:
        """The one asset that it is about, or the first; "" when it is about none."""
        return self.assets[0] if self.assets else ""
