"""Connections of our own to the team's broker, beside the one that Celery consumes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT_S = 2.0

# What a command can raise when the broker is away, frozen, full, restarting or refuses us: all of them are tried again by the caller.
BrokerErrors = (redis.RedisError, OSError)

Command: TypeAlias = Sequence[str | bytes]


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


class Asks(Protocol):
    """What sends commands to the broker for one thread, see `Line`."""

    def ask(self, commands: Sequence[Command]) -> list[object]:
        """The answers in order; the server's refusal of a command is in its place, as the exception. One of `BrokerErrors` when there are none."""


class Line:
    """A connection for one thread, which sends several commands at once: half the CPU of a client's calls, a tenth if there are many."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None  # its methods have no annotations

    def ask(self, commands: Sequence[Command]) -> list[object]:
        """The answers in order; the server's refusal of a command is in its place, as the exception.

        One of `BrokerErrors` when the connection fails: any of the commands may have been carried out. The next time there is another.
        """
        connection = self._connection
        if connection is None:
            connection = self._connection = self._pool.get_connection()
        try:
            connection.send_packed_command([packed(commands)])
            return [_answer(connection) for _ in commands]
        except BaseException:
            connection.disconnect()
            raise


def packed(commands: Sequence[Command]) -> bytes:
    r"""Commands as the broker's protocol has them: RESP arrays of bulk strings. The client's own packing takes five times the CPU.

    >>> packed([("GET", "å")])
    b'*2\r\n$3\r\nGET\r\n$2\r\n\xc3\xa5\r\n'
    """
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for word in command:
            data = word if isinstance(word, bytes) else word.encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def _answer(connection: Any) -> object:
    try:
        return connection.read_response(disconnect_on_error=False)
    except redis.ResponseError as error:
        return error
