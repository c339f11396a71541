"""The engine: keeps the facts, marks what something may be different for, and asks the conditions of exactly that.

A *turn* takes everything that has happened until it begins, and asks upstream assets before downstream ones, so that what is requested
upstream is known below. What happens meanwhile, and what the turn itself causes (a request is a moment too), is for the next turn.
"""

from __future__ import annotations

import heapq
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count

import msgspec
from pyroaring import BitMap

from hedgerow.cron import Cron, next_tick
from hedgerow_scheduler.automation.declared import Automated, Declared
from hedgerow_scheduler.automation.facts import EMPTY, Facts, Moments
from hedgerow_scheduler.automation.memory import Memory
from hedgerow_scheduler.automation.program import Asking, Finding
from hedgerow_scheduler.partitions.spaces import Space
from hedgerow_scheduler.planning.catalog import Catalog

log = logging.getLogger("hedgerow.automation")
NOBODYS = Facts(None)


class Evaluated(msgspec.Struct, frozen=True):
    """One asset's evaluation. `problem` says why the condition could not be asked; it is not asked again until the code changes."""

    key: str
    at: datetime
    findings: tuple[Finding, ...]
    requested: BitMap
    problem: str = ""


class Outcome(msgspec.Struct):
    """What a turn came to. `requests` are partitions by asset, `evaluated` those whose findings are not the ones of before."""

    requests: dict[str, BitMap] = msgspec.field(default_factory=dict)
    evaluated: list[Evaluated] = msgspec.field(default_factory=list)
    asked: int = 0


class _Turn:
    """A turn that is under way; also the World that its evaluations look at."""

    def __init__(self, engine: Engine, now: datetime) -> None:
        self.engine, self.now = engine, now
        self.happened: dict[str, Moments] = engine.happened
        self.crons: dict[str, set[Cron]] = defaultdict(set)
        self.scopes: dict[str, BitMap] = {}
        self.order: list[tuple[int, str]] = []
        self.outcome = Outcome()

    def facts(self, key: str) -> Facts:
        return self.engine.facts.get(key, NOBODYS)

    def moments(self, key: str) -> Moments | None:
        return self.happened.get(key)

    def requesting(self, key: str) -> BitMap:
        return self.outcome.requests.get(key, EMPTY)

    def makes(self, run_id: str, key: str) -> bool:
        return self.engine.makes(run_id, key)

    def mark(self, automated: Automated, scope: BitMap) -> None:
        """The answer may be different for these partitions."""
        if not scope:
            return
        known = self.scopes.get(automated.key)
        if known is None:
            heapq.heappush(self.order, (automated.rank, automated.key))
            self.scopes[automated.key] = BitMap(scope)
        else:
            known |= scope


