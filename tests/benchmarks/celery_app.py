"""The Celery application that the benchmark's worker loads and its producer publishes with: one no-op task, as installed or tuned.

The environment names the variant (`BENCH_VARIANT`), the broker (`BENCH_BROKER`) and a folder (`BENCH_TALLY`) in which each
process of the worker keeps, in a mapped file of eight bytes, the number of tasks it has run: the driver can see the end of the
work without a message more on the broker.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path

from celery import Celery
from kombu import Queue

from hedgerow_workers.pool import WakeStep

QUEUE = "bench"
TASK = "bench.noop"


class Tally:
    """Counts the tasks run by this process, where the driver can read it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pid = 0
        self._count = 0

    def add(self) -> None:
        """One task more. Opens the file at first use, once more after a fork."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._count = os.getpid(), 0
                path = self._folder / str(self._pid)
                path.write_bytes(bytes(8))
                with path.open("r+b") as file:
                    self._map = mmap.mmap(file.fileno(), 8)
            self._count += 1
            struct.pack_into("<q", self._map, 0, self._count)


def total(folder: Path) -> int:
    """The number of tasks run by all the processes that count in `folder`."""
    return sum(struct.unpack("<q", path.read_bytes())[0] for path in folder.iterdir() if path.stat().st_size == 8)


def plain(broker: str) -> Celery:
    """Celery as installed: nothing is set but the queue's name, and that results are ignored."""
    app = Celery("bench", broker=broker)
    app.conf.update(task_ignore_result=True, task_default_queue=QUEUE)
    return app


def tuned(broker: str) -> Celery:
    """Celery with the transport settings and the pool that Hedgerow ships."""
    app = Celery("bench", broker=broker)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_protocol=2,
        task_ignore_result=True,
        result_backend=None,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_disable_rate_limits=True,
        task_create_missing_queues=False,
        task_queues=[Queue(QUEUE, no_declare=True)],
        task_default_queue=QUEUE,
        task_default_exchange="",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "ack_emulation": False,
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "priority_steps": [0],
            "queue_order_strategy": "round_robin",
        },
    )
    app.steps["consumer"].add(WakeStep)
    return app


VARIANTS = {"plain": plain, "tuned": tuned}


def worker_app() -> Celery:
    """The application of the variant that the environment names, with its task."""
    app = VARIANTS[os.environ["BENCH_VARIANT"]](os.environ["BENCH_BROKER"])
    tally = Tally(Path(os.environ["BENCH_TALLY"]))

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def noop() -> None:
        tally.add()

    return app
