"""Dispatching: turns granted steps into recorded attempts and the messages that carry their orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hedgerow.errors import Problem, RequestError
from hedgerow.protocol.orders import StepOrder
from hedgerow_scheduler.admission.cycle import Grant
from hedgerow_scheduler.dispatch.orders import Publication, order_of, publication
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.planning.inputs import Wanted, choose_inputs, missing_input, wanted_inputs
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.versions import edges, loaded_versions

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
        messages: dict[int, list[StepOrder]] = {}
        for grant, wanted in bound:
            choice = choose_inputs(wanted, stored.current, stored.held_back)
            if choice.held_back:
                snapshot.backlog.park_on_asset(grant.step, choice.held_back[0], Cause.BLOCKED_BY_CHECK)
                _come_to_nothing(snapshot, grant)
            elif choice.lacking:
                asset = snapshot.catalog.assets[choice.lacking[0]]
                external = asset.computation is None
                missing = next(each.missing for each in choice.inputs if each.asset == asset.key)
                _give_up(snapshot, grant, missing_input(asset.key, missing, external), now)
            else:
                attempt = self._attempt(snapshot, grant, now)
                _made_from(attempt, snapshot, grant, wanted, stored, now)
                order = order_of(attempt, grant, choice.inputs, self._deployment, self._storage)
                messages.setdefault(attempt.batch, []).append(order)
        return [publication(orders, self._storage) for orders in messages.values()]

    @staticmethod
    def _wanted(snapshot: Snapshot, grant: Grant, now: datetime) -> tuple[Wanted, ...] | None:
        try:
            return wanted_inputs(snapshot.catalog, grant.computation, grant.step.partition, now)
        except RequestError as error:
            _give_up(snapshot, grant, error.problems[0], now)
            return None

    def _attempt(self, snapshot: Snapshot, grant: Grant, now: datetime) -> Attempt:
        step, holding = grant.step, grant.holding
        if step.attempt_id is not None:
            snapshot.forget_attempt(step.attempt_id)  # a lost one: its outcome no longer counts
        step.attempt += 1
        step.attempt_id = self._new_id()
        snapshot.dispatch_seq += 1
        attempt = Attempt(
            step.attempt_id, step, step.attempt, snapshot.dispatch_seq, AttemptState.DISPATCHED, AttemptState.DISPATCHED,
            grant.manifest_hash, now, now + self._start_timeout,
        )  # fmt: skip
        holding.batch = attempt.batch = holding.batch or attempt.dispatch_seq
        step.holding = holding
        snapshot.attempts[attempt.id] = attempt
        snapshot.changes.new_attempts.append(attempt)
        snapshot.lock(step, attempt.id)
        snapshot.move(step, StepState.DISPATCHED, now)
        snapshot.measure("step_dispatches", (step.team, step.queue))
        return attempt


def _made_from(
    attempt: Attempt, snapshot: Snapshot, grant: Grant, wanted: tuple[Wanted, ...], stored: Stored, now: datetime
) -> None:
    """Notes what the attempt is made from: versions where they were read, else the partitions whose versions the store looks up."""
    if not grant.computation.deps:
        return
    attempt.inputs = loaded_versions(wanted, stored.versions)
    for edge in edges(snapshot.catalog, grant.computation, grant.step.partition, now, without=attempt.inputs):
        if edge.partitions:
            attempt.after[edge.asset] = edge.partitions
        else:
            attempt.inputs[edge.asset] = None if edge.partitions is None else {}


def _give_up(snapshot: Snapshot, grant: Grant, problem: Problem, now: datetime) -> None:
    snapshot.move(grant.step, StepState.FAILED, now, problem)
    _come_to_nothing(snapshot, grant)


def _come_to_nothing(snapshot: Snapshot, grant: Grant) -> None:
    """What the grant took is given back, and steps that were parked because of it in the same cycle are looked at again."""
    snapshot.give_back(grant.holding)
    for lock in grant.step.locks():
        snapshot.backlog.unlocked(lock)
