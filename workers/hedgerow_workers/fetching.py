"""Fetching: takes as many messages off the broker in one round trip as there is room for, and brings them to the pool as they are.

Kombu asks for one message at a time and makes objects of it that Celery needs for what is turned off here; that was half of what
a short step cost a worker. The connection, its recovery, the queues' turns and the event loop stay kombu's: only the command that
waits for messages and the reading of its answer are replaced. A message that is not one of ours goes kombu's way.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from queue import Empty
from typing import Any

import msgspec
from celery import bootsteps

from hedgerow import clock
from hedgerow.protocol import names

MOST = 64  # messages in one answer


class _Headers(msgspec.Struct):
    task: str = ""


class _Properties(msgspec.Struct):
    body_encoding: str = ""


class _Message(msgspec.Struct):
    body: str
    headers: _Headers
    properties: _Properties


_message_decoder = msgspec.json.Decoder(_Message)
_body_decoder = msgspec.json.Decoder(tuple[tuple[str], dict[str, Any], Any])


def order_text(item: bytes) -> str | None:
    """What our task is called with in a message as kombu puts it on a Redis list; None when it is another's message."""
    try:
        message = _message_decoder.decode(item)
        if message.headers.task != names.CELERY_TASK or message.properties.body_encoding != "base64":
            return None
        (text,), _, _ = _body_decoder.decode(b64decode(message.body))
    except (msgspec.MsgspecError, ValueError):
        return None
    return text


class Fetching:
    """Replaces how one channel of kombu's waits for messages. `room()` is how many may be taken, `take` gets each order's text."""

    def __init__(self, channel: Any, room: Callable[[], int], take: Callable[[str], None]) -> None:
        self._channel, self._room, self._take = channel, room, take

    def install(self) -> None:
        """From now on the channel does so, until it is closed; a new connection brings a new channel."""
        self._channel._brpop_start = lambda timeout=None: self._ask(timeout)
        self._channel._brpop_read = self._channel.handlers["BRPOP"] = self._read

    def _ask(self, timeout: float | None = None) -> None:
        channel = self._channel
        queues = channel._queue_cycle.consume(len(channel.active_queues))
        if not queues:
            return
        prefix = channel.global_keyprefix or ""
        keys = [f"{prefix}{channel._q_for_pri(queue, pri)}" for pri in channel.priority_steps for queue in queues]
        channel._in_poll = channel.client.connection
        channel._brpop_sent_at = clock.monotonic()
        count = max(1, min(MOST, self._room()))
        wait_s = timeout or channel.brpop_timeout or 0
        channel.client.connection.send_command("BLMPOP", wait_s, len(keys), *keys, "RIGHT", "COUNT", count)

    def _read(self, **options: Any) -> bool:
        channel = self._channel
        try:
            try:
                answer = channel.client.parse_response(channel.client.connection, "BLMPOP", **options)
            except channel.connection_errors:
                channel.client.connection.disconnect()  # the next round connects again
                raise
            if not answer:
                raise Empty
            key, items = answer
            prefix = channel.global_keyprefix or ""
            queue = key.decode()[len(prefix) :].rsplit(channel.sep, 1)[0]
            channel._queue_cycle.rotate(queue)
            for item in items:
                text = order_text(item)
                if text is None:
                    channel.connection._deliver(msgspec.json.decode(item), queue)
                else:
                    self._take(text)
            return True
        finally:
            channel._in_poll = None
            channel._flush_brpop_reauth()


class FetchStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Has Celery's consumer fetch in this way, again after each reconnection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def register_with_event_loop(self, consumer: Any, _hub: Any) -> None:
        """Called by Celery whenever the loop begins."""
        pool, execute = consumer.pool, consumer.app.service.execute
        fetching = Fetching(consumer.task_consumer.channel, lambda: pool.free, lambda text: pool.submit(execute, text))
        fetching.install()
