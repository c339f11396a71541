"""Says every few seconds that the worker lives and what it holds; stops what must not outlive its lease."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

import redis

from hedgerow import clock
from hedgerow.protocol import events, names
from hedgerow.protocol.envelope import WIRE_VERSION, Envelope, encode_batch, encode_body, encode_envelope
from hedgerow_workers.attempts import Attempts, Stop
from hedgerow_workers.broker import BrokerErrors

# What is left of a lease when a step that must not run on without contact is stopped: time for SIGTERM, SIGKILL, clocks.
MARGIN_SHARE = 0.4
STOP_GRACE_SHARE = 0.15
LOST_RETRY_S = 1.0

log = logging.getLogger("hedgerow.worker")


class Heartbeat:
    """Sends `describe()` every `heartbeat_s`, and at once after `beat()`.

    `describe` gives the message as it is now. `broker_losses` counts how often contact was lost.
    """

    def __init__(
        self,
        client: redis.Redis,
        deployment: str,
        team: str,
        worker: str,
        heartbeat_s: float,
        lease_s: float,
        attempts: Attempts,
        describe: Callable[[], events.WorkerHeartbeat],
    ) -> None:
        self._client = client
        self._stream = names.events_stream(deployment, team)
        self._worker = worker
        self._heartbeat_s = heartbeat_s
        self._lease_s = lease_s
        self._attempts = attempts
        self._describe = describe
        self._now = threading.Event()
        self._stopped = False
        self.broker_losses = 0
        self.contact_at = clock.monotonic()
        self._in_contact = True
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Sends the first one."""
        self._thread.start()

    def beat(self) -> None:
        """Sends one more, now."""
        self._now.set()

    def close(self) -> None:
        """Ends; the last one is not waited for."""
        self._stopped = True
        self._now.set()

    def turn(self, now: float) -> float:
        """Sends one, and sees what must be stopped for want of contact. Returns when the next one is due, on the monotonic clock."""
        # Also before a heartbeat that succeeds: who was frozen finds its leases expired and its steps begun elsewhere.
        self._stop_what_must_not_run_on(now)
        if self._send(now):
            return now + self._heartbeat_s
        self._stop_what_must_not_run_on(clock.monotonic())
        # Lost contact is tried again more often than a heartbeat is due: leases run out meanwhile.
        return now + min(self._heartbeat_s, LOST_RETRY_S)

    def _run(self) -> None:
        while not self._stopped:
            self._now.clear()
            due = self.turn(clock.monotonic())
            self._now.wait(max(0.0, due - clock.monotonic()))

    def _send(self, started: float) -> bool:
        body = encode_body(self._describe())
        envelope = Envelope(clock.uuid7(), "worker_heartbeat", WIRE_VERSION, body, clock.now_ms(), self._worker, 0)
        try:
            self._client.xadd(self._stream, {events.STREAM_FIELD: encode_batch([encode_envelope(envelope)])})
        except BrokerErrors as error:
            if self._in_contact:
                self._in_contact = False
                self.broker_losses += 1
                log.warning("the broker does not answer: %s", error)
            return False
        if not self._in_contact:
            self._in_contact = True
            log.warning("the broker answers again")
        # The time before sending: the scheduler can't have received it earlier.
        self.contact_at = started
        return True

    def _stop_what_must_not_run_on(self, now: float) -> None:
        if now - self.contact_at < self._lease_s * (1 - MARGIN_SHARE):
            return
        for attempt in self._attempts.running():
            if attempt.order.on_lost_contact == "stop":
                stop = Stop(
                    "interrupted",
                    "HR-X108",
                    "The worker lost contact with the broker, and the asset must not run on then (on_lost_contact='stop').",
                    self._lease_s * STOP_GRACE_SHARE,
                )
                if attempt.request_stop(stop):
                    log.warning("stopped attempt %s: no contact", attempt.order.attempt_id)


def host() -> str:
    """This machine's name."""
    return socket.gethostname()


def memory_bytes(pids: list[int]) -> int:
    """Resident memory of these processes, where the system tells (Linux); 0 elsewhere."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            continue
    return total