class Engine:
    """See above. `makes(run id, key)` says whether a run makes an asset. Single-threaded, without effects."""

    def __init__(self, makes: Callable[[str, str], bool]) -> None:
        self.makes = makes
        self.catalog = Catalog()
        self.declared = Declared(self.catalog)
        self.facts: dict[str, Facts] = {}
        self.memories: dict[str, Memory] = {}
        self.altered: set[str] = set()  # assets whose memory is to be stored
        self.broken: dict[str, str] = {}
        self.happened: dict[str, Moments] = {}
        self._changed: dict[str, BitMap] = {}  # by asset, partitions of which some fact is different
        self._asked_again: dict[str, BitMap] = {}
        self._last: dict[str, tuple[Finding, ...]] = {}
        self._timers: list[tuple[datetime, int, str | Space, BitMap | Cron | datetime]] = []
        self._tie = count()
        self._spaces: dict[int, tuple[Space, list[str]]] = {}
        self._scheduled: set[tuple[str, Cron]] = set()
        self._turn: _Turn | None = None

    # -- what is declared --------------------------------------------------------------------------------------------

    def use(self, catalog: Catalog, now: datetime) -> None:
        """Another catalog is in force. What is known of an asset stays, as long as its partitions are the same."""
        self.catalog, self._turn = catalog, None
        self.declared = Declared(catalog, self.declared)
        facts: dict[str, Facts] = {}
        for key, asset in catalog.assets.items():
            version = asset.computation.code_version if asset.computation else ""
            known = self.facts.get(key)
            if known is None or known.space.partitions != asset.definition.partitions:
                known = Facts(asset.definition, version)
            elif known.code_version != version:
                known.code_version = version
                self._change(key, known.materialized)
            facts[key] = known
        self.facts = facts
        self.broken = dict(self.declared.problems)
        self._spaces = {}
        for key, found in facts.items():
            if found.space.next_change(now) and (key in self.declared.automated or key in self.declared.watchers):
                self._spaces.setdefault(id(found.space), (found.space, []))[1].append(key)
        for key, automated in self.declared.automated.items():
            memory = self.memories.get(key)
            if memory is None:
                self.memories[key] = Memory()
            self._ask_again(key, facts[key].space.existing(now))
            for cron in automated.program.crons:
                if (key, cron) not in self._scheduled:
                    self._scheduled.add((key, cron))
                    self._at(next_tick(cron, now), key, cron)
        for space, _ in self._spaces.values():
            self._at_change(space, now)

    def _at_change(self, space: Space, now: datetime) -> None:
        if (due := space.next_change(now)) is not None:
            self._at(due, space, now)

    # -- what happens ------------------------------------------------------------------------------------------------

    def begin(self, key: str, partition: str | None) -> None:
        """A step of the partition waits."""
        if (place := self._place(key, partition)) is not None:
            place[0].begin(place[1])
            self._change_one(key, place[1])

    def start(self, key: str, partition: str | None) -> None:
        """A step that waited goes out."""
        if (place := self._place(key, partition)) is not None:
            place[0].start(place[1])
            self._moments(key).started.add(place[1])
            self._change_one(key, place[1])

    def requeue(self, key: str, partition: str | None) -> None:
        """A step that was out waits again."""
        if (place := self._place(key, partition)) is not None:
            place[0].queued[place[1]] += 1

    def end(self, key: str, partition: str | None, succeeded: bool | None, was_queued: bool = False) -> None:
        """A step of the partition has ended well, badly, or (None) neither; `was_queued`: before it went out."""
        if (place := self._place(key, partition)) is not None:
            place[0].end(place[1], succeeded, was_queued)
            self._change_one(key, place[1])

    def materialize(
        self, key: str, partition: str | None, code_version: str, run_id: str, changed: bool = True
    ) -> None:
        """The partition has a new current materialization, with another data version than before if `changed`."""
        if (place := self._place(key, partition)) is not None:
            facts, ordinal = place
            facts.materialize(ordinal, code_version)
            moments = self._moments(key)
            made = moments.updated.get(run_id)
            if made is None:
                made = moments.updated[run_id] = BitMap()
            made.add(ordinal)
            if changed:
                moments.changed.add(ordinal)
            self._change_one(key, ordinal)

    def check(self, key: str, partition: str | None, name: str, passed: bool) -> None:
        """A check of the partition's current materialization gave its verdict."""
        if (place := self._place(key, partition)) is not None:
            place[0].check(name, place[1], passed)
            self._change_one(key, place[1])

    def _place(self, key: str, partition: str | None) -> tuple[Facts, int] | None:
        facts = self.facts.get(key)
        ordinal = facts.space.ordinal(partition) if facts is not None else None
        return None if facts is None or ordinal is None else (facts, ordinal)

    def _moments(self, key: str) -> Moments:
        found = self.happened.get(key)
        if found is None:
            found = self.happened[key] = Moments()
        return found

    def _change_one(self, key: str, ordinal: int) -> None:
        known = self._changed.get(key)
        if known is None:
            known = self._changed[key] = BitMap()
        known.add(ordinal)

    def _change(self, key: str, ordinals: BitMap) -> None:
        if ordinals:
            self._changed[key] = self._changed.get(key, EMPTY) | ordinals

    def _ask_again(self, key: str, scope: BitMap) -> None:
        if scope:
            self._asked_again[key] = self._asked_again.get(key, EMPTY) | scope

    # -- time --------------------------------------------------------------------------------------------------------

    def _at(self, due: datetime, what: str | Space, payload: BitMap | Cron | datetime) -> None:
        heapq.heappush(self._timers, (due, next(self._tie), what, payload))

    def next_due(self) -> datetime | None:
        """When a turn is due although nothing happens; None when never."""
        return self._timers[0][0] if self._timers else None

    def is_due(self, now: datetime) -> bool:
        """Whether a turn has something to do."""
        return bool(self._turn or self._changed or self._asked_again or (self._timers and self._timers[0][0] <= now))

    # -- a turn ------------------------------------------------------------------------------------------------------

    def turn(self, now: datetime, is_over: Callable[[], bool] = lambda: False) -> Outcome | None:
        """Asks whatever may have another answer; None when `is_over` said so before the turn came to its end: the next call goes on."""
        turn = self._turn or self._begin(now)
        while turn.order:
            _, key = heapq.heappop(turn.order)
            scope = turn.scopes.pop(key)
            self._evaluate(turn, self.declared.automated[key], scope)
            if is_over() and turn.order:
                self._turn = turn
                return None
        self._turn = None
        return turn.outcome

    def _begin(self, now: datetime) -> _Turn:
        turn = _Turn(self, now)
        self.happened = {}
        while self._timers and self._timers[0][0] <= now:
            due, _, what, payload = heapq.heappop(self._timers)
            self._fire(turn, due, what, payload)
        changed, self._changed = self._changed, {}
        for key, ordinals in changed.items():
            self._spread(turn, key, ordinals)
        again, self._asked_again = self._asked_again, {}
        for key, scope in again.items():
            if (automated := self._asked(key)) is not None:
                turn.mark(automated, scope)
        return turn

    def _asked(self, key: str) -> Automated | None:
        return None if key in self.broken else self.declared.automated.get(key)

    def _spread(self, turn: _Turn, key: str, ordinals: BitMap) -> None:
        """Marks an asset, if it has a condition, and all that look at it."""
        if (automated := self._asked(key)) is not None:
            turn.mark(automated, ordinals)
        self._spread_below(turn, key, ordinals)

    def _spread_below(self, turn: _Turn, key: str, ordinals: BitMap) -> None:
        for automated, crossing in self.declared.watchers.get(key, ()):
            if automated.key not in self.broken:
                turn.mark(automated, crossing.downstream(ordinals, turn.now))

    def _fire(self, turn: _Turn, due: datetime, what: str | Space, payload: BitMap | Cron | datetime) -> None:
        if isinstance(what, Space):
            if id(what) in self._spaces and isinstance(payload, datetime):
                self._windows_complete(turn, what, self._spaces[id(what)][1], payload)
                self._at_change(what, turn.now)
            return
        automated = self._asked(what)
        if isinstance(payload, Cron):
            if automated is None or payload not in automated.program.crons:
                self._scheduled.discard((what, payload))
                return
            turn.crons[what].add(payload)
            turn.mark(automated, self.facts[what].space.existing(turn.now))
            self._at(next_tick(payload, max(due, turn.now)), what, payload)
        elif automated is not None and isinstance(payload, BitMap):
            turn.mark(automated, payload)

    def _windows_complete(self, turn: _Turn, space: Space, keys: list[str], before: datetime) -> None:
        fresh = space.existing(turn.now) - space.existing(before)
        moved: dict[int | None, BitMap] = {}
        for key in keys:
            self._spread_below(turn, key, fresh)
            if (automated := self._asked(key)) is None:
                continue
            turn.mark(automated, fresh)
            for lookback_ms in automated.program.lookbacks:
                if lookback_ms not in moved:
                    back = None if lookback_ms is None else timedelta(milliseconds=lookback_ms)
                    moved[lookback_ms] = (space.latest(before, back) or EMPTY) ^ (space.latest(turn.now, back) or EMPTY)
                turn.mark(automated, moved[lookback_ms])

    def _evaluate(self, turn: _Turn, automated: Automated, scope: BitMap) -> None:
        key, memory, program = automated.key, self.memories[automated.key], automated.program
        asking = Asking(turn, key, automated.deps, memory, frozenset(turn.crons.get(key, ())), scope)
        turn.outcome.asked += 1
        try:
            true = program.ask(asking)
        except Exception as error:  # of this asset alone: others go on
            log.exception("the condition of %s can't be asked", key)
            self.broken[key] = f"{type(error).__name__}: {error}"
            turn.outcome.evaluated.append(Evaluated(key, turn.now, (), EMPTY, self.broken[key]))
            return
        facts = self.facts[key]
        true = true & facts.space.existing(turn.now)
        fresh = true - memory.held
        memory.held -= scope
        memory.held |= true
        memory.is_first = False
        self.altered.add(key)
        for due, which in asking.wakes:
            self._at(due, key, which)
        if program.settles and any(each.true and each.place in program.moments for each in asking.findings):
            self._ask_again(key, scope)
        if fresh:
            self._request(turn, automated, fresh)
        findings = tuple(asking.findings)
        if fresh or self._last.get(key) != findings:
            self._last[key] = findings
            turn.outcome.evaluated.append(Evaluated(key, turn.now, findings, fresh))

    def _request(self, turn: _Turn, automated: Automated, fresh: BitMap) -> None:
        key = automated.key
        queued = self.facts[key].queued  # whose step will take the inputs that there are when it goes out
        if more := fresh - BitMap(each for each in fresh if each in queued) if queued else fresh:
            turn.outcome.requests[key] = more
            self._spread_below(turn, key, more)
        self._moments(key).requested |= fresh
        self._change(key, fresh)


def requests_by_key(engine: Engine, outcome: Outcome) -> Mapping[str, tuple[str | None, ...]]:
    """What a turn requests, as partition keys by asset."""
    return {key: tuple(engine.facts[key].space.key(each) for each in which) for key, which in outcome.requests.items()}
