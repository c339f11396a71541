"""Automating: tells the conditions of assets what happens, and makes runs of what they request."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Set
from datetime import datetime
from typing import Protocol

from pyroaring import BitMap

from hedgerow import clock
from hedgerow.conditions.model import Failed
from hedgerow_scheduler.automation.engine import Engine
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.automation.pauses import Pauses
from hedgerow_scheduler.automation.program import Program
from hedgerow_scheduler.automation.turns import Outcome
from hedgerow_scheduler.lifecycle.changes import EvaluationRecord
from hedgerow_scheduler.lifecycle.judging import is_judging
from hedgerow_scheduler.lifecycle.news import News
from hedgerow_scheduler.lifecycle.states import ENDED, HELD
from hedgerow_scheduler.metadata.automation import StoredFacts
from hedgerow_scheduler.partitions.spaces import Space
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.service.condition_launches import ConditionLaunches
from hedgerow_scheduler.service.custom_conditions import CustomConditions, Heard, Question

AUTHOR = "automation"
TURN_S = 0.05  # after which a turn leaves the loop to others
LEARNT_AT_ONCE = 1_000  # assets whose facts are read by one query
OF_STEPS = frozenset({"begun", "started", "requeued", "ended"})
SHOWN = 20  # partitions of a request that are recorded by name
log = logging.getLogger("hedgerow.scheduler")


class Recorded(Protocol):
    """What is read of what was recorded."""

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
        """What is recorded of these assets; of `with_failures` also which partitions failed last."""


class Automating:
    """The conditions of one term. What they decide goes into the snapshot's changes, together with what they remember. `coming(key)` tells
    which partitions of an asset backfills are going to make: these are not launched as well.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        memories: Mapping[str, bytes],
        enabled: bool,
        new_id: Callable[[], str],
        coming: Callable[[str], BitMap],
    ) -> None:
        self._snapshot, self._enabled = snapshot, enabled
        self._catalog = Catalog()
        self._made_by: dict[str, frozenset[str]] = {}
        self._news: deque[News] = deque()
        self._pauses = Pauses()
        self._now: datetime | None = None
        self._taking_up: Generator[None, None, Set[str]] | None = None
        self._unknown: list[str] = []
        """Assets of which facts are to be read; until then no turn is taken."""
        self._keys_seen = snapshot.key_sets.seq
        self.stands: Callable[[str], tuple[BitMap, BitMap]] = lambda _: (EMPTY, EMPTY)
        """Which partitions of an asset its freshness policy warns of, and which are late by it."""
        self._turned: set[str] = set()  # assets of which that is different
        self._problems: dict[str, str] = {}  # why conditions can't be taken up, by asset
        self._turn_s = 0.0  # how long the turn that is under way has held the loop
        self._engine = Engine(self._makes, memories, self._may_request, coming)
        self._customs = CustomConditions(snapshot, self._space_of)
        self._launches = ConditionLaunches(snapshot, self._engine, new_id, self._waits_for)
        self._troubles: dict[Question, str] = {}

    def let_go(self, key: str, which: BitMap) -> None:
        """A backfill does not make partitions of an asset that it was going to make."""
        self._engine.let_go(key, which)

    def use(self, pauses: Pauses) -> None:
        """What operators hold back now."""
        self._pauses = pauses
        self._engine.release()

    def turned(self, key: str) -> None:
        """An asset `stands` otherwise than before."""
        if self._enabled and key in self._engine.facts:
            self._turned.add(key)

    def is_due(self, now: datetime) -> bool:
        """Whether a turn has something to do."""
        return self.is_behind() or (self._enabled and (self._launches.is_under_way() or self._engine.is_due(now)))

    def is_behind(self) -> bool:
        """Whether other code has come into force that is not taken up yet."""
        return self._enabled and (
            self._taking_up is not None or bool(self._unknown) or self._snapshot.catalog is not self._catalog
        )

    def next_due(self) -> datetime | None:
        """When time alone makes a turn due."""
        dues = (self._engine.next_due(), self._customs.next_due()) if self._enabled else ()
        return min((due for due in dues if due is not None), default=None)

    def turn(self, transaction: Recorded, now: datetime, record: Callable[[], None]) -> bool:
        """Hears the news, takes a turn if one is due, and launches what is requested; or takes up other code that has come into force, of
        which very many assets take several cycles. Returns whether there is more to do at once. `record` has the transaction take
        what was decided in this cycle.
        """
        if not self._enabled:
            return False
        self._now, until = now, clock.monotonic() + TURN_S
        if self._launches.is_under_way():  # as the code that was in force then has it
            self._go_on_launching(now, until)
            if self._launches.is_under_way():
                return True
        if self._taking_up is None and self._snapshot.catalog is not self._catalog:
            self._catalog = self._snapshot.catalog
            self._taking_up = self._engine.taking_up(self._catalog, now)
        if not self._is_up_to_date(transaction, record, until):
            return True
        if self._keys_seen != (seq := self._snapshot.key_sets.seq):
            self._keys_seen = seq
            self._engine.keys_changed(now)
        for heard in self._customs.turn(now):
            self.hear_custom(heard, now)
        while True:
            self._news.extend(self._snapshot.news.take())
            if not self._engine.is_under_way():
                self._hear()
            if not self._engine.is_due(now):
                break
            began = clock.monotonic()
            if (outcome := self._engine.turn(now, lambda: clock.monotonic() > until)) is not None:
                self._launches.begin(self._catalog, outcome)
                self._go_on_launching(now, until)
            self._turn_s += clock.monotonic() - began
            if clock.monotonic() > until or self._launches.is_under_way():
                break
        if not self._launches.is_under_way():
            self._snapshot.changes.memories |= self._engine.store()
        return bool(self._news) or self.is_due(now)

    def _go_on_launching(self, now: datetime, until: float) -> None:
        """Makes runs of what the last turn requests, as many as there is time for."""
        if (outcome := self._launches.go_on(now, until)) is not None:
            self._made_by.clear()
            self._measure_turn(outcome)

    def _space_of(self, key: str) -> Space | None:
        facts = self._engine.facts.get(key)
        return None if facts is None else facts.space

    def hear_custom(self, heard: Heard, now: datetime) -> None:
        """Takes what a function of a team's own code said of an asset's partitions. One that does not answer stops its own asset."""
        question = heard.question
        if heard.said is None:
            self._troubles[question] = heard.problem
            self._trouble(question.asset, heard.problem, now)  # also where there is no partition to be asked about
            self._snapshot.measure("conditions_broken", (self._team(question.asset),))
        else:
            self._troubles.pop(question, None)
        self._engine.hear(*question, heard.said, now)

    def _waits_for(self, key: str) -> str:
        """Which functions of its team's own code an asset waits for, and why; "" when for none."""
        owed = [Question(key, name) for name in self._engine.owed(key)]
        return "; ".join(self._troubles.get(each, f"'{each.name}' has not answered yet") for each in owed)

    def _trouble(self, key: str, problem: str, now: datetime) -> None:
        trouble = EvaluationRecord(key, "latest", now, "", (), (), 0, problem, None)
        self._snapshot.changes.evaluations[key, "latest"] = trouble

    def _hear(self) -> None:
        """Tells the engine what happened, up to where something was made after a step went out: in one turn, that would count as taken in
        by the step.
        """
        while self._turned:
            key = self._turned.pop()
            self._engine.stand(key, *self.stands(key))
        went_out = False
        while self._news and not (went_out and self._news[0].what == "made"):
            news = self._news.popleft()
            went_out = went_out or news.what == "started"
            self._tell(news)

    def _may_request(self, team: str, key: str) -> bool:
        return self._now is None or self._pauses.over_asset(team, key, self._now) is None

    def _makes(self, run_id: str, key: str) -> bool:
        """Whether a run makes an asset: of one that is over, what it had left to do is not known any more."""
        made = self._made_by.get(run_id)
        if made is None:
            run = self._snapshot.runs.get(run_id) or self._snapshot.changes.runs.get(run_id)
            steps = (step for step in run.steps if not is_judging(step.computation)) if run else ()
            made = frozenset(asset for step in steps for asset in step.assets)
            self._made_by[run_id] = made
        return key in made

    # -- what is known -----------------------------------------------------------------------------------------------

    def program_of(self, key: str) -> Program | None:
        """The condition of an asset, as it is asked."""
        automated = self._engine.declared.automated.get(key)
        return None if automated is None else automated.program

    def _is_up_to_date(self, transaction: Recorded, record: Callable[[], None], until: float) -> bool:
        """Goes on with taking up other code, at least by one part; whether everything is known that conditions look at."""
        while self._taking_up is not None:
            try:
                next(self._taking_up)
            except StopIteration as taken:
                self._taking_up = None
                self._taken_up(taken.value)
            if clock.monotonic() > until:
                return not (self._taking_up or self._unknown)
        while self._unknown:
            self._learn(transaction, record)
            if clock.monotonic() > until:
                return not self._unknown
        return True

    def _taken_up(self, unknown: Set[str]) -> None:
        self._snapshot.news.followed = self._engine.facts.keys()
        self._unknown = sorted(unknown, reverse=True)
        now = self._now or self._snapshot.backlog.now
        known, self._problems = self._problems, dict(self._engine.declared.problems)
        for key, problem in self._problems.items():
            self._trouble(key, problem, now)
            if known.get(key) != problem:
                self._snapshot.measure("conditions_broken", (self._catalog.assets[key].team,))
        self._customs.use(self._catalog, self._engine.declared.automated, now)

    def _learn(self, transaction: Recorded, record: Callable[[], None]) -> None:
        """Reads what is so of some of the assets of which nothing is known. What happened to their steps until now is in that: it is
        no news any more.
        """
        some = {self._unknown.pop() for _ in range(min(LEARNT_AT_ONCE, len(self._unknown)))}
        record()
        stored = transaction.facts(sorted(some), sorted(key for key in some if self._engine.declared.asks(key, Failed)))
        self._engine.know(
            [(row.asset, row.partition or None, row.code_version, row.data_version) for row in stored.made],
            [(asset, partition or None, check) for asset, partition, check in stored.failed_checks],
            [(asset, partition or None) for asset, partition in stored.failed],
        )
        for key in some:
            self._engine.know_standing(key, *self.stands(key))
        for run in self._snapshot.runs.values():
            for step in run.steps:
                if step.state in ENDED or is_judging(step.computation):
                    continue
                for asset in step.assets:
                    if asset in some:
                        self._engine.know_step(asset, step.partition, is_out=step.state in HELD)
        self._news.extend(self._snapshot.news.take())
        self._news = deque(news for news in self._news if news.asset not in some or news.what not in OF_STEPS)

    def _tell(self, news: News) -> None:
        engine, key, partition = self._engine, news.asset, news.partition
        match news.what:
            case "begun":
                engine.begin(key, partition)
            case "started":
                engine.start(key, partition)
            case "requeued":
                engine.requeue(key, partition)
            case "ended":
                engine.end(key, partition, news.well, news.was_queued)
            case "made":
                engine.materialize(key, partition, news.code_version, news.run_id, news.data_version)
            case "checked":
                engine.check(key, partition, news.name, bool(news.well))

    def _team(self, key: str) -> str:
        return self._engine.declared.automated[key].team

    def _measure_turn(self, outcome: Outcome) -> None:
        """Counts a turn that has come to its end."""
        for team, asked in outcome.asked_of.items():
            self._snapshot.measure("conditions_evaluated", (team,), asked)
        self._snapshot.measure("condition_turn", (), self._turn_s)
        self._turn_s = 0.0
