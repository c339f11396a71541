"""Claims: of all workers and the scheduler, exactly one takes an attempt."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from hedgerow import clock
from hedgerow.protocol import names
from hedgerow_workers.broker import Asks, BrokerErrors, Command

TRIES = 3
# A claim outlives its order by this much: whoever gets the order later finds it expired, and before that finds it claimed,
# where clocks of machines differ by no more. The broker holds one for each attempt of that time: at a thousand steps a second
# a day of them would be 86 million. As long as the scheduler keeps its own claims, those that revoke.
MARGIN_MS = 15 * 60_000
UNLIMITED_MS = MARGIN_MS

log = logging.getLogger("hedgerow.worker")


class Claimable(Protocol):
    """What is claimed under an id of its own, until some time on the scheduler's clock (0: no limit)."""

    @property
    def attempt_id(self) -> str:
        """The id."""

    @property
    def start_before_ms(self) -> int:
        """Milliseconds since 1970."""


class EvaluationClaim(msgspec.Struct, frozen=True):
    """An evaluation, to be claimed."""

    attempt_id: str
    start_before_ms: int


class Claims:
    """Takes claims under this worker's id. `connect` gives each thread that asks a connection of its own."""

    def __init__(self, connect: Callable[[], Asks], deployment: str, team: str, worker: str) -> None:
        self._connect = connect
        self._deployment = deployment
        self._team = team
        self._worker = worker
        self._lines = threading.local()

    def take(self, orders: Sequence[Claimable], now_ms: int, level: int = logging.INFO) -> list[str | None]:
        """For each order the token under which the attempt is now ours; None when it is another's, revoked, or the broker gives no clear answer.
        `level` is that of the lines which say so.

        All are asked for at once. An attempt given up for want of an answer is sent again by the scheduler, with the claim to
        tell it who has it.
        """
        mine = [f"{self._worker}:{clock.nonce()}" for _ in orders]
        tokens: list[str | None] = [None] * len(orders)
        unclear: Sequence[int] = range(len(orders))
        for _ in range(TRIES):
            commands = [_command(self._key(orders[each]), mine[each], orders[each], now_ms) for each in unclear]
            answers = self._ask(commands)
            again = []
            for each, answer in zip(unclear, answers, strict=True):
                # Nothing, or our own token if an earlier try had landed after all.
                if answer is None or answer == mine[each].encode():
                    tokens[each] = mine[each]
                elif isinstance(answer, Exception):
                    log.debug("the claim of %s has no answer: %s", orders[each].attempt_id, answer)
                    again.append(each)
                else:
                    log.log(level, "attempt %s is taken: %s", orders[each].attempt_id, answer)
            if not again:
                return tokens
            unclear = again
        for each in unclear:
            log.warning("attempt %s is given up: the broker does not answer", orders[each].attempt_id)
        return tokens

    def _ask(self, commands: list[Command]) -> list[object]:
        line: Asks | None = getattr(self._lines, "line", None)
        if line is None:
            line = self._lines.line = self._connect()
        try:
            return line.ask(commands)
        except BrokerErrors as error:
            return [error] * len(commands)

    def _key(self, order: Claimable) -> str:
        return names.claim_key(self._deployment, self._team, order.attempt_id)


def _command(key: str, token: str, order: Claimable, now_ms: int) -> Command:
    life_ms = max(0, order.start_before_ms - now_ms) + MARGIN_MS if order.start_before_ms else UNLIMITED_MS
    return ("SET", key, token, "PX", str(life_ms), "NX", "GET")
