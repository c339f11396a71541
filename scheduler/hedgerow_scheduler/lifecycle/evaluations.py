"""Evaluations of a team's own code outside of steps: asked for, answered or lost, and handed to whoever asked."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Literal, TypeAlias

import msgspec

from hedgerow.errors import Problem
from hedgerow.protocol.control import Evaluate
from hedgerow.protocol.events import Evaluated, EvaluationKind

REPEAT = timedelta(seconds=3)  # a message may be lost: those that still may begin are asked for again
BEGIN_WITHIN = timedelta(seconds=10)
GRACE = timedelta(seconds=15)  # for loading the code beforehand, and for the answer to come
INTERRUPTED = "HR-X104"
NOTHING = msgspec.Raw(b"null")

Reason: TypeAlias = Literal["ok", "user_error", "timed_out", "runner_lost", "bad_result", "lost"]


def numbered_ids() -> Callable[[], str]:
    """Ids for a snapshot that no leader has, where nothing is sent: 1, 2, 3 as UUIDs."""
    numbers = count(1)
    return lambda: f"00000000-0000-7000-8000-{next(numbers):012d}"


class Answer(msgspec.Struct, frozen=True):
    """What became of an evaluation: its `result` as JSON if it is `ok`, otherwise an `error`. `lost`: no worker answered in time, or the one
    that evaluated had to leave, which is no fault of the function's.
    """

    id: str
    team: str
    kind: EvaluationKind
    name: str
    reason: Reason
    result: msgspec.Raw = NOTHING
    error: Problem | None = None
    log: str = ""
    duration_ms: int = 0


class _Asked(msgspec.Struct, frozen=True):
    team: str
    message: Evaluate
    repeat_until: datetime
    lost_at: datetime


class Evaluations:
    """The desk for evaluations of one term. Each that is asked for is answered exactly once, by a worker or as `lost`.

    `serving(team, location)` is the hash of the code in force if a live worker serves it. What another term asked for is not
    known here: its answers count for nothing, and its owner asks again.
    """

    def __init__(self, serving: Callable[[str, str], str | None], new_id: Callable[[], str]) -> None:
        self._serving, self._new_id = serving, new_id
        self._asked: dict[str, _Asked] = {}
        self._answers: defaultdict[EvaluationKind, list[Answer]] = defaultdict(list)
        self._outgoing: list[tuple[str, Evaluate]] = []
        self._due: list[tuple[datetime, str]] = []

    def can_ask(self, team: str, location: str) -> bool:
        """Whether a live worker serves the code in force."""
        return self._serving(team, location) is not None

    def ask(
        self,
        team: str,
        location: str,
        kind: EvaluationKind,
        name: str,
        argument: msgspec.Raw,
        timeout: timedelta,
        now: datetime,
    ) -> str | None:
        """Asks for an evaluation; its id, or None when no live worker serves the code in force."""
        manifest = self._serving(team, location)
        if manifest is None:
            return None
        id = self._new_id()
        begin_before = now + BEGIN_WITHIN
        timeout_ms, before_ms = round(timeout / timedelta(milliseconds=1)), round(begin_before.timestamp() * 1000)
        message = Evaluate(id, manifest, kind, name, argument, timeout_ms, before_ms)
        self._asked[id] = _Asked(team, message, begin_before - REPEAT, begin_before + timeout + GRACE)
        self._outgoing.append((team, message))
        heapq.heappush(self._due, (now + REPEAT, id))
        return id

    def answer(self, team: str, told: Evaluated) -> bool:
        """Takes what a worker reported; False when nobody waits for it, or it is not the team's."""
        asked = self._asked.get(told.evaluation_id)
        if asked is None or asked.team != team or (asked.message.kind, asked.message.name) != (told.kind, told.name):
            return False
        del self._asked[told.evaluation_id]
        interrupted = told.error is not None and told.error.code == INTERRUPTED
        self._answers[told.kind].append(
            Answer(
                *(told.evaluation_id, team, told.kind, told.name, "lost" if interrupted else told.reason),
                *(told.result, told.error, told.log, told.duration_ms),
            )
        )
        return True

    def turn(self, now: datetime) -> None:
        """Asks again for what nobody may have heard, and gives up what was not answered in time."""
        while self._due and self._due[0][0] <= now:
            _, id = heapq.heappop(self._due)
            asked = self._asked.get(id)
            if asked is None:
                continue
            if asked.lost_at <= now:
                self._lose(id, asked)
                continue
            if now <= asked.repeat_until:
                self._outgoing.append((asked.team, asked.message))
            following = now + REPEAT if now + REPEAT <= asked.repeat_until else asked.lost_at
            heapq.heappush(self._due, (following, id))

    def next_due(self) -> datetime | None:
        """When there is something to ask again, or to give up."""
        while self._due and self._due[0][1] not in self._asked:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def take(self, kind: EvaluationKind) -> list[Answer]:
        """The answers that came, in order; whoever takes them records what they mean in the same transaction."""
        return self._answers.pop(kind, [])

    def outgoing(self) -> list[tuple[str, Evaluate]]:
        """The messages to send once this cycle is recorded, each with its team."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def _lose(self, id: str, asked: _Asked) -> None:
        del self._asked[id]
        message = asked.message
        problem = Problem(
            "HR-Q027",
            f"No worker answered the evaluation of {message.kind} '{message.name}' in time.",
            "Nothing to do: it is evaluated again. If this goes on, see `hedgerow worker list`, and whether the machines' clocks agree.",
        )
        self._answers[message.kind].append(Answer(id, asked.team, message.kind, message.name, "lost", error=problem))
