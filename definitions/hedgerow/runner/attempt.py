"""One attempt in the runner: load the inputs, call the team's function, store the outputs, run the checks, report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from hedgerow import clock, execution, storage
from hedgerow.discovery import LoadedLocation
from hedgerow.errors import ExecutionError, Problem, StorageError
from hedgerow.execution import BoundCheck, BoundComputation
from hedgerow.io import Target
from hedgerow.key_changes import KeyChanges
from hedgerow.manifest.model import Column
from hedgerow.metadata import MetadataError, normalise
from hedgerow.partitions.binding import names_of
from hedgerow.protocol.events import (
    KIND_OF,
    MAX_EVENT_BYTES,
    AssetMaterialized,
    AttemptFailed,
    AttemptSkipped,
    AttemptSucceeded,
    CheckEvaluated,
    FailureReason,
    PartitionsChanged,
)
from hedgerow.protocol.orders import Input, StepOrder
from hedgerow.protocol.runner import Execute
from hedgerow.quality.schemas import Schemas
from hedgerow.result import Skip
from hedgerow.returned import Output
from hedgerow.runner.capture import Capture
from hedgerow.runner.failures import clean, describe, problem_of, sendable
from hedgerow.runner.inputs import load_inputs, with_inputs
from hedgerow.runner.pipe import Events
from hedgerow.storage import Written, frames

# The order does not fit the code: nothing that the team's function did.
_BAD_ORDER = frozenset({"HR-X002", "HR-X003", "HR-X006", "HR-X201", "HR-X202", "HR-X204", "HR-S004", "HR-S011"})
# Storage or a warehouse may answer the next time; everything else that Hedgerow refuses stays refused.
_MAY_PASS = frozenset({"HR-S006", "HR-S007", "HR-S010"})
_MAX_TEXT = 8_000

End: TypeAlias = AttemptSucceeded | AttemptFailed | AttemptSkipped


class Terminated(BaseException):
    """SIGTERM arrived: the team's code may clean up, then the process ends without a word; the worker knows why."""


