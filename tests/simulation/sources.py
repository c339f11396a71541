"""What the sensors of a simulated town look at: things that come one after the other, until the world is healed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from hedgerow.protocol.sensing import RequestedRun, SensorAnswer, SensorQuestion
from simulation.evaluating import Said
from simulation.town import KEYS

EVERY_S = 11.0
AT_ONCE = 3  # things that one answer asks runs for
REASONS = ("ok", "user_error", "runner_lost", "bad_result")


class Sources:
    """`seconds` tells the time of the world."""

    def __init__(self, seconds: Callable[[], float], rng: Random) -> None:
        self._seconds, self.rng = seconds, rng
        self._ended: int | None = None

    @property
    def count(self) -> int:
        """How many things there are."""
        return int(self._seconds() / EVERY_S) if self._ended is None else self._ended

    def end(self) -> None:
        """Nothing comes any more."""
        self._ended = self.count

    def says(self, name: str, argument: bytes) -> Said:
        """What a sensor answers: `ticker` relies on its cursor alone, `inbox` repeats itself, and relies on its dedupe keys."""
        seconds = self.rng.choice((0.05, 0.2, 1.0, 4.0, 9.0) if self._ended is None else (0.05, 0.2, 1.0))
        reason = self.rng.choices(REASONS, (85, 6, 6, 3))[0]
        cursor = int(msgspec.json.decode(argument, type=SensorQuestion).cursor or 0)
        following = list(range(cursor + 1, min(cursor + AT_ONCE, self.count) + 1))
        keeps = name == "inbox" and self.rng.random() < 0.3
        again = [cursor] if name == "inbox" and cursor and self.rng.random() < 0.5 else []
        runs = tuple(self._run(name, number) for number in (*again, *following))
        moved = str(following[-1]) if following and not keeps else None
        answer = SensorAnswer(runs, moved, "" if runs else "nothing new")
        return Said(seconds, reason, msgspec.json.encode(answer))  # type: ignore[arg-type]

    @staticmethod
    def _run(name: str, number: int) -> RequestedRun:
        key = KEYS.keys[number % len(KEYS.keys)]
        dedupe_key = f"thing {number}" if name == "inbox" else ""
        return RequestedRun(("raw",), (key,), tags={"thing": str(number)}, dedupe_key=dedupe_key)
