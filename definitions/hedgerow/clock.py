"""The only place that reads the wall clock or draws random numbers: everything else takes them as arguments."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

# A hexadecimal digit of noise with its two highest bits replaced by 10: the variant of every UUID in use.
_VARIANT = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in milliseconds since 1970, as carried on the wire."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds of a clock that never goes back, for durations and timers within one process."""
    return time.monotonic()


def thread_time() -> float:
    """Seconds of the processor's time that this thread has had: they do not pass while it waits, or is frozen."""
    return time.thread_time()


def uuid7(at_ms: int | None = None, randomness: bytes | None = None) -> str:
    """A UUID version 7 (RFC 9562, section 5.7) in its 36-character form: sorts by time of creation.

    `at_ms` is milliseconds since 1970 (default: the wall clock), `randomness` ten bytes (default: from the system).

    >>> uuid7(0x017F22E279B0, bytes.fromhex("0cc318c4dc0c0c07398f"))
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    time_part = f"{(now_ms() if at_ms is None else at_ms) & 0xFFFFFFFFFFFF:012x}"
    noise = (os.urandom(10) if randomness is None else randomness).hex()
    return f"{time_part[:8]}-{time_part[8:]}-7{noise[1:4]}-{_VARIANT[noise[4]]}{noise[5:8]}-{noise[8:]}"


def nonce() -> str:
    """Sixteen random hexadecimal digits: the part of a claim token that no one else can guess or repeat."""
    return os.urandom(8).hex()


def jitter() -> float:
    """A random number in [0, 1), for spreading retries."""
    return int.from_bytes(os.urandom(7), "big") / (1 << 56)
