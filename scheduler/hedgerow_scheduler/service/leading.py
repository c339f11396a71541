"""Leading: stands by until the lead is free, leads until something fails, and begins again."""

from __future__ import annotations

import gc
import logging
import threading

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import InternalError, OperationalError, SQLAlchemyError

from hedgerow.clock import monotonic, thread_time
from hedgerow.errors import HedgerowError
from hedgerow.settings.platform import PlatformSettings
from hedgerow_scheduler.ingest.inbox import Inbox
from hedgerow_scheduler.metadata import leadership
from hedgerow_scheduler.metadata.database import WAKE_CHANNEL, libpq_url
from hedgerow_scheduler.metadata.postgres_store import PostgresStore
from hedgerow_scheduler.observe.metrics import SchedulerMetrics
from hedgerow_scheduler.service.brokers import Brokers
from hedgerow_scheduler.service.care import Care, RehearsedError
from hedgerow_scheduler.service.loop import Loop

STAND_BY_S = 0.2
# The server restarted, turned read-only, or ended a session that was frozen: nothing that was read is at fault.
OUTAGES = (OperationalError, InternalError, psycopg.OperationalError, psycopg.InternalError)
LONGEST_CYCLE_S = 2.0
"""Of the processor's time. PostgreSQL ends a leader's transaction that is idle for three seconds, and another scheduler takes over: if it was
busy meanwhile, and not frozen or cut off, that is a defect as well.
"""
log = logging.getLogger("hedgerow.scheduler")


class Listener:
    """Hears the API's NOTIFY in a thread of its own and rings the inbox's bell."""

    def __init__(self, url: str, inbox: Inbox, stopping: threading.Event) -> None:
        self._url, self._inbox, self._stopping = libpq_url(url), inbox, stopping
        self.heard = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Starts the thread; it ends when `stopping` is set, at most half a second later."""
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
                    connection.execute(f"LISTEN {WAKE_CHANNEL}")
                    self._ring()
                    while not self._stopping.is_set():
                        for _ in connection.notifies(timeout=0.5, stop_after=1):
                            self._ring()
            except psycopg.Error as error:
                log.warning("listening for commands failed: %s", error)
                self._stopping.wait(0.5)

    def _ring(self) -> None:
        self.heard.set()
        self._inbox.bell.set()


def serve(
    engine: Engine, settings: PlatformSettings, metrics: SchedulerMetrics, holder: str, stopping: threading.Event
) -> None:
    """Runs until `stopping` is set. Whatever fails ends the term, not the process: the next one begins with what PostgreSQL holds."""
    inbox = Inbox()
    listener = Listener(settings.database, inbox, stopping)
    listener.start()
    generation, care = 0, Care()
    while not stopping.is_set():
        try:
            with engine.begin() as connection:
                lead = leadership.try_to_lead(connection, holder)
        except SQLAlchemyError as error:
            log.warning("the database does not answer: %s", _brief(error))
            lead = None
        if lead is None:
            stopping.wait(STAND_BY_S)
            continue
        generation += 1
        brokers = Brokers(settings, inbox)
        loop, began_s = None, thread_time()
        try:
            loop = Loop(PostgresStore(engine, lead), settings, inbox, brokers, metrics, generation, care)
            metrics.is_leader.set(1)
            log.info("leading in epoch %d with %d live runs", lead.epoch, len(loop.snapshot.runs))
            _lead(loop, inbox, listener, stopping)
        except RehearsedError:
            metrics.terms.labels("rehearsed").inc()
            log.warning("without that a cycle succeeds: the next terms show whether it was at fault")
            care.rehearsed()
        except (*OUTAGES, HedgerowError) as error:
            worked_s = loop.worked_s() if loop is not None else thread_time() - began_s
            metrics.terms.labels("failed" if worked_s < LONGEST_CYCLE_S else "defect").inc()
            log.warning("the term of epoch %d ends: %s", lead.epoch, _brief(error))
            if worked_s >= LONGEST_CYCLE_S:
                log.error(
                    "its last cycle took %.1f s of the processor's time: whatever it did would take as long again",
                    worked_s,
                )
                care.defect()
        except Exception:
            metrics.terms.labels("defect").inc()
            log.exception("the term of epoch %d ends by a defect", lead.epoch)
            care.defect()
        else:
            metrics.terms.labels("told").inc()
        finally:
            metrics.is_leader.set(0)
            brokers.stop()
            loop = None
        try:
            with engine.begin() as connection:
                leadership.resign(connection, lead)
        except SQLAlchemyError as error:
            log.warning("the lead could not be given up: %s", _brief(error))
        if not stopping.is_set():
            gc.unfreeze()  # what the term knew, of which the loop had frozen most; the next one reads all of it again
            gc.collect()
            stopping.wait(STAND_BY_S)


def _lead(loop: Loop, inbox: Inbox, listener: Listener, stopping: threading.Event) -> None:
    until = monotonic()
    while not stopping.is_set():
        inbox.bell.wait(max(0.0, until - monotonic()))
        inbox.bell.clear()
        woken = listener.heard.is_set()
        listener.heard.clear()
        until = monotonic() + loop.step(woken)
        if loop.gather_s:
            inbox.gather(loop.busy, loop.gather_s)


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
