"""Claims: of all workers and the scheduler, exactly one takes an attempt."""

from __future__ import annotations

import logging

import redis

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.broker import BrokerErrors

TRIES = 3
# A claim outlives its order by this much: whoever gets the order later finds it expired, and before that finds it claimed,
# whatever the clocks of machines are; and a scheduler that was away that long still sees that the attempt was taken.
# As long as the scheduler keeps its own claims, those that revoke.
MARGIN_MS = 24 * 3_600_000
UNLIMITED_MS = MARGIN_MS

log = logging.getLogger("hedgerow.worker")


class Claims:
    """Takes claims under this worker's id."""

    def __init__(self, client: redis.Redis, deployment: str, team: str, worker: str) -> None:
        self._client = client
        self._deployment = deployment
        self._team = team
        self._worker = worker

    def take(self, order: StepOrder, now_ms: int) -> str | None:
        """The token under which the attempt is now ours; None when it is another's, revoked, or the broker gives no clear answer.

        An attempt given up for want of an answer is sent again by the scheduler, with the claim to tell it who has it.
        """
        key = names.claim_key(self._deployment, self._team, order.attempt_id)
        token = f"{self._worker}:{clock.nonce()}"
        life_ms = max(0, order.start_before_ms - now_ms) + MARGIN_MS if order.start_before_ms else UNLIMITED_MS
        for _ in range(TRIES):
            try:
                found = self._client.set(key, token, nx=True, get=True, px=life_ms)
            except BrokerErrors as error:
                # It may have been taken all the same: the next try then finds our own token.
                log.debug("the claim of %s has no answer: %s", order.attempt_id, error)
                continue
            if found is None or found == token.encode():
                return token
            log.info("attempt %s is taken: %s", order.attempt_id, found)
            return None
        log.warning("attempt %s is given up: the broker does not answer", order.attempt_id)
        return None
