"""Loopback ports that stay the same from one start to the next."""

from __future__ import annotations

import json
import socket
import zlib
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST, COUNT = 20_000, 12_000  # below the ports that systems hand out for outgoing connections (Linux: from 32768)


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError):  # the latter: there is no such port
            return False
    return True


def choose(home: Path, name: str, *, preferred: int | None = None) -> int:
    """A free port for server `name`: the one remembered in `home`/ports.json if it is free, else another, remembered from now on.

    `preferred` is tried before others when none is remembered. New ones are looked for from a number that follows from the path, so that two platforms on a machine seldom meet.
    """
    memory = home / "ports.json"
    try:
        known = {str(key): int(value) for key, value in json.loads(memory.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        known = {}
    taken = {port for other, port in known.items() if other != name}
    start = zlib.crc32(f"{home}:{name}".encode())
    candidates = [known[name]] if name in known else [] if preferred is None else [preferred]
    candidates += [FIRST + (start + step) % COUNT for step in range(COUNT)]
    port = next(port for port in candidates if port not in taken and is_free(port))
    if known.get(name) != port:
        memory.write_text(json.dumps({**known, name: port}, indent=1) + "\n")
    return port
