"""The token bucket: how many starts a rate still allows, on PostgreSQL's clock."""

from __future__ import annotations

from datetime import datetime, timedelta

# A quotient of floating point numbers may fall short of a whole token by less than this.
ALMOST = 1e-9
FAR_S = 10 * 366 * 86_400.0  # as far ahead as anything is told


class TokenBucket:
    """`tokens` as of `at`. In every window of w seconds at most burst + rate * w are taken while rate and burst stay the same
    (the token bucket of RFC 2697 with one rate). A bucket that was never used is full.
    """

    __slots__ = ("at", "burst", "rate", "tokens")

    def __init__(self, rate: float, burst: float, tokens: float, at: datetime) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = min(tokens, burst), at

    def refill(self, now: datetime) -> float:
        """The tokens at `now`. A clock that went backwards gives none and takes none."""
        elapsed = (now - self.at).total_seconds()
        if elapsed > 0:
            self.tokens = min(self.burst, self.tokens + elapsed * self.rate)
            self.at = now
        return self.tokens

    def has(self, now: datetime) -> bool:
        """Whether a token can be taken."""
        return self.refill(now) >= 1 - ALMOST

    def take(self, now: datetime) -> None:
        """Takes a token that `has` has promised."""
        self.refill(now)
        self.tokens -= 1

    def give_back(self) -> None:
        """A token that was taken at this very `now` and not used."""
        self.tokens = min(self.burst, self.tokens + 1)

    def due(self, now: datetime) -> datetime | None:
        """When the next token is there, at most ten years from now; None when there never will be one (rate 0)."""
        lacking = 1 - self.refill(now)
        if lacking <= ALMOST:
            return now
        return now + timedelta(seconds=min(lacking / self.rate, FAR_S)) if self.rate > 0 else None

    def change(self, rate: float, burst: float, now: datetime) -> None:
        """Another rate from `now` on: what was earned under the old one is kept, up to the new burst."""
        self.refill(now)
        self.rate, self.burst = rate, burst
        self.tokens = min(self.tokens, burst)
