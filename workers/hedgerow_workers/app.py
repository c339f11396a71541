"""The Celery application of a worker. `celery -A hedgerow_workers.app worker` runs the same worker as `hedgerow worker`.

For that form HEDGEROW_LOCATION names the directory of hedgerow.toml (default: the current one); pass
`--without-gossip --without-mingle --without-heartbeat`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps, signals
from kombu.entity import Queue

from hedgerow.protocol import names
from hedgerow_workers.fetching import FetchStep
from hedgerow_workers.pool import WakeStep
from hedgerow_workers.service import Service
from hedgerow_workers.settings import WorkerSettings, read


def configuration(settings: WorkerSettings) -> dict[str, Any]:
    """Celery's settings; docs/reference/celery.md gives the reason of each."""
    tools = settings.celery_tools
    return {
        "broker_url": settings.broker,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_protocol": 2,
        "task_ignore_result": True,
        "result_backend": None,
        "worker_pool": "hedgerow_workers.pool:WakingPool",
        "worker_concurrency": settings.slots,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "worker_enable_remote_control": tools,
        "worker_send_task_events": tools,
        "worker_disable_rate_limits": True,
        "task_create_missing_queues": False,
        "worker_soft_shutdown_timeout": 0,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "control_queue_expires": None,
        "event_queue_expires": None,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            "global_keyprefix": names.celery_key_prefix(settings.deployment, settings.team),
            "ack_emulation": False,
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "priority_steps": [0],
            "queue_order_strategy": "round_robin",
        },
    }


class ServiceStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts everything of ours after Celery's pool and before its consumer, and ends it in the reverse order."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Loads the team's code; only then are the names of the queues known."""
        service: Service = worker.app.service
        queues = [Queue(name, no_declare=True) for name in service.start(worker)]
        known = worker.app.amqp.queues
        for queue in queues:
            known.add(queue)
        known.select([queue.name for queue in queues])

    def stop(self, worker: Any) -> None:
        """Drains."""
        worker.app.service.stop()

    terminate = stop


def make_app(settings: WorkerSettings, service: Service) -> Celery:
    """The application that has `service` execute what arrives."""
    app = Celery("hedgerow", set_as_current=False)
    app.conf.update(configuration(settings))
    app.service = service
    app.steps["worker"].add(ServiceStep)
    app.steps["consumer"].add(WakeStep)
    if not settings.celery_tools:
        app.steps["consumer"].add(FetchStep)
    options = {} if settings.celery_tools else {"Strategy": "hedgerow_workers.pool:direct_strategy"}

    # Sent when Celery's own command handles the signals; ours does that itself.
    signals.worker_shutting_down.connect(lambda **_: service.leaving.told("Celery is told to stop"), weak=False)

    @app.task(name=names.CELERY_TASK, **options)  # type: ignore[untyped-decorator]
    def execute(text: str) -> None:
        service.execute(text)

    return app


def __getattr__(name: str) -> Any:
    """`app`, made when Celery's command asks for it: importing this module does nothing."""
    if name != "app":
        raise AttributeError(name)
    settings = read(Path(os.environ.get("HEDGEROW_LOCATION", ".")), os.environ)
    globals()["app"] = made = make_app(settings, Service(settings))
    return made
