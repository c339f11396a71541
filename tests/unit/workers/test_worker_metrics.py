"""What a worker tells Prometheus."""

from __future__ import annotations

from typing import get_args

from prometheus_client.exposition import generate_latest

from hedgerow.protocol.events import EvaluationKind, EvaluationReason
from hedgerow_workers.metrics import Metrics


class Quiet:
    """A worker of which there is nothing to tell."""

    draining = False
    outbox_events = outbox_bytes = broker_losses = 0


def test_evaluations_are_counted_by_kind_and_reason_each_of_which_is_there_before_the_first() -> None:
    metrics = Metrics(1)
    metrics.observe(Quiet())
    metrics.evaluated("sensor", "timed_out")
    metrics.evaluated("sensor", "timed_out")
    text = generate_latest(metrics.registry).decode()
    lines = [line for line in text.splitlines() if line.startswith("hedgerow_worker_evaluations_total{")]
    assert len(lines) == len(get_args(EvaluationKind)) * len(get_args(EvaluationReason))
    assert 'hedgerow_worker_evaluations_total{kind="sensor",reason="timed_out"} 2.0' in lines
    assert 'hedgerow_worker_evaluations_total{kind="condition",reason="ok"} 0.0' in lines
