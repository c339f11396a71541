"""Dispatching: turns granted steps into recorded attempts and the messages that carry their orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hedgerow.errors import Problem, RequestError
from hedgerow.protocol.orders import Input
from hedgerow_scheduler.admission.admit import Grant
from hedgerow_scheduler.dispatch.orders import Publication, order_of, publication
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.planning.inputs import Wanted, choose_inputs, missing_input, wanted_inputs
from hedgerow_scheduler.planning.snapshot import Snapshot

_NOTHING = Stored({}, frozenset())


class Dispatcher:
    """Binds granted steps to their inputs. `new_id` draws the ids of attempts."""

    def __init__(self, deployment: str, storage: str, start_timeout: timedelta, new_id: Callable[[], str]) -> None:
        self._deployment, self._storage, self._start_timeout, self._new_id = deployment, storage, start_timeout, new_id

    def dispatch(
        self, snapshot: Snapshot, grants: list[Grant], now: datetime, read: Callable[[list[tuple[str, str]]], Stored]
    ) -> list[Publication]:
        """Notes an attempt for every granted step whose inputs are there, and returns the messages to publish once that is
        recorded. The others fail, or wait for what a check holds back. `read` tells what is stored, and is asked at most once.
        """
        bound = [(grant, wanted) for grant in grants if (wanted := self._wanted(snapshot, grant, now)) is not None]
        pairs = list({(want.asset, key) for _, wanted in bound for want in wanted for key in want.partitions})
        stored = read(pairs) if pairs else _NOTHING
        messages = []
        for grant, wanted in bound:
            choice = choose_inputs(wanted, stored.current, stored.held_back)
            if choice.held_back:
                snapshot.backlog.park_on_asset(grant.step, choice.held_back[0])
                _free_locks(snapshot, grant)
            elif choice.lacking:
                asset = snapshot.catalog.assets[choice.lacking[0]]
                external = asset.computation is None
                missing = next(each.missing for each in choice.inputs if each.asset == asset.key)
                _give_up(snapshot, grant, missing_input(asset.key, missing, external), now)
            else:
                messages.append(self._attempt(snapshot, grant, choice.inputs, now))
        return messages

    @staticmethod
    def _wanted(snapshot: Snapshot, grant: Grant, now: datetime) -> tuple[Wanted, ...] | None:
        try:
            return wanted_inputs(snapshot.catalog, grant.computation, grant.step.partition, now)
        except RequestError as error:
            _give_up(snapshot, grant, error.problems[0], now)
            return None

    def _attempt(self, snapshot: Snapshot, grant: Grant, inputs: tuple[Input, ...], now: datetime) -> Publication:
        step = grant.step
        if step.attempt_id is not None:
            snapshot.forget_attempt(step.attempt_id)  # a lost one: its outcome no longer counts
        step.attempt += 1
        step.attempt_id = self._new_id()
        snapshot.dispatch_seq += 1
        attempt = Attempt(
            step.attempt_id, step, step.attempt, snapshot.dispatch_seq, AttemptState.DISPATCHED, AttemptState.DISPATCHED,
            grant.manifest_hash, now, now + self._start_timeout,
        )  # fmt: skip
        snapshot.attempts[attempt.id] = attempt
        snapshot.changes.new_attempts.append(attempt)
        snapshot.lock(step, attempt.id)
        snapshot.move(step, StepState.DISPATCHED, now)
        snapshot.measure("step_dispatches", (step.team, step.queue))
        return publication([order_of(attempt, grant, inputs, self._deployment, self._storage)], self._storage)


def _give_up(snapshot: Snapshot, grant: Grant, problem: Problem, now: datetime) -> None:
    snapshot.move(grant.step, StepState.FAILED, now, problem)
    _free_locks(snapshot, grant)


def _free_locks(snapshot: Snapshot, grant: Grant) -> None:
    """The grant comes to nothing: steps that were parked because of it in the same cycle are looked at again."""
    for lock in grant.step.locks():
        snapshot.backlog.unlocked(lock)
