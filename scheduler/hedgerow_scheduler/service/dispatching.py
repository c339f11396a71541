"""Dispatching: turns granted steps into recorded attempts and the messages that carry their orders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.model import Column
from hedgerow.protocol.orders import StepOrder
from hedgerow_scheduler.admission.cycle import Grant
from hedgerow_scheduler.dispatch.orders import Publication, order_of, publication
from hedgerow_scheduler.lifecycle.judging import Judgeable, is_judging
from hedgerow_scheduler.lifecycle.model import Attempt, Step
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.metadata.inputs import Stored
from hedgerow_scheduler.planning.former_columns import Former
from hedgerow_scheduler.planning.inputs import Wanted, choose_inputs, missing_input, wanted_inputs
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.staleness import Pair
from hedgerow_scheduler.planning.unchanged import Earlier, is_unchanged, unchanged_since
from hedgerow_scheduler.planning.versions import Edge, Versions, edges, kept, loaded_versions

_NOTHING = Stored({}, frozenset())


class _Bound(msgspec.Struct, frozen=True):
    """A granted step with what it is to be given, and the edges to what it only comes after."""

    grant: Grant
    wanted: tuple[Wanted, ...]
    after: tuple[Edge, ...]

    def pairs(self) -> Iterator[Pair]:
        """The (asset, partition) pairs of which it must be known what is stored."""
        yield from ((want.asset, key) for want in self.wanted for key in want.partitions)
        if self.grant.computation.skip_unchanged:
            yield from self.grant.step.locks()
            yield from ((edge.asset, key) for edge in self.after for key in edge.partitions or ())


class Dispatcher:
    """Binds granted steps to their inputs. `new_id` draws the ids of attempts. `spared` counts the steps that need not run, as what they
    make is unchanged: others may be ready because of them.
    """

    def __init__(self, deployment: str, storage: str, start_timeout: timedelta, new_id: Callable[[], str]) -> None:
        self._deployment, self._storage, self._start_timeout, self._new_id = deployment, storage, start_timeout, new_id
        self.spared = 0

    def dispatch(
        self,
        snapshot: Snapshot,
        grants: list[Grant],
        now: datetime,
        read: Callable[[list[Pair]], Stored],
        remember: Callable[[list[Pair]], Mapping[Pair, Earlier]] | None = None,
        judgeable: Callable[[list[Step]], Mapping[tuple[str, int], Judgeable]] | None = None,
        compare: Callable[[Collection[str]], Mapping[str, Former]] | None = None,
    ) -> list[Publication]:
        """Notes an attempt for every granted step whose inputs are there, and returns the messages to publish once that is
        recorded. The others fail, wait for what a check holds back, or have succeeded already, as what they would make is unchanged.
        `read` tells what is stored, and is asked at most once; so are, afterwards, `remember`: what that was made from, `judgeable`: what
        steps that judge are to judge (one that finds nothing is skipped), and `compare`: the columns of what was accepted last of assets
        whose checks ask for them.
        """
        bound = [found for grant in grants if (found := self._bind(snapshot, grant, now)) is not None]
        pairs = list(dict.fromkeys(pair for each in bound for pair in each.pairs()))
        stored = read(pairs) if pairs else _NOTHING
        sparing = [pair for each in bound if each.grant.computation.skip_unchanged for pair in each.grant.step.locks()]
        earlier = remember(sparing) if sparing and remember is not None else {}
        judging = [grant.step for grant in grants if is_judging(grant.step.computation)]
        outputs = judgeable(judging) if judging and judgeable is not None else {}
        former = _former(snapshot, bound, compare) if compare is not None else {}
        messages: dict[int, list[StepOrder]] = {}
        for each in bound:
            grant = each.grant
            choice = choose_inputs(each.wanted, stored.current, stored.held_back)
            inputs, after = _made_from(each, stored)
            is_judge = is_judging(grant.step.computation)
            judged = outputs.get((grant.step.run.id, grant.step.number)) if is_judge else None
            if is_judge and judged is None:
                _end(snapshot, grant, StepState.SKIPPED, _nothing_to_judge(grant.step), now)
            elif choice.held_back:
                snapshot.backlog.park_on_asset(grant.step, choice.held_back[0], Cause.BLOCKED_BY_CHECK)
                _come_to_nothing(snapshot, grant)
            elif choice.lacking:
                asset = snapshot.catalog.assets[choice.lacking[0]]
                external = asset.computation is None
                missing = next(each.missing for each in choice.inputs if each.asset == asset.key)
                _end(snapshot, grant, StepState.FAILED, missing_input(asset.key, missing, external), now)
            elif (why := _spared(each, inputs, stored, earlier)) is not None:
                self.spared += 1
                if grant.step.attempt_id is not None:
                    snapshot.forget_attempt(grant.step.attempt_id)  # a lost one: its outcome no longer counts
                _end(snapshot, grant, StepState.SUCCEEDED, why, now)
            else:
                attempt = self._attempt(snapshot, grant, now)
                attempt.inputs, attempt.after = inputs, after
                if judged is not None:
                    attempt.judged, attempt.judges_former = judged.output, judged.is_former
                    attempt.failed_checks = {(judged.output.asset, check) for check in judged.failed_checks}
                order = order_of(attempt, grant, choice.inputs, self._deployment, self._storage, former)
                messages.setdefault(attempt.batch, []).append(order)
        return [publication(orders, self._storage) for orders in messages.values()]

    @staticmethod
    def _bind(snapshot: Snapshot, grant: Grant, now: datetime) -> _Bound | None:
        computation, partition = grant.computation, grant.step.partition
        if not computation.deps:
            return _Bound(grant, (), ())
        try:
            wanted = wanted_inputs(snapshot.catalog, computation, partition, now)
        except RequestError as error:
            _end(snapshot, grant, StepState.FAILED, error.problems[0], now)
            return None
        given = {want.asset for want in wanted}
        return _Bound(grant, wanted, edges(snapshot.catalog, computation, partition, now, without=given))

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


def _made_from(bound: _Bound, stored: Stored) -> tuple[dict[str, Versions], dict[str, tuple[str, ...]]]:
    """The versions of what a step is made from, where they were read, and the partitions whose versions the store looks up."""
    inputs: dict[str, Versions] = loaded_versions(bound.wanted, stored.versions)
    after: dict[str, tuple[str, ...]] = {}
    for edge in bound.after:
        if not edge.partitions:
            inputs[edge.asset] = None if edge.partitions is None else {}
        elif bound.grant.computation.skip_unchanged:
            found = ((key, stored.versions.get((edge.asset, key))) for key in edge.partitions)
            inputs[edge.asset] = kept({key: version for key, version in found if version is not None})
        else:
            after[edge.asset] = edge.partitions
    return inputs, after


def _former(
    snapshot: Snapshot, bound: list[_Bound], read: Callable[[Collection[str]], Mapping[str, Former]]
) -> dict[str, tuple[Column, ...]]:
    """The former columns of what these steps make, where a check asks for them."""
    manifests = (snapshot.accepted.get(hash_) for hash_ in {each.grant.manifest_hash for each in bound})
    compared = frozenset[str]().union(*(published.compared for published in manifests if published is not None))
    if not compared:
        return {}
    made = {asset: None for each in bound for asset in each.grant.step.assets if asset in compared}
    return snapshot.former_columns.of(made, read) if made else {}


def _spared(
    bound: _Bound, inputs: dict[str, Versions], stored: Stored, earlier: Mapping[Pair, Earlier]
) -> Problem | None:
    """Why a step need not run; None when it must. What a check holds back is never taken for unchanged."""
    step, computation = bound.grant.step, bound.grant.computation
    made = [earlier[pair] for pair in step.locks() if pair in earlier and pair not in stored.held_back]
    if not computation.skip_unchanged or len(made) < len(step.locks()):
        return None
    return unchanged_since(made) if is_unchanged(computation, step.run.config, inputs, bound.after, made) else None


def _end(snapshot: Snapshot, grant: Grant, state: StepState, why: Problem, now: datetime) -> None:
    """The step ends without another attempt."""
    snapshot.move(grant.step, state, now, why)
    _come_to_nothing(snapshot, grant)


def _nothing_to_judge(step: Step) -> Problem:
    of = f" for partition '{step.partition}'" if step.partition else ""
    return Problem(
        "HR-Q029",
        f"Nothing is stored of '{step.assets[0]}'{of} that its checks could judge.",
        f"Materialize it first: `hedgerow materialize {step.assets[0]}` runs its checks as well.",
    )


def _come_to_nothing(snapshot: Snapshot, grant: Grant) -> None:
    """What the grant took is given back, and steps that were parked because of it in the same cycle are looked at again."""
    snapshot.give_back(grant.holding)
    for lock in grant.step.locks():
        snapshot.backlog.unlocked(lock)
