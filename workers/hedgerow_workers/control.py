"""Listens to what the scheduler says to the team's workers: cancel, drain, send the manifest, send events again, evaluate."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec
import redis

from hedgerow.protocol import control, names
from hedgerow.protocol.envelope import decode_envelope
from hedgerow.protocol.events import STREAM_FIELD
from hedgerow_workers.broker import SOCKET_TIMEOUT_S, BrokerErrors

# Shorter than the socket's timeout: an answer that does not come is then a fault of the connection.
BLOCK_MS = int(SOCKET_TIMEOUT_S * 500)
RETRY_S = 0.5
COUNT = 1000
FIRST = "0-0"

Handlers: TypeAlias = Mapping[type[control.Control], Callable[[Any], None]]
Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]

log = logging.getLogger("hedgerow.worker")


class ControlReader:
    """Calls the handler of each message's type, in a thread of its own.

    To be started before anything is reported to which the scheduler may answer.
    """

    def __init__(self, client: redis.Redis, deployment: str, team: str, handlers: Handlers) -> None:
        self._client = client
        self._stream = names.control_stream(deployment, team)
        self._handlers = dict(handlers)
        self._last = FIRST
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begins to listen: whatever is said after this call is heard."""
        self.skip()
        self._thread.start()

    def handle(self, kind: type[control.Control], handler: Callable[[Any], None]) -> None:
        """Has messages of another type handled from now on; those of a type that nobody handles are passed over."""
        self._handlers[kind] = handler

    def skip(self) -> None:
        """Passes over what was said so far."""
        try:
            while entries := self._read(None):
                self._last = entries[-1][0].decode()
        except BrokerErrors as error:
            # What was said before us is then heard as well, which does no harm.
            log.debug("the end of the control stream could not be found: %s", error)

    def close(self) -> None:
        """Ends."""
        self._stopped.set()

    def turn(self) -> float:
        """Waits for messages and has them handled; returns the seconds after which to do so again."""
        try:
            entries = self._read(BLOCK_MS)
        except BrokerErrors as error:
            log.debug("control messages could not be read: %s", error)
            return RETRY_S
        for entry_id, fields in entries:
            self._last = entry_id.decode()
            self._handle(fields.get(STREAM_FIELD, b""))
        return 0.0

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._stopped.wait(self.turn())

    def _read(self, block_ms: int | None) -> list[Entry]:
        answer = self._client.xread({self._stream: self._last}, count=COUNT, block=block_ms)
        return [entry for _, entries in cast("list[tuple[bytes, list[Entry]]]", answer or []) for entry in entries]

    def _handle(self, data: bytes) -> None:
        try:
            envelope = decode_envelope(data)
            kind = control.KINDS.get(envelope.kind)
            handler = self._handlers.get(kind) if kind is not None else None
            if kind is None or handler is None:
                return  # of a newer scheduler, for newer workers; or nothing to us yet
            message = msgspec.json.decode(envelope.body, type=kind)
        except msgspec.MsgspecError as error:
            log.warning("a control message can't be read: %s", error)
            return
        try:
            handler(message)
        except Exception:
            log.exception("control message %s failed", envelope.kind)
