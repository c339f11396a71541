"""Asking the conditions of teams' own code: for each asset whose condition names one, at intervals, in the team's runner."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Final, NamedTuple

import msgspec
from pyroaring import BitMap

from hedgerow.manifest.model import CustomCondition
from hedgerow.protocol.conditions import MAX_ASKED, ConditionAnswer, ConditionQuestion
from hedgerow_scheduler.automation.declared import Automated
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.lifecycle.evaluations import Answer
from hedgerow_scheduler.partitions.spaces import Space
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot

KIND: Final = "condition"
ASKED_PER_CYCLE = 50
AT_ONCE = 16  # of a team: as many as a worker evaluates at once
LOOK_AGAIN = timedelta(seconds=5)  # where no worker serves the code in force, or did not answer
LONGEST_BACKOFF = timedelta(hours=1)
MAX_ANSWER_BYTES = 512 * 1024


class Question(NamedTuple):
    """What is asked: an asset, and the function by its name."""

    asset: str
    name: str


class Heard(NamedTuple):
    """What is known after an answer: for which partitions it holds, or `problem`. `recovered`: it was in trouble before."""

    question: Question
    which: BitMap
    problem: str = ""
    recovered: bool = False


class CustomConditions:
    """The questions of one term; `space_of(asset)` are the partitions of an asset that has a condition."""

    def __init__(self, snapshot: Snapshot, space_of: Callable[[str], Space | None]) -> None:
        self._snapshot, self._space_of = snapshot, space_of
        self._declared: dict[Question, tuple[str, str, CustomCondition | None]] = {}
        self._failures: Counter[Question] = Counter()
        self._asked: dict[str, Question] = {}
        self._at_once: Counter[str] = Counter()
        self._due: list[tuple[datetime, int, Question]] = []
        self._tie = count()

    def use(self, catalog: Catalog, automated: Mapping[str, Automated], now: datetime) -> None:
        """Other code has come into force: what is asked now. What was asked before stays on its timetable."""
        functions: dict[tuple[str, str], dict[str, CustomCondition]] = {
            place: {each.name: each for each in published.manifest.conditions}
            for place, published in catalog.published.items()
            if published.manifest.conditions
        }
        former, self._declared = self._declared, {}
        for key, each in automated.items():
            for name in each.program.customs:
                question, place = Question(key, name), (each.team, catalog.assets[key].location)
                self._declared[question] = (*place, functions.get(place, {}).get(name))
                if former.get(question) != self._declared[question] and question not in self._asked.values():
                    self._put(question, now)

    def next_due(self) -> datetime | None:
        """When the next question is due."""
        return self._due[0][0] if self._due else None

    def turn(self, now: datetime) -> list[Heard]:
        """What was answered; and asks what is due."""
        heard = []
        for answer in self._snapshot.evaluations.take(KIND):
            question = self._asked.pop(answer.id, None)
            self._at_once[answer.team] -= question is not None
            if question is not None and (found := self._hear(question, answer, now)) is not None:
                heard.append(found)
        heard += self._ask_due(now)
        return heard

    def _ask_due(self, now: datetime) -> Iterable[Heard]:
        for _ in range(ASKED_PER_CYCLE):
            if not self._due or self._due[0][0] > now:
                return
            question = heapq.heappop(self._due)[2]
            declared, space = self._declared.get(question), self._space_of(question.asset)
            if declared is None or space is None:
                continue
            team, location, function = declared
            if function is None:  # a stranger's manifest: a team's own code is held to it at home
                yield Heard(question, EMPTY, f"No function '{question.name}' is declared under @hr.condition.")
                continue
            if self._at_once[team] >= AT_ONCE:
                self._put(question, now + timedelta(milliseconds=200))
                continue
            names = [name for each in space.existing(now)[-MAX_ASKED:] if (name := space.key(each)) is not None]
            argument = msgspec.Raw(msgspec.json.encode(ConditionQuestion(question.asset, now, tuple(names))))
            timeout = timedelta(milliseconds=function.timeout_ms)
            id = self._snapshot.evaluations.ask(team, location, KIND, function.name, argument, timeout, now)
            if id is None:
                self._put(question, now + LOOK_AGAIN)
                continue
            self._asked[id] = question
            self._at_once[team] += 1

    def _hear(self, question: Question, answer: Answer, now: datetime) -> Heard | None:
        declared, space = self._declared.get(question), self._space_of(question.asset)
        if declared is None or declared[2] is None or space is None:
            return None
        every = timedelta(milliseconds=declared[2].every_ms)
        if answer.reason == "lost":
            self._put(question, now + min(every, LOOK_AGAIN))
            return None
        found = _read(answer, space, now) if answer.reason == "ok" else _why(answer)
        if isinstance(found, str):
            self._failures[question] += 1
            doubled: timedelta = every * 2 ** min(self._failures[question] - 1, 20)
            self._put(question, now + max(every, min(doubled, LONGEST_BACKOFF)))
            return Heard(question, EMPTY, f"'{question.name}' does not answer: {found}")
        recovered = self._failures.pop(question, 0) > 0
        self._put(question, now + every)
        return Heard(question, found, "", recovered)

    def _put(self, question: Question, at: datetime) -> None:
        heapq.heappush(self._due, (at, next(self._tie), question))


def _read(answer: Answer, space: Space, now: datetime) -> BitMap | str:
    """For which partitions it holds, or what is wrong with the answer."""
    if len(answer.result) > MAX_ANSWER_BYTES:
        return "its answer is too large"
    try:
        found = msgspec.json.decode(answer.result, type=ConditionAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"its answer can't be read: {error}"
    existing = space.existing(now)
    if found.holds:
        return existing
    numbers = (space.ordinal(name) for name in found.partitions)
    return BitMap(number for number in numbers if number is not None) & existing


def _why(answer: Answer) -> str:
    error = answer.error
    if error is None:
        return str(answer.reason)
    last = (error.traceback or "").strip().rpartition("\n")[2]
    return f"{error.message} ({last})" if last and last not in error.message else error.message
