"""The only place that reads the wall clock or draws random numbers: everything else takes them as arguments."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in milliseconds since 1970, as carried on the wire."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds of a clock that never goes back, for durations and timers within one process."""
    return time.monotonic()


def uuid7(at_ms: int | None = None, randomness: bytes | None = None) -> str:
    """A UUID version 7 (RFC 9562, section 5.7) in its 36-character form: sorts by time of creation.

    `at_ms` is milliseconds since 1970 (default: the wall clock), `randomness` ten bytes (default: from the system).

    >>> uuid7(0x017F22E279B0, bytes.fromhex("0cc318c4dc0c0c07398f"))
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    stamp = now_ms() if at_ms is None else at_ms
    noise = bytearray(os.urandom(10) if randomness is None else randomness)
    noise[0] = (noise[0] & 0x0F) | 0x70
    noise[2] = (noise[2] & 0x3F) | 0x80
    digits = (stamp & 0xFFFFFFFFFFFF).to_bytes(6, "big").hex() + bytes(noise).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def nonce() -> str:
    """Sixteen random hexadecimal digits: the part of a claim token that no one else can guess or repeat."""
    return os.urandom(8).hex()


def jitter() -> float:
    """A random number in [0, 1), for spreading retries."""
    return int.from_bytes(os.urandom(7), "big") / (1 << 56)
