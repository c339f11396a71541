"""The engine: keeps the facts, marks what something may be different for, and asks the conditions of exactly that.

A *turn* takes everything that has happened until it begins, and asks upstream assets before downstream ones, so that what is requested
upstream is known below. What happens meanwhile, and what the turn itself causes (a request is a moment too), is for the next turn.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Set
from datetime import datetime
from itertools import count

from pyroaring import BitMap

from hedgerow.conditions.model import DataChanged
from hedgerow.cron import Cron, next_tick
from hedgerow_scheduler.automation.answers import Said
from hedgerow_scheduler.automation.declared import PAUSE_EACH, Automated, Declared
from hedgerow_scheduler.automation.facts import EMPTY, Facts
from hedgerow_scheduler.automation.key_watch import KeyWatch
from hedgerow_scheduler.automation.knowledge import Knowledge
from hedgerow_scheduler.automation.memory import Memory, decode, encode
from hedgerow_scheduler.automation.program import Asking
from hedgerow_scheduler.automation.turns import Evaluated, Outcome, Turn
from hedgerow_scheduler.automation.window_watch import Moved, WindowWatch
from hedgerow_scheduler.automation.withheld import Withheld
from hedgerow_scheduler.partitions.spaces import Space
from hedgerow_scheduler.planning.catalog import Catalog

log = logging.getLogger("hedgerow.automation")


class Engine(Knowledge):
    """See above. `makes(run id, key)` says whether a run makes an asset, `may_request(team, key)` whether nothing holds it back, `coming(key)`
    which partitions are going to be made anyway; `stored` is what `store` gave last. Single-threaded, without effects.
    """

    def __init__(
        self,
        makes: Callable[[str, str], bool],
        stored: Mapping[str, bytes] | None = None,
        may_request: Callable[[str, str], bool] = lambda *_: True,
        coming: Callable[[str], BitMap] = lambda _: EMPTY,
    ) -> None:
        super().__init__()
        self.makes, self._may_request, self._coming = makes, may_request, coming
        self.withheld = Withheld()
        self.declared = Declared()
        self.memories: dict[str, Memory] = {}
        self._altered: set[str] = set()  # assets whose memory is to be stored
        self._stored = dict(stored or {})  # what was stored before, by asset
        self.broken: dict[str, str] = {}
        self._asked_again: dict[str, BitMap] = {}
        self._last: dict[str, int] = {}  # a hash of what each found: that itself would be most of what is kept
        self._timers: list[tuple[datetime, int, str | Space, BitMap | Cron | datetime]] = []
        self._tie = count()
        self._windows = WindowWatch()
        self._scheduled: set[tuple[str, Cron]] = set()
        self._key_watch = KeyWatch()
        self._turn: Turn | None = None
        self._decided = Outcome()  # of a turn that was given up, for the next one

    # -- what is declared --------------------------------------------------------------------------------------------

    def use(self, catalog: Catalog, now: datetime) -> Set[str]:
        """Another catalog is in force. What is known of an asset stays, as long as its partitions are the same; returns those of which
        nothing is known, to be told before the next turn.
        """
        taking_up = self.taking_up(catalog, now)
        while True:
            try:
                next(taking_up)
            except StopIteration as done:
                unknown: Set[str] = done.value
                return unknown

    def taking_up(self, catalog: Catalog, now: datetime) -> Generator[None, None, Set[str]]:
        """As `use`, with pauses in between, in which nothing else may be asked of the engine; the cost follows what is different."""
        self._give_up_turn()
        former, self.declared = self.declared, (yield from self.declared.after(catalog))
        self._forget_others(former)
        unknown = set()
        for number, key in enumerate(self.declared.touched):
            if self._meet(key):
                unknown.add(key)
            if number % PAUSE_EACH == 0:
                yield
        yield
        self.broken = dict(self.declared.problems)
        self._watch_windows(now)
        self._key_watch.watch(self.declared.touched, self.facts)
        for number, key in enumerate(self.declared.touched):
            automated = self.declared.automated.get(key)
            if automated is None or automated.asks_as(known_as := former.automated.get(key)):
                continue
            if known_as is None or known_as.digest != automated.digest:
                self._remember(automated, now)
            existing = self.facts[key].space.existing(now)
            self._ask_again(key, existing)
            if not existing:  # the first partition that comes to exist is news, not what was so at first
                self.memories[key].is_first = False
                self._altered.add(key)
            if number % PAUSE_EACH == 0:
                yield
        return unknown

    def _meet(self, key: str) -> bool:
        """Makes the facts of an asset that someone asks about, or adapts them; whether nothing is known of it."""
        asset = self.declared.catalog.assets.get(key)
        if asset is None or (key not in self.declared.automated and key not in self.declared.watchers):
            self.facts.pop(key, None)
            return False
        version = asset.computation.code_version if asset.computation else ""
        known = self.facts.get(key)
        asks = self.declared.asks(key, DataChanged)
        is_same = known is not None and known.space.partitions == asset.definition.partitions
        is_unknown = known is None or not is_same or (asks and known.data_versions is None)
        if known is None or is_unknown:
            known = self.facts[key] = Facts(asset.definition, version)
            known.data_versions = {} if asks else None
        if known.code_version != version:
            known.code_version = version
            self.change(key, known.materialized)
        return is_unknown

    def _watch_windows(self, now: datetime) -> None:
        for due, space in self._windows.watch(self.declared.touched, self.facts, self._lookbacks, now):
            self._at(due, space, now)

    def _lookbacks(self, key: str) -> Iterator[int | None]:
        """How far back the conditions look that are an asset's own or look at it."""
        if (own := self.declared.automated.get(key)) is not None:
            yield from own.program.lookbacks
        for automated, _ in self.declared.watchers.get(key, ()):
            yield from automated.program.lookbacks

    def keys_changed(self, now: datetime) -> None:
        """Keys of dynamic partitions were added or removed: what came or went is asked again, and whatever is made from it."""
        for keys, came, went in self._key_watch.changes(now):
            for key in keys:
                self.change(key, came | went)
                for automated, crossing in self.declared.watchers.get(key, ()) if went else ():
                    if crossing.takes_what_there_is:  # what went is not among what it reads any more
                        self._ask_again(automated.key, self.facts[automated.key].space.existing(now))

    def _remember(self, automated: Automated, now: datetime) -> None:
        """Takes up what was stored of the condition; of one that is new nothing is remembered."""
        key, stored = automated.key, self._stored.pop(automated.key, None)
        memory = self.memories[key] = (decode(stored, automated.digest) if stored else None) or Memory(now)
        for (place, of), groups in memory.times.items():
            for at, which in groups.items():
                self._wake(automated, at + automated.program.waits[place], of, which, now)
        for cron in automated.program.crons:
            if (key, cron) not in self._scheduled:
                self._scheduled.add((key, cron))
                self._at(next_tick(cron, memory.ticked), key, cron)

    def store(self) -> dict[str, bytes]:
        """What the conditions asked since the last time remember, to be stored with what they request, by asset. Nothing while a turn is
        under way, which has not said yet what it requests.
        """
        if self._turn is not None or self._decided.requests:
            return {}
        altered, self._altered = self._altered, set()
        automated = self.declared.automated
        return {key: encode(self.memories[key], automated[key].digest) for key in altered if key in automated}

    def _give_up_turn(self) -> None:
        """A turn that is under way is not gone on with: what it had not asked yet, and what it has decided, is for the next one."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        self._decided = turn.outcome
        for key, scope in turn.scopes.items():
            self._ask_again(key, scope)
        for key, moments in turn.happened.items():
            self.moments_of(key).add(moments)

    def _forget_others(self, former: Declared) -> None:
        """Of what was decided, only what concerns conditions and partitions that are still the same holds."""
        decided, now, then = self._decided, self.declared.automated, former.automated
        same = (
            {key for key, each in now.items() if key in then and each.digest == then[key].digest}
            if decided.asked
            else set()
        )
        decided.requests = {key: which for key, which in decided.requests.items() if key in same}
        decided.evaluated = [each for each in decided.evaluated if each.key in same]

    def start(self, key: str, partition: str | None) -> None:
        """A step that waited goes out."""
        super().start(key, partition)
        self.withheld.not_in_vain(key)

    def hear(self, key: str, name: str, said: Said | None, now: datetime) -> None:
        """What a function of the team's own code says of an asset; None: it does not answer, and nothing is requested until it does."""
        if (memory := self.memories.get(key)) is None or key not in self.declared.automated:
            return
        if memory.hear(name, said) or said is None:
            self._altered.add(key)
            self._last.pop(key, None)  # it is told also if it finds what it found
            self._ask_again(key, self.facts[key].space.existing(now))

    def owed(self, key: str) -> list[str]:
        """The functions of the team's own code for whose answer an asset waits."""
        automated, memory = self.declared.automated.get(key), self.memories.get(key)
        return memory.owed(automated.program.customs) if automated and memory else []

    def end(self, key: str, partition: str | None, succeeded: bool | None, was_queued: bool = False) -> None:
        """A step of the partition has ended."""
        super().end(key, partition, succeeded, was_queued)
        if (which := self.withheld.tried_again(key)) and key in self.memories:
            self.memories[key].held -= which  # what holds for it still is news again
            self._altered.add(key)
            self._ask_again(key, which)

    def release(self) -> None:
        """Pauses have changed: what was held back is asked again."""
        for key, scope in self.withheld.released().items():
            self._ask_again(key, scope)

    def let_go(self, key: str, which: BitMap) -> None:
        """Partitions that were going to be made are not: what was requested of them and left to that is asked again."""
        if (left := self.withheld.let_go(key, which)) and key in self.memories:
            self.memories[key].held -= left
            self._altered.add(key)
            self._ask_again(key, left)

    def _ask_again(self, key: str, scope: BitMap) -> None:
        if scope:
            self._asked_again[key] = self._asked_again.get(key, EMPTY) | scope

    # -- time --------------------------------------------------------------------------------------------------------

    def _at(self, due: datetime, what: str | Space, payload: BitMap | Cron | datetime) -> None:
        heapq.heappush(self._timers, (due, next(self._tie), what, payload))

    def _wake(self, automated: Automated, due: datetime, of: str, which: BitMap, now: datetime) -> None:
        """The asset is asked again then: for these partitions, or for those made from them when they are an upstream asset's."""
        ways = [crossing for key, crossing in automated.deps if key == of]
        asked = BitMap.union(EMPTY, *(each.downstream(which, now) for each in ways)) if of else which
        self._at(due, automated.key, asked)

    def next_due(self) -> datetime | None:
        """When a turn is due although nothing happens; None when never."""
        return self._timers[0][0] if self._timers else None

    def is_due(self, now: datetime) -> bool:
        """Whether a turn has something to do."""
        return bool(
            self._turn
            or self._decided.requests
            or self.changed
            or self._asked_again
            or (self._timers and self._timers[0][0] <= now)
        )

    def is_under_way(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._turn is not None

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

    def _begin(self, now: datetime) -> Turn:
        turn = Turn(self, now, self._decided)
        self.happened, self._decided = {}, Outcome()
        while self._timers and self._timers[0][0] <= now:
            due, _, what, payload = heapq.heappop(self._timers)
            self._fire(turn, due, what, payload)
        changed, self.changed = self.changed, {}
        for key, ordinals in changed.items():
            self._spread(turn, key, ordinals)
        again, self._asked_again = self._asked_again, {}
        for key, scope in again.items():
            if (automated := self._asked(key)) is not None:
                turn.mark(automated, scope)
        return turn

    def _asked(self, key: str) -> Automated | None:
        return None if key in self.broken else self.declared.automated.get(key)

    def _spread(self, turn: Turn, key: str, ordinals: BitMap) -> None:
        """Marks an asset, if it has a condition, and all that look at it."""
        if (automated := self._asked(key)) is not None:
            turn.mark(automated, ordinals)
        self._spread_below(turn, key, ordinals)

    def _spread_below(self, turn: Turn, key: str, ordinals: BitMap) -> None:
        for automated, crossing in self.declared.watchers.get(key, ()):
            if automated.key not in self.broken:
                turn.mark(automated, crossing.downstream(ordinals, turn.now))

    def _fire(self, turn: Turn, due: datetime, what: str | Space, payload: BitMap | Cron | datetime) -> None:
        if isinstance(what, Space):
            if not self._windows.is_awaited(what, due):
                return
            if isinstance(payload, datetime):
                self._windows_move(turn, self._windows.keys_of(what), Moved(what, payload, turn.now))
            if (following := self._windows.look_again(what, turn.now)) is not None:
                self._at(following, what, turn.now)
            return
        automated = self._asked(what)
        if isinstance(payload, Cron):
            if automated is None or payload not in automated.program.crons:
                self._scheduled.discard((what, payload))
                return
            turn.crons[what].add(payload)
            self.memories[what].ticked = turn.now
            turn.mark(automated, self.facts[what].space.existing(turn.now))
            self._at(next_tick(payload, max(due, turn.now)), what, payload)
        elif automated is not None and isinstance(payload, BitMap):
            turn.mark(automated, payload)

    def _windows_move(self, turn: Turn, keys: list[str], moved: Moved) -> None:
        for key in keys:
            if (automated := self._asked(key)) is not None:
                self.memories[key].begin(moved.fresh, automated.program.states)
                turn.mark(automated, moved.within(automated.program.lookbacks))
            for automated, crossing in self.declared.watchers.get(key, ()):
                if automated.key not in self.broken:
                    turn.mark(automated, crossing.downstream(moved.within(automated.program.lookbacks), turn.now))

    def _evaluate(self, turn: Turn, automated: Automated, scope: BitMap) -> None:
        key, memory, program = automated.key, self.memories[automated.key], automated.program
        asking = Asking(turn, key, automated.deps, memory, frozenset(turn.crons.get(key, ())), scope)
        turn.outcome.asked_of[automated.team] += 1
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
        self._altered.add(key)
        for due, of, which in asking.wakes:
            self._wake(automated, due, of, which, turn.now)
        if program.settles and any(each.true and each.place in program.moments for each in asking.findings):
            self._ask_again(key, scope)
        may_request = not fresh or self._may_request(automated.team, key)
        if kept := memory.unanswered(program.customs, fresh) if may_request else fresh:
            memory.held -= kept
            self.withheld.hold_back(key, kept)
            fresh = fresh - kept
        if fresh:
            self._request(turn, automated, fresh)
        findings = tuple(asking.findings)
        if fresh or self._last.get(key) != hash(findings):
            self._last[key] = hash(findings)
            turn.outcome.evaluated.append(Evaluated(key, turn.now, findings, fresh))

    def _request(self, turn: Turn, automated: Automated, fresh: BitMap) -> None:
        key = automated.key
        queued = self.facts[key].queued  # whose step will take the inputs that there are when it goes out
        if left := fresh & self._coming(key):
            self.withheld.leave(key, left)
            fresh = fresh - left
        if not fresh:
            return
        if more := fresh - BitMap(each for each in fresh if each in queued) if queued else fresh:
            turn.outcome.requests[key] = more
            self._spread_below(turn, key, more)
            self.withheld.not_in_vain(key)
        elif self.withheld.gives_up(key, fresh):
            return
        self.moments_of(key).requested |= fresh
        self.change(key, fresh)
