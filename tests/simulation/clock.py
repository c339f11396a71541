"""The clock and the randomness of a simulated world, in the place of `hedgerow.clock`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

from hedgerow import clock

START = datetime(2024, 6, 1, 12, tzinfo=UTC)
_START_MS = int(START.timestamp() * 1000)


class VirtualClock:
    """Seconds since the world began, moved by the world alone. `skew_ms` is by how much the machine whose code runs now is ahead."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.skew_ms = 0

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.seconds += seconds

    def now(self) -> datetime:
        """The true time."""
        return START + timedelta(seconds=self.seconds)

    def now_ms(self) -> int:
        """The true time, in milliseconds since 1970."""
        return _START_MS + int(self.seconds * 1000)


@contextmanager
def virtual_time(virtual: VirtualClock, rng: Random) -> Iterator[None]:
    """Within it, `hedgerow.clock` tells the time of `virtual` and draws from `rng`."""
    real = {name: getattr(clock, name) for name in ("now", "now_ms", "monotonic", "uuid7", "nonce", "jitter")}
    uuid7 = clock.uuid7

    def now_ms() -> int:
        return _START_MS + int(virtual.seconds * 1000) + virtual.skew_ms

    def virtual_uuid7(at_ms: int | None = None, randomness: bytes | None = None) -> str:
        return uuid7(now_ms() if at_ms is None else at_ms, rng.randbytes(10) if randomness is None else randomness)

    replaced = {
        "now": lambda: virtual.now() + timedelta(milliseconds=virtual.skew_ms),
        "now_ms": now_ms,
        "monotonic": lambda: virtual.seconds,
        "uuid7": virtual_uuid7,
        "nonce": lambda: f"{rng.getrandbits(64):016x}",
        "jitter": rng.random,
    }
    try:
        for name, function in replaced.items():
            setattr(clock, name, function)
        yield
    finally:
        for name, function in real.items():
            setattr(clock, name, function)
