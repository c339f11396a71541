"""What PostgreSQL holds, in memory: rows that outlive leaders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hedgerow.manifest.model import decode
from hedgerow_scheduler.automation.pauses import Pause
from hedgerow_scheduler.planning.catalog import PublishedManifest
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.rules import Override

STALE_AFTER = timedelta(seconds=3)
_NOTHING = object()


class OutageError(Exception):
    """The database does not answer, or the session is gone."""


class RefusedError(Exception):
    """The database does not take what it would take at another time, for a reason of which nobody knows that it will pass."""


class Table(dict[Any, dict[str, Any]]):
    """Rows by key. A row is replaced, never changed, so that what was is known by its reference."""


class Database:
    """What is committed, and the leader row. `boundary` is called wherever a transaction may fail, with the place's name."""

    def __init__(self, now: Callable[[], datetime], boundary: Callable[[str], None]) -> None:
        self.now, self.boundary = now, boundary
        self.epoch, self.holder, self.renewed_at = 0, "", None
        self.teams: list[str] = []
        self.runs, self.steps, self.attempts, self.outputs = Table(), Table(), Table(), Table()
        self.pointers, self.sequences, self.cursors, self.buckets = Table(), Table(), Table(), Table()
        self.workers, self.manifests, self.locations, self.owners = Table(), Table(), Table(), Table()
        self.commands, self.quarantine, self.events = Table(), Table(), Table()
        self.schedules, self.schedule_ticks, self.verdicts = Table(), Table(), Table()
        self.sensors, self.sensor_keys, self.sensor_evaluations = Table(), Table(), Table()
        self.deliveries, self.floods = Table(), Table()
        self.freshness, self.observations = Table(), Table()
        self.memories, self.evaluations = Table(), Table()
        self.pauses: tuple[Pause, ...] = ()
        self._rang = False
        self.overrides: dict[tuple[str, str, str], Override] = {}
        self.on_commit: Callable[[list[tuple[Table, Any, Any]]], None] = lambda _: (
            None
        )  # gets (table, key, what was before)
        self._decoded: dict[str, PublishedManifest] = {}

    # -- what the API writes -------------------------------------------------------------------------------------------

    def request(self, run_id: str, request: RunRequest, tags: dict[str, str]) -> None:
        """A run to plan."""
        self._rang = True
        body = msgspec.to_builtins(request)
        self.runs[run_id] = {
            "id": run_id, "state": "requested", "created_at": self.now(), "request": body, "tags": tags, "author": "ann",
            "cancel_requested": False, "started_at": None, "ended_at": None, "error": None, "priority": 0, "cap": None,
            "backfill_id": None,
        }  # fmt: skip

    def rings(self) -> bool:
        """Whether something was asked for since the last look."""
        rang, self._rang = self._rang, False
        return rang

    def command(self, kind: str, **body: Any) -> None:
        """Something people ask for."""
        self._rang = True
        number = len(self.commands) + 1
        self.commands[number] = {"id": number, "kind": kind, "body": body, "author": "ann", "outcome": None}

    def versions(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The data versions of what is current of (asset, partition) pairs."""
        pointers = {pair: self.pointers[pair] for pair in pairs if pair in self.pointers}
        return {
            pair: self.outputs[pointer["attempt_id"], *pair]["data_version"] or f"#{pointer['dispatch_seq']}"
            for pair, pointer in pointers.items()
        }

    def outputs_of(self, pair: tuple[str, str]) -> list[dict[str, Any]]:
        """Every output of an (asset, partition) pair."""
        return [row for (_, *of), row in self.outputs.items() if tuple(of) == pair]

    def pause(self) -> None:
        """Nothing is to be launched by itself any more."""
        self._rang = True
        self.pauses = (Pause("platform", "", "ann", "the end", self.now(), None),)

    # -- the lead ------------------------------------------------------------------------------------------------------

    def try_to_lead(self, holder: str) -> int | None:
        """The epoch under which `holder` leads now; None while another does."""
        self.boundary("db.lead")
        if self.holder and self.renewed_at is not None and self.now() - self.renewed_at <= STALE_AFTER:
            return None
        self.epoch, self.holder, self.renewed_at = self.epoch + 1, holder, self.now()
        return self.epoch

    def published(self, manifest_hash: str) -> PublishedManifest:
        """A stored manifest."""
        if manifest_hash not in self._decoded:
            self._decoded[manifest_hash] = PublishedManifest(
                manifest_hash, decode(self.manifests[manifest_hash]["body"])
            )
        return self._decoded[manifest_hash]


class Log:
    """What a transaction has replaced, so that it can be taken back."""

    def __init__(self) -> None:
        self._before: list[tuple[Table, Any, Any]] = []

    def put(self, table: Table, key: Any, row: dict[str, Any]) -> None:
        """A row, in the place of another."""
        self._before.append((table, key, table.get(key, _NOTHING)))
        table[key] = row

    def drop(self, table: Table, key: Any) -> None:
        """No row."""
        self._before.append((table, key, table.get(key, _NOTHING)))
        table.pop(key, None)

    def undo(self) -> None:
        """Everything is as it was before."""
        for table, key, row in reversed(self._before):
            if row is _NOTHING:
                table.pop(key, None)
            else:
                table[key] = row
        self._before.clear()

    def touched(self) -> list[tuple[Table, Any, Any]]:
        """The (table, key, row before) of everything that was replaced."""
        return [(table, key, None if row is _NOTHING else row) for table, key, row in self._before]
