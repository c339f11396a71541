"""The inbox: a bounded lane per team from the brokers' threads to the loop, and the bell that wakes the loop."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeAlias

import msgspec

from hedgerow import clock
from hedgerow_scheduler.ingest.fold import Entry


class Batch(msgspec.Struct, frozen=True):
    """Entries of a team's stream, read in one go at `read_at` (`clock.monotonic`). `is_drained`: the stream was read to its end;
    `length`: how many entries it holds, now and then.
    """

    team: str
    entries: tuple[Entry, ...]
    is_drained: bool
    generation: int
    read_at: float
    length: int | None = None


class StreamLost(msgspec.Struct, frozen=True):
    """A team's stream can't be followed any further: the broker lost it, for its epoch is not the one that the leader wrote, or the
    team has spoilt it with entries whose ids are far `ahead` of the broker's clock.
    """

    team: str
    generation: int
    ahead: tuple[Entry, ...] = ()


class ClaimAnswer(msgspec.Struct, frozen=True):
    """Who holds the claim of an attempt that the scheduler wanted to take: None means the scheduler does. `failed`: no answer."""

    attempt_id: str
    holder: str | None
    failed: bool = False


Message: TypeAlias = Batch | StreamLost | ClaimAnswer
# What a cycle takes: of all teams together, in equal shares of those whose lanes hold something, but of each at least an entry.
PORTION_BYTES = 512 * 1024
LEAST_SHARE_BYTES = 16 * 1024
# A lane that holds so much is full: its stream is not read until there is room, and no other stream is kept waiting.
LANE_BYTES = 1024 * 1024
LANE_MESSAGES = 2_000


class _Lane:
    """What is inside of one team, oldest first. Nothing is taken before `held_until` (`clock.monotonic`)."""

    def __init__(self) -> None:
        self.messages: deque[Batch | StreamLost] = deque()
        self.size = 0
        self.news = 0  # messages that say more than that there was nothing to read
        self.held_until = 0.0

    def put(self, message: Batch | StreamLost) -> None:
        last = self.messages[-1] if self.messages else None
        if not _is_news(message) and isinstance(message, Batch) and isinstance(last, Batch):
            length = last.length if message.length is None else message.length
            self.messages[-1] = msgspec.structs.replace(
                last, is_drained=message.is_drained, length=length, read_at=message.read_at
            )
            return
        self.messages.append(message)
        self.news += _is_news(message)
        self.size += _size(message)

    def take(self, budget: int) -> list[Batch | StreamLost]:
        """The oldest messages up to `budget` bytes; of a larger batch the first entries, but at least one."""
        taken: list[Batch | StreamLost] = []
        while self.messages and budget > 0:
            message, rest = self.messages.popleft(), None
            if isinstance(message, Batch) and _size(message) > budget and len(message.entries) > 1:
                message, rest = _split(message, budget)
            taken.append(message)
            size = _size(message)
            self.size -= size
            budget -= size
            if rest is None:
                self.news -= _is_news(message)
            else:  # the rest is what the news is now
                self.messages.appendleft(rest)
                break
        return taken


class Inbox:
    """The messages for the loop. Each team has a lane of its own, so that one which floods the platform delays only itself."""

    def __init__(self) -> None:
        self._generation = 0
        self._answers: deque[ClaimAnswer] = deque()
        self._lanes: dict[str, _Lane] = {}
        self._arrived = threading.Condition()
        self.bell = threading.Event()

    def begin_term(self, generation: int) -> None:
        """Forgets what was read before this term; what its readers still bring is not taken either."""
        with self._arrived:
            self._generation = generation
            self._lanes.clear()

    def put(self, message: Message) -> None:
        """Hands a message over and rings the bell, unless it says only that there was nothing to read."""
        with self._arrived:
            if isinstance(message, ClaimAnswer):
                self._answers.append(message)
            elif message.generation != self._generation:
                return
            else:
                self._lanes.setdefault(message.team, _Lane()).put(message)
            self._arrived.notify_all()
        if isinstance(message, ClaimAnswer) or _is_news(message):
            self.bell.set()

    def is_full(self, team: str) -> bool:
        """Whether a team's stream is not to be read for now."""
        with self._arrived:
            lane = self._lanes.get(team)
            return lane is not None and (lane.size >= LANE_BYTES or len(lane.messages) >= LANE_MESSAGES)

    def hold(self, team: str, wait_s: float) -> None:
        """Takes nothing of a team for so long."""
        with self._arrived:
            lane = self._lanes.setdefault(team, _Lane())
            lane.held_until = max(lane.held_until, clock.monotonic() + wait_s)

    def gather(self, busy: frozenset[str], wait_s: float) -> None:
        """Lets entries of `busy` teams come together for so long; those of any other team end it at once."""
        with self._arrived:
            self._arrived.wait_for(lambda: not self._with_news() <= busy, wait_s)

    def take(self) -> list[Message]:
        """What a cycle is to take, of each team in order; the bell rings again for what is left and not held."""
        messages: list[Message] = []
        with self._arrived:
            messages.extend(self._answers)
            self._answers.clear()
            now = clock.monotonic()
            lanes = [lane for lane in self._lanes.values() if lane.messages and lane.held_until <= now]
            share = max(LEAST_SHARE_BYTES, PORTION_BYTES // max(1, sum(lane.news > 0 for lane in lanes)))
            for lane in lanes:
                messages.extend(lane.take(share))
            if any(lane.news for lane in lanes):
                self.bell.set()
        return messages

    def held_s(self) -> float | None:
        """The seconds until something that is held may be taken; None when nothing is."""
        now = clock.monotonic()
        with self._arrived:
            held = [lane.held_until - now for lane in self._lanes.values() if lane.news and lane.held_until > now]
        return min(held, default=None)

    def _with_news(self) -> frozenset[str]:
        now = clock.monotonic()
        return frozenset(team for team, lane in self._lanes.items() if lane.news and lane.held_until <= now)


def _is_news(message: Batch | StreamLost) -> bool:
    return not isinstance(message, Batch) or bool(message.entries)


def _size(message: Batch | StreamLost) -> int:
    return sum(len(entry.body) for entry in message.entries) if isinstance(message, Batch) else 0


def _split(batch: Batch, budget: int) -> tuple[Batch, Batch | None]:
    """The first entries up to `budget` bytes, and the rest."""
    cut, size = 0, 0
    for entry in batch.entries:
        if cut and size + len(entry.body) > budget:
            break
        size += len(entry.body)
        cut += 1
    if cut == len(batch.entries):
        return batch, None
    first = Batch(batch.team, batch.entries[:cut], False, batch.generation, batch.read_at)
    return first, msgspec.structs.replace(batch, entries=batch.entries[cut:])
