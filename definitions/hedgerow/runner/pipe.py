"""The runner's two pipes to its worker: frames in, frames out, and the end of the process when the worker is gone."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator

from hedgerow import clock
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_body, encode_envelope
from hedgerow.protocol.events import MAX_EVENT_BYTES
from hedgerow.protocol.runner import FRAME_HEADER_BYTES, MAX_FRAME_BYTES

_READ_BYTES = 1 << 16
_HANG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


class FrameError(Exception):
    """The worker sent something that is no frame: the two can't understand each other any more."""


class Orders:
    """The pipe from which the worker's messages are read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._closed = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        os.set_inheritable(descriptor, False)

    def next(self) -> bytes | None:
        """The body of the next frame; None when the worker has closed the pipe. Raises `FrameError`."""
        while (body := self._take()) is None:
            if not self._read():
                return None
        return body

    def arrived(self) -> Iterator[bytes]:
        """The bodies of the frames that have arrived, without waiting for more. Raises `FrameError`."""
        while self._poll.poll(0) and self._read():
            pass
        while not self._closed and (body := self._take()) is not None:
            yield body

    def end_with_worker(self) -> None:
        """From now on a thread ends this process, and its process group if it leads one, when the worker closes the pipe.

        It also ends it in the middle of the team's code. Only code that holds the interpreter's lock for ever escapes.
        """
        threading.Thread(target=self._watch, name="hedgerow-lifeline", daemon=True).start()

    def _take(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < FRAME_HEADER_BYTES:
            return None
        size = int.from_bytes(buffer[:FRAME_HEADER_BYTES], "big")
        if size > MAX_FRAME_BYTES:
            raise FrameError(f"a frame of {size:,} bytes, at most {MAX_FRAME_BYTES:,} are allowed")
        end = FRAME_HEADER_BYTES + size
        if len(buffer) < end:
            return None
        body = bytes(buffer[FRAME_HEADER_BYTES:end])
        del buffer[:end]
        return body

    def _read(self) -> bool:
        chunk = b"" if self._closed else os.read(self._descriptor, _READ_BYTES)
        self._closed = not chunk
        self._buffer += chunk
        return not self._closed

    def _watch(self) -> None:
        # Waiting for the hang-up alone costs nothing while orders come and go, unlike a thread that hands them over.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLHUP)
        pause = threading.Event()
        while not any(happened & _HANG_UP for _, happened in poll.poll()):
            pause.wait(0.1)  # some systems report data as well; do not spin on it
        end_process(1)


class Events:
    """The pipe to the worker. What is emitted is held until `flush`, so that a short step costs one write."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending: list[bytes] = []
        self._process = os.getpid()
        self._muted = False
        os.set_inheritable(descriptor, False)
        # A fork of the team's code must neither speak for us nor keep the pipe open after our end.
        os.register_at_fork(after_in_child=lambda: os.close(descriptor))

    def emit(self, kind: str, body: object, *, limit: int = MAX_EVENT_BYTES) -> int:
        """Hold a message for the next `flush`. Returns its body's size; a body over `limit` bytes is not held.

        Raises `msgspec.MsgspecError`, `TypeError` or `ValueError` for what JSON can't hold.
        """
        raw = encode_body(body)
        size = len(memoryview(raw))
        if size <= limit:
            now_ms = clock.now_ms()
            data = encode_envelope(Envelope(clock.uuid7(now_ms), kind, WIRE_VERSION, raw, now_ms))
            self._pending.append(len(data).to_bytes(FRAME_HEADER_BYTES, "big") + data)
        return size

    def flush(self) -> None:
        """Write what is held. The process ends if the worker is gone."""
        if os.getpid() != self._process:
            os._exit(1)  # a fork that returned from the team's function
        if self._muted or not self._pending:
            return
        rest = memoryview(b"".join(self._pending))
        self._pending.clear()
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            end_process(1)

    def mute(self) -> None:
        """Say nothing any more."""
        self._muted = True

    def forget(self) -> None:
        """Drop what is held."""
        self._pending.clear()


def end_process(status: int) -> None:
    """End this process at once, and with it its process group if it leads one: nothing of a step outlives its runner."""
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(status)
