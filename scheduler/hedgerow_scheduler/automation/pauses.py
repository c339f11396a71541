"""Pauses: the one switch that holds back whatever would be launched automatically."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

PauseKind: TypeAlias = Literal["platform", "team", "asset", "schedule", "sensor"]
PLATFORM = ""  # the name of the one pause of the whole platform


class Pause(msgspec.Struct, frozen=True):
    """Who paused what, why and until when (None: until it is resumed). The name of a schedule or sensor is `team/name`."""

    kind: PauseKind
    name: str
    author: str
    reason: str
    at: datetime
    until: datetime | None

    def __str__(self) -> str:
        what = self.kind if self.kind == "platform" else f"{self.kind} {self.name}"
        until = f" until {self.until:%Y-%m-%d %H:%M} UTC" if self.until is not None else ""
        return f"{what} is paused by {self.author}{until}: {self.reason}"


class Pauses:
    """All pauses of the deployment, by what they hold."""

    def __init__(self, pauses: Iterable[Pause] = ()) -> None:
        self._by_name = {(pause.kind, pause.name): pause for pause in pauses}

    def over_team(self, team: str, now: datetime) -> Pause | None:
        """What holds back everything of a team."""
        return self._first(now, ("platform", PLATFORM), ("team", team))

    def over_asset(self, team: str, key: str, now: datetime) -> Pause | None:
        """What holds back the conditions of an asset of a team."""
        return self.over_team(team, now) or self._first(now, ("asset", key))

    def over_schedule(self, team: str, title: str, now: datetime) -> Pause | None:
        """What holds back a schedule of a team, named `team/name`."""
        return self.over_team(team, now) or self._first(now, ("schedule", title))

    def over_sensor(self, team: str, title: str, now: datetime) -> Pause | None:
        """What holds back a sensor of a team, named `team/name`."""
        return self.over_team(team, now) or self._first(now, ("sensor", title))

    def _first(self, now: datetime, *names: tuple[PauseKind, str]) -> Pause | None:
        found = (self._by_name.get(name) for name in names)
        return next((one for one in found if one is not None and (one.until is None or one.until > now)), None)
