"""One runner: a process of the team's interpreter that has loaded the team's code, and the pipes to speak to it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hedgerow import clock
from hedgerow.errors import PlatformError, Problem
from hedgerow.protocol import runner as protocol
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, decode_envelope, encode_body, encode_envelope

READ_BYTES = 256 * 1024
TAIL_BYTES = 4096
SMALL_PIPE_BYTES = 16 * 1024
COMMAND = ("-m", "hedgerow.runner")


class RunnerEndedError(Exception):
    """The runner closed its pipe: it has ended, or is about to."""


class Runner:
    """A runner process in a session of its own. One thread at a time speaks to it; any thread may signal it.

    `boot_log` gets what is printed outside of attempts. `doomed` is why it was killed on purpose, if it was.
    """

    def __init__(self, python: Path, directory: Path, environment: dict[str, str], spools: Path, number: int) -> None:
        self.number = number
        self._folder = spools
        self._spools: list[Path] = []
        self._spools_made = 0
        self.boot_log = spools / f"{number}.boot.log"
        self.steps = 0
        self.hash = ""
        self.doomed: Problem | None = None
        self._buffer = bytearray()
        orders_read, self._orders = os.pipe()
        try:
            self._events, events_write = os.pipe()
        except OSError:
            os.close(orders_read)
            os.close(self._orders)
            raise
        variables = {
            **environment,
            "HEDGEROW_ORDERS_FD": str(orders_read),
            "HEDGEROW_EVENTS_FD": str(events_write),
        }
        try:
            with self.boot_log.open("ab") as output:
                self._process = subprocess.Popen(
                    (str(python), *COMMAND),
                    cwd=directory,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(orders_read, events_write),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(self._orders)
            os.close(self._events)
            raise PlatformError(
                Problem(
                    "HR-P101",
                    f"A runner can't be started with {python}: {error}.",
                    "Check [code] python in hedgerow.toml: it must be an interpreter of this machine with hedgerow installed.",
                )
            ) from error
        finally:
            os.close(orders_read)
            os.close(events_write)
        self._ahead_bytes = _capacity(self._orders) // 2
        self._poll = select.poll()
        self._poll.register(self._events, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process id, which is also that of its process group and session."""
        return self._process.pid

    def send(self, body: object) -> None:
        """Sends one message; `RunnerEndedError` when nobody reads any more."""
        self.write(_frame(body))

    def send_within(self, body: object, timeout_s: float) -> None:
        """As `send`; TimeoutError, after a part of it, when the runner does not take it in time: it can't be spoken to any more."""
        rest = memoryview(_frame(body))
        until = clock.monotonic() + timeout_s
        room = select.poll()
        room.register(self._orders, select.POLLOUT)
        while rest:
            if not room.poll(max(0.0, until - clock.monotonic()) * 1000):
                raise TimeoutError
            # Where there is room at all, there is for so much: the write does not wait.
            self.write(rest[: select.PIPE_BUF])
            rest = rest[select.PIPE_BUF :]

    def frames(self, messages: Sequence[object]) -> list[bytes]:
        """The frames of the first of these messages, one at least: what `write` can send ahead without ever having to wait.

        Half of what the pipe holds, as the kernel may leave pages of it half empty: a runner that waits for us to read its events
        does not read, and must not be waited for.
        """
        frames: list[bytes] = []
        size = 0
        for message in messages:
            frame = _frame(message)
            size += len(frame)
            if frames and size > self._ahead_bytes:
                break
            frames.append(frame)
        return frames

    def write(self, frames: bytes | memoryview) -> None:
        """Sends frames; `RunnerEndedError` when nobody reads any more."""
        rest = memoryview(frames)
        try:
            while rest:
                rest = rest[os.write(self._orders, rest) :]
        except BrokenPipeError:
            raise RunnerEndedError from None

    def receive(self, timeout_s: float | None) -> Envelope | None:
        """The next message; None when there is none within `timeout_s`.

        `RunnerEndedError` at the end of the pipe, `msgspec.MsgspecError` when what comes is not a message.
        """
        while True:
            envelope = self._take_frame()
            if envelope is not None:
                return envelope
            if timeout_s is not None and not self._poll.poll(max(0.0, timeout_s) * 1000):
                return None
            data = os.read(self._events, READ_BYTES)
            if not data:
                raise RunnerEndedError
            self._buffer += data

    def signal_group(self, number: signal.Signals) -> None:
        """Signals the runner and every process that it started and that stayed in its group."""
        try:
            # Until the process is waited for, its id is not given to another one.
            if self._process.returncode is None:
                os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # macOS answers EPERM for a group of zombies

    def end(self) -> int:
        """Kills what is left of the group, frees everything, and returns the exit code (negative: the signal's number)."""
        if self._process.returncode is None:
            # A runner that closed its pipe may still be dying: its own exit code says more than our signal would.
            try:
                self._process.wait(0.2 if self._orders >= 0 and self._closed_by_runner() else 0)
            except subprocess.TimeoutExpired:
                pass
            if self._process.returncode is None:
                self.signal_group(signal.SIGKILL)
            else:
                _kill_orphans(self.pid)
        code = self._process.wait()
        for fd in (self._orders, self._events):
            if fd >= 0:
                os.close(fd)
        self._orders = self._events = -1
        for path in (*self._spools, self.boot_log):
            path.unlink(missing_ok=True)
        return code

    def exit_code(self) -> int | None:
        """The exit code of a runner that has ended, without waiting."""
        return self._process.poll()

    def wait_exit(self, timeout_s: float) -> int | None:
        """The exit code of a runner that is ending; None when it takes longer."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def spool(self, place: int) -> Path:
        """The file for the output of the attempt at this place, from 0, of those sent together; the next ones use it again."""
        while len(self._spools) <= place:
            self._spools.append(self._new_spool())
        return self._spools[place]

    def leave_spool(self, spool: Path) -> None:
        """Later attempts get another spool: this one belongs to an upload that has not ended."""
        self._spools[self._spools.index(spool)] = self._new_spool()

    def tail(self, spool: Path | None = None) -> str:
        """The last lines that it printed, in the attempt with this spool or outside of one."""
        return (tail_of(spool) if spool else "") or tail_of(self.boot_log)

    def _new_spool(self) -> Path:
        self._spools_made += 1
        return self._folder / f"{self.number}.{self._spools_made}.log"

    def _closed_by_runner(self) -> bool:
        return any(event & select.POLLHUP for _, event in self._poll.poll(0))

    def _take_frame(self) -> Envelope | None:
        buffer = self._buffer
        header = protocol.FRAME_HEADER_BYTES
        if len(buffer) < header:
            return None
        length = int.from_bytes(buffer[:header], "big")
        if length > protocol.MAX_FRAME_BYTES:
            raise msgspec.DecodeError(f"a frame of {length} bytes")
        if len(buffer) < header + length:
            return None
        data = bytes(buffer[header : header + length])
        del buffer[: header + length]
        return decode_envelope(data)


def _frame(body: object) -> bytes:
    data = encode_envelope(Envelope(clock.uuid7(), protocol.KIND_OF[type(body)], WIRE_VERSION, encode_body(body)))
    return len(data).to_bytes(protocol.FRAME_HEADER_BYTES, "big") + data


def _capacity(pipe: int) -> int:
    """How many bytes a pipe holds; Linux gives less than usual to a user with very many pipes, other systems do not say."""
    try:
        return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    except (AttributeError, OSError):
        return SMALL_PIPE_BYTES


def describe_exit(code: int) -> str:
    """How a process ended, in words.

    >>> describe_exit(-9), describe_exit(3)
    ('killed by SIGKILL', 'exited with code 3')
    """
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exited with code {code}"


def tail_of(path: Path, size: int = TAIL_BYTES) -> str:
    """The end of a text file, from a line's start; empty when there is none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            data = file.read()
    except OSError:
        return ""
    if end > size:
        data = data.partition(b"\n")[2] or data
    return data.decode("utf-8", "replace").strip()


def _kill_orphans(group: int) -> None:
    """Kills what the ended leader of a process group left in it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
