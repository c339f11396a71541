"""Connections of our own to the team's broker, beside the one that Celery consumes from."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT_S = 2.0

# What a command can raise when the broker is away, frozen, full, restarting or refuses us: all of them are tried again by the caller.
BrokerErrors = (redis.RedisError, OSError)


def connect(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client that tries each command once and gives up after `timeout_s`.

    The client's own retries are off: they would turn an ambiguous timeout into a command that lands twice, and hold a
    thread for minutes on a frozen server. RESP 2 keeps the handshake to what the access rules of a team allow.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
