"""Asking the conditions of teams' own code: for each asset whose condition names one, at intervals, in the team's runner."""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Final, NamedTuple

import msgspec
from pyroaring import BitMap

from hedgerow.manifest.model import CustomCondition
from hedgerow.protocol.conditions import MAX_ASKED, ConditionAnswer, ConditionQuestion
from hedgerow_scheduler.automation.answers import Said
from hedgerow_scheduler.automation.declared import Automated
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
log = logging.getLogger("hedgerow.scheduler")


class Question(NamedTuple):
    """What is asked: an asset, and the function by its name."""

    asset: str
    name: str


class Heard(NamedTuple):
    """What came of a question: what the function said, or (None) the `problem` for which it said nothing."""

    question: Question
    said: Said | None
    problem: str = ""


class CustomConditions:
    """The questions of one term; `space_of(asset)` are the partitions of an asset that has a condition."""

    def __init__(self, snapshot: Snapshot, space_of: Callable[[str], Space | None]) -> None:
        self._snapshot, self._space_of = snapshot, space_of
        self._declared: dict[Question, tuple[str, str, CustomCondition | None]] = {}
        self._failures: Counter[Question] = Counter()
        self._asked: dict[str, tuple[Question, tuple[str, ...]]] = {}  # with the partitions that it names
        self._at_once: Counter[str] = Counter()
        self._due: list[tuple[datetime, int, Question]] = []
        self._entries: dict[Question, int] = {}  # the number of the one entry of each question that counts
        self._numbers = count()

    def use(self, catalog: Catalog, automated: Mapping[str, Automated], now: datetime) -> None:
        """Other code has come into force: what is asked now. What was asked before stays on its timetable."""
        functions: dict[tuple[str, str], dict[str, CustomCondition]] = {
            place: {each.name: each for each in published.manifest.conditions}
            for place, published in catalog.published.items()
            if published.manifest.conditions
        }
        former, self._declared = self._declared, {}
        under_way = {question for question, _ in self._asked.values()}
        for key, each in automated.items():
            for name in each.program.customs:
                question, place = Question(key, name), (each.team, catalog.assets[key].location)
                self._declared[question] = (*place, functions.get(place, {}).get(name))
                if former.get(question) != self._declared[question] and question not in under_way:
                    self._put(question, now)

    def next_due(self) -> datetime | None:
        """When the next question is due."""
        while self._due and self._entries.get(self._due[0][2]) != self._due[0][1]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def turn(self, now: datetime) -> list[Heard]:
        """What was answered; and asks what is due."""
        heard = []
        for answer in self._snapshot.evaluations.take(KIND):
            if (asked := self._asked.pop(answer.id, None)) is None:
                continue
            self._at_once[answer.team] -= 1
            try:
                found = self._hear(*asked, answer, now)
            except Exception as error:  # a defect: of this asset alone
                found = _defect(asked[0], error)
            if found is not None:
                heard.append(found)
        heard += self._ask_due(now)
        return heard

    def _ask_due(self, now: datetime) -> Iterable[Heard]:
        for _ in range(ASKED_PER_CYCLE):
            if (due := self.next_due()) is None or due > now:
                return
            question = heapq.heappop(self._due)[2]
            del self._entries[question]
            try:
                found = self._ask(question, now)
            except Exception as error:  # a defect: of this asset alone
                found = _defect(question, error)
            if found is not None:
                yield found

    def _ask(self, question: Question, now: datetime) -> Heard | None:
        """Asks a function; what is to be heard of it at once, if it can't be."""
        declared, space = self._declared.get(question), self._space_of(question.asset)
        if declared is None or space is None:
            return None
        team, location, function = declared
        if function is None:  # a stranger's manifest: a team's own code is held to it at home
            return Heard(question, None, f"No function '{question.name}' is declared under @hr.condition.")
        if self._at_once[team] >= AT_ONCE:
            self._put(question, now + timedelta(milliseconds=200))
            return None
        if not self._snapshot.evaluations.can_ask(team, location):  # before a thousand partitions are named for nothing
            self._put(question, now + LOOK_AGAIN)
            return None
        names = tuple(name for each in space.existing(now)[-MAX_ASKED:] if (name := space.key(each)) is not None)
        argument = msgspec.Raw(msgspec.json.encode(ConditionQuestion(question.asset, now, names)))
        timeout = timedelta(milliseconds=function.timeout_ms)
        id = self._snapshot.evaluations.ask(team, location, KIND, function.name, argument, timeout, now)
        if id is None:
            self._put(question, now + LOOK_AGAIN)
            return None
        self._asked[id] = (question, names)
        self._at_once[team] += 1
        return None

    def _hear(self, question: Question, names: Iterable[str], answer: Answer, now: datetime) -> Heard | None:
        declared, space = self._declared.get(question), self._space_of(question.asset)
        if declared is None or declared[2] is None or space is None:
            return None
        every = timedelta(milliseconds=declared[2].every_ms)
        if answer.reason == "lost":
            self._put(question, now + min(every, LOOK_AGAIN))
            return None
        found = _read(answer, space, names) if answer.reason == "ok" else _why(answer)
        if isinstance(found, str):
            self._failures[question] += 1
            doubled: timedelta = every * 2 ** min(self._failures[question] - 1, 20)
            self._put(question, now + max(every, min(doubled, LONGEST_BACKOFF)))
            return Heard(question, None, f"'{question.name}' does not answer: {found}")
        self._failures.pop(question, None)
        self._put(question, now + every)
        return Heard(question, found)

    def _put(self, question: Question, at: datetime) -> None:
        """It is asked at this time, and at no other that was set before."""
        number = self._entries[question] = next(self._numbers)
        heapq.heappush(self._due, (at, number, question))


def _defect(question: Question, error: Exception) -> Heard:
    log.exception("asking '%s' about %s failed", question.name, question.asset, exc_info=error)
    return Heard(
        question,
        None,
        f"Asking '{question.name}' failed: {error!r}. It is not asked again before other code comes into force.",
    )


def _read(answer: Answer, space: Space, names: Iterable[str]) -> Said | str:
    """What it said of the partitions with these names, or what is wrong with the answer."""
    if len(answer.result) > MAX_ANSWER_BYTES:
        return "its answer is too large"
    try:
        found = msgspec.json.decode(answer.result, type=ConditionAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"its answer can't be read: {error}"
    if found.holds or found.partitions is None or space.partitions is None:
        return Said(found.holds)
    asked = _numbers(space, names)
    return Said(None, _numbers(space, found.partitions) & asked, asked)


def _numbers(space: Space, names: Iterable[str]) -> BitMap:
    return BitMap(number for name in names if (number := space.ordinal(name)) is not None)


def _why(answer: Answer) -> str:
    error = answer.error
    if error is None:
        return str(answer.reason)
    last = (error.traceback or "").strip().rpartition("\n")[2]
    return f"{error.message} ({last})" if last and last not in error.message else error.message
