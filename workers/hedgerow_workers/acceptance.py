"""Which orders a worker takes: those that are its own, not too late and not another's already."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.attempts import Attempt, Attempts
from hedgerow_workers.claims import Claims
from hedgerow_workers.pace import Pace
from hedgerow_workers.report import Report


class Audience(msgspec.Struct, frozen=True):
    """Whose orders this worker takes."""

    deployment: str
    team: str
    location: str
    manifest: str


def refusal(order: StepOrder, audience: Audience, accepting: bool, now_ms: int) -> Problem | None:
    """Why an order is not to be begun at this time of the wall clock; None when it is."""
    if order.start_before_ms and now_ms > order.start_before_ms:
        late = now_ms - order.start_before_ms
        return Problem(
            "HR-X101", f"The order came {late} ms too late to be started.", "Nothing: it is dispatched again."
        )
    if not accepting:
        return Problem(
            "HR-X102", "The worker is leaving, or can't keep events.", "Nothing: another worker gets the order."
        )
    for what, asked, served in (
        ("deployment", order.deployment, audience.deployment),
        ("team", order.team, audience.team),
        ("location", order.location, audience.location),
        ("manifest", order.manifest, audience.manifest),
    ):
        if asked != served:
            return Problem(
                "HR-X103",
                f"The order is for {what} '{asked}', the worker serves '{served}'.",
                "Check that no two deployments share a name on this broker.",
            )
    return None


class Acceptance:
    """Takes orders for all slots of a worker. `accepting` says whether new ones are begun."""

    def __init__(
        self, audience: Audience, claims: Claims, attempts: Attempts, pace: Pace, accepting: Callable[[], bool]
    ) -> None:
        self._audience = audience
        self._claims = claims
        self._attempts = attempts
        self._pace = pace
        self._accepting = accepting

    def take(self, orders: deque[StepOrder], report: Report) -> list[Attempt]:
        """Takes the first orders off, those that should begin within a moment or one that wants a process of its own.

        Refuses or claims each; returns the attempts that are now ours, and held.
        """
        now_ms = clock.now_ms()
        wanted: list[StepOrder] = []
        for _ in range(self._pace.portion(order.computation for order in orders)):
            order = orders[0]
            if wanted and order.isolation == "process":
                break
            orders.popleft()
            why = refusal(order, self._audience, self._accepting(), now_ms)
            if why is not None:
                report.refuse(order.attempt_id, why)
                continue
            wanted.append(order)
            if order.isolation == "process":
                break
        claimed = []
        for order, token in zip(wanted, self._claims.take(wanted, now_ms) if wanted else (), strict=True):
            if token is not None:
                attempt = Attempt(order, token)
                self._attempts.add(attempt)
                claimed.append(attempt)
        return claimed