class Executor:
    """Executes orders for one loaded location, one at a time."""

    def __init__(
        self,
        location: LoadedLocation,
        manifest_hash: str,
        root: Path,
        events: Events,
        capture: Capture,
        log: logging.Logger,
    ) -> None:
        self._location = location
        self._hash = manifest_hash
        self._root = root
        self._events = events
        self._capture = capture
        self._log = log
        manifest = location.manifest
        self._own_assets = frozenset(asset.key for asset in manifest.assets if asset.computation is not None)
        self._key_sets = names_of(asset.partitions for asset in manifest.assets)
        self._checks: dict[str, list[BoundCheck]] = {}
        for (asset, _), check in sorted(location.checks.items()):
            self._checks.setdefault(asset, []).append(check)

    def run(self, message: Execute) -> None:
        """Execute one order and report it, its end included. Raises nothing but `Terminated`."""
        order = message.order
        started = clock.monotonic()
        self._capture.begin(message.log_path)
        with storage.Scratch() as scratch:
            try:
                end: End = self._attempt(message, scratch)
            except Terminated:
                raise
            except BaseException as error:  # SystemExit and KeyboardInterrupt of the team's code end the step, not us
                end = self._failure(order, error)
            # The log must be whole before the worker learns of the end and takes it away.
            gap = self._capture.end()
            if gap is not None:
                end = msgspec.structs.replace(end, log=gap.encode())
            self._report_end(end, (clock.monotonic() - started) * 1000)

    def _attempt(self, message: Execute, scratch: storage.Scratch) -> End:
        order = with_inputs(message.order)
        if order.judged:
            return self._judge(order, scratch)
        bound = self._bound(order)
        inputs = load_inputs(bound, order, self._own_assets, self._location.ios, scratch, self._log)
        attempt = execution.Attempt(
            order.assets,
            order.partition,
            bytes(order.config),
            order.run_id,
            order.attempt,
            order.run_tags,
            self._log,
            KeyChanges(self._key_sets),
        )
        outputs = execution.execute(bound, attempt, inputs)
        del inputs
        if isinstance(outputs, Skip):
            self._report_keys(order, attempt)
            return AttemptSkipped(order.attempt_id, clean(str(outputs.why), _MAX_TEXT))
        code_version = message.code_version or bound.computation.code_version
        written = self._write(order, bound, outputs, code_version)
        failed: list[str] = []
        for output, stored in zip(outputs, written, strict=True):
            value = partial(self._checked_value, output, stored, scratch)
            checks = [bound for bound in self._checks.get(output.asset, ()) if not bound.check.own_step]
            failed += self._run_checks(order, attempt, checks, value, _columns(output, stored))
        if failed:
            return _rejected(order, failed)
        self._report_keys(order, attempt)
        return AttemptSucceeded(order.attempt_id)

    def _judge(self, order: StepOrder, scratch: storage.Scratch) -> End:
        """Runs the checks of what was made before, and makes nothing."""
        self._agree(order)
        attempt = execution.Attempt(
            order.assets,
            order.partition,
            run_id=order.run_id,
            number=order.attempt,
            run_tags=order.run_tags,
            log=self._log,
        )
        failed: list[str] = []
        for judged in order.judged:
            value = partial(self._stored_value, judged, scratch)
            own = self._checks.get(judged.asset, ())
            checks = [bound for bound in own if bound.check.own_step or not order.own_steps]
            failed += self._run_checks(order, attempt, checks, value, judged.columns)
        return _rejected(order, failed) if failed else AttemptSucceeded(order.attempt_id)

    def _report_keys(self, order: StepOrder, attempt: execution.Attempt) -> None:
        for name, added, removed in attempt.keys.parts():
            changed = PartitionsChanged(order.attempt_id, name, added=added, removed=removed)
            self._emit("partitions_changed", changed, f"The change of '{name}'")

    def _agree(self, order: StepOrder) -> None:
        if order.manifest and order.manifest != self._hash:
            raise ExecutionError.of(
                "HR-X003",
                f"The order is bound to manifest {order.manifest[:12]}, this runner has loaded {self._hash[:12]}.",
                "Restart the team's worker; the step can then be retried.",
            )

    def _bound(self, order: StepOrder) -> BoundComputation:
        self._agree(order)
        bound = self._location.computations.get(order.computation)
        unknown = (
            order.computation if bound is None else next((key for key in order.assets if key not in bound.assets), None)
        )
        if bound is None or unknown is not None:
            raise ExecutionError.of(
                "HR-X002",
                f"The order asks for '{unknown}', which this location's code does not compute.",
                "Restart the team's worker so that it publishes the code it has, then launch again.",
            )
        return bound

    def _write(
        self, order: StepOrder, bound: BoundComputation, outputs: Iterable[Output], code_version: str
    ) -> list[Written | None]:
        """Store all outputs, then hold an event for each: either all of them are reported or none."""
        written: list[Written | None] = []
        try:
            bodies = []
            for output in outputs:
                asset = bound.assets[output.asset]
                stored = None
                if output.stored:
                    place = storage.location(order.output, output.asset, order.partition, order.attempt_id)
                    target = Target(output.asset, order.partition, order.attempt_id, order.run_id, place)
                    io = self._location.ios[asset.io] if asset.io is not None else None
                    stored = storage.write(output.value, target, io=io, data_version=output.data_version)
                written.append(stored)
                bodies.append(_materialized(order, output, stored, code_version))
            for body in bodies:
                self._emit("asset_materialized", body, f"Asset '{body.asset}'")
        except BaseException:
            self._events.forget()
            for one in written:
                if one is not None:
                    storage.discard(one)
            raise
        return written

    def _run_checks(
        self,
        order: StepOrder,
        attempt: execution.Attempt,
        checks: Iterable[BoundCheck],
        value_for: Callable[[BoundCheck], object],
        columns: tuple[Column, ...],
    ) -> list[str]:
        """Run checks of an output and return the names of the blocking ones that failed."""
        failed = []
        for bound in checks:
            check = bound.check
            if order.checks and not {check.name, f"{check.asset}:{check.name}"} & set(order.checks):
                continue
            self._events.flush()  # nothing is held back while the team's code runs
            verdict = CheckEvaluated(
                order.attempt_id,
                check.asset,
                check.name,
                passed=False,
                partition=order.partition,
                blocking=check.blocking,
                severity=check.severity,
            )
            try:
                if check.former_columns:
                    former = order.former.get(check.asset)
                    value: object = Schemas(check.asset, order.partition, columns, former, order.run_tags)
                else:
                    value = value_for(bound) if bound.takes_value else None
                result = execution.evaluate(bound, attempt, value)
                verdict = msgspec.structs.replace(
                    verdict,
                    passed=result.passed,
                    metadata=dict(result.metadata),
                    description=clean(result.description, _MAX_TEXT),
                )
            except Terminated:
                raise
            except BaseException as error:
                if order.judged and isinstance(error, StorageError) and error.code in _MAY_PASS:
                    raise  # nothing is known of the output yet, and nothing has to be made again
                problem = problem_of(error, self._root, f"Check '{check.name}' of '{check.asset}'")
                text = f"{problem.message}\n{problem.traceback}" if problem.traceback else problem.message
                verdict = msgspec.structs.replace(verdict, error=clean(text, _MAX_TEXT))
            self._emit("check_evaluated", verdict, f"Check '{check.name}'")
            if check.blocking and check.severity == "error" and not verdict.passed:
                failed.append(f"{check.name} of {check.asset}")
        return failed

    def _stored_value(self, judged: Input, scratch: storage.Scratch, bound: BoundCheck) -> object:
        if not judged.references:
            raise ExecutionError.of(
                "HR-X006",
                f"Check '{bound.check.name}' takes the value of '{judged.asset}', of which nothing is stored.",
                f"Materialize '{judged.asset}' again with the code that is deployed now.",
            )
        return storage.load(
            judged.references, bound.annotation, storage.Reader(judged.asset, True, self._location.ios, scratch)
        )

    def _checked_value(
        self, output: Output, stored: Written | None, scratch: storage.Scratch, bound: BoundCheck
    ) -> object:
        """The value as the check's annotation asks: the one in memory if it is of that type, else loaded from storage."""
        wanted, kind = bound.annotation, frames.kind_of(type(output.value))
        # A lazy table in memory would be computed once more; the stored one is merely read.
        fits = kind != "lazy" and (not isinstance(wanted, type) or isinstance(output.value, wanted))
        if stored is None or fits:
            return output.value
        reader = storage.Reader(output.asset, True, self._location.ios, scratch)
        return storage.load((stored.reference,), wanted, reader)

    def _failure(self, order: StepOrder, error: BaseException) -> AttemptFailed:
        problem = sendable(problem_of(error, self._root, f"Asset '{order.computation}'"))
        reason: FailureReason = "user_error"
        retryable = True
        if isinstance(error, (ExecutionError, StorageError)):
            reason = "bad_order" if error.code in _BAD_ORDER else "user_error"
            retryable = error.code in _MAY_PASS
        return AttemptFailed(order.attempt_id, reason, problem, retryable=retryable)

    def _emit(self, kind: str, body: object, what: str) -> None:
        try:
            size = self._events.emit(kind, body)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise ExecutionError.of(
                "HR-X007",
                f"{what} can't be reported: {describe(error)}.",
                "Keep names and metadata to text and numbers that JSON can hold.",
            ) from error
        if size > MAX_EVENT_BYTES:
            raise ExecutionError.of(
                "HR-X007",
                f"{what} would be reported in {size:,} bytes, an event may have {MAX_EVENT_BYTES:,}.",
                "Make metadata, column descriptions or the io's extra smaller; large things belong into an asset.",
            )

    def _report_end(self, end: End, duration_ms: float) -> None:
        self._events.emit(KIND_OF[type(end)], msgspec.structs.replace(end, duration_ms=round(duration_ms, 3)))
        self._events.flush()


