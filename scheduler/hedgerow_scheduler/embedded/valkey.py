"""The embedded Valkey: writes its configuration and says how to start it."""

from __future__ import annotations

import os
import secrets
import signal
import string
from pathlib import Path

import redis

from hedgerow_scheduler.embedded import binaries, ports
from hedgerow_scheduler.embedded.children import Child, Launch, end_leftover, kept

STOP = "SIGTERM:10"
LEFTOVER = ((signal.SIGTERM, 10.0),)


def prepare(home: Path, *, durable: bool = True, log: Path | None = None) -> tuple[Launch, str]:
    """The launch of the Valkey whose data is under `home`, and its URL. Raises PlatformError HR-P201."""
    binary = binaries.valkey_server()
    data = home / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    secret = home / "valkey.password"
    if not secret.exists():
        fresh = secret.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24))
        fresh.replace(secret)
    password = secret.read_text()
    port = ports.choose(home, "valkey")
    settings = {
        "bind": ports.LOOPBACK,
        "port": port,
        "requirepass": password,  # in a file of mode 0600, never in the arguments
        "dir": _quoted(data),
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    configuration = home / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    record = home / "valkey.pid.json"
    url = f"redis://:{password}@{ports.LOOPBACK}:{port}/0"

    def ready(_child: Child) -> bool:
        try:
            with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=None) as client:
                return bool(client.ping())
        except redis.RedisError:  # refused, or still loading its file
            return False

    launch = Launch(
        name="valkey",
        command=kept([str(binary), str(configuration)], record=record, stop=STOP, account=None),
        log=log or home / "logs" / "valkey.log",
        environ={"LC_ALL": "C", "PATH": os.defpath},
        ready=ready,
        where=f"{ports.LOOPBACK}:{port}",
        before=lambda: end_leftover(record, LEFTOVER),
    )
    return launch, url


def _quoted(path: Path) -> str:
    r"""`path` as a value of a configuration file, whatever characters it has.

    >>> _quoted(Path('/a "b"/ö'))
    '"/a \\x22b\\x22/\\xc3\\xb6"'
    """
    plain = (string.ascii_letters + string.digits + " /-_.,:+@").encode()
    parts = (chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f'"{"".join(parts)}"'