def _rejected(order: StepOrder, failed: list[str]) -> AttemptFailed:
    remedy = "Nothing downstream reads this output. See the check's verdict, correct code or data, and retry."
    if order.judged:
        remedy = "Nothing downstream reads this output. Correct the data and materialize it, or correct the check and retry this step."
    problem = Problem("HR-X005", f"Blocking check failed: {', '.join(failed)}.", remedy)
    return AttemptFailed(order.attempt_id, "check_failed", problem, retryable=False)


def _materialized(order: StepOrder, output: Output, stored: Written | None, code_version: str) -> AssetMaterialized:
    metadata = dict(output.metadata)
    if stored is not None and stored.rows is not None:
        metadata.setdefault("rows", stored.rows)
        try:
            metadata = normalise(metadata)
        except MetadataError:
            metadata = dict(output.metadata)  # full to the brim: the count is not worth a failure
    reference = stored.reference if stored is not None else None
    return AssetMaterialized(
        order.attempt_id,
        output.asset,
        partition=order.partition,
        reference=reference,
        data_version=reference.data_version if reference is not None else output.data_version or "",
        code_version=code_version,
        metadata=metadata,
        columns=_columns(output, stored),
    )


def _columns(output: Output, stored: Written | None) -> tuple[Column, ...]:
    return output.columns or (stored.columns if stored is not None else ())
