"""The judge: what a history must be like whatever was done to the platform. Pure, and independent of the platform's code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.history import Attempt, Execution, Fault, History, Output, Rule, Step

ENDED_RUNS = frozenset({"succeeded", "failed", "cancelled"})
ACCEPTED = frozenset({"current", "superseded", "rejected"})  # outputs of an attempt whose end was accepted
FROZEN = frozenset({"worker_frozen", "worker_frozen_long", "machine_frozen"})
FORGETFUL = frozenset({"valkey_flushed"})  # the broker loses writes that it had acknowledged
# A frozen worker stops what must not run on when it thaws; after a broker forgot, an order may come twice until all leases are settled.
STOPPING_S = 10.0
FORGOTTEN_S = 75.0
JITTER_S = 0.002  # of a rate: clocks are read in microseconds, and floats are rounded


@dataclass(frozen=True)
class Violation:
    """Something that must not be. `step` is (run, asset) where it is of one."""

    kind: str  # lost | recorded_twice | claimed_twice | concurrent_twice | limit_exceeded | out_of_order
    what: str
    step: tuple[str, str] | None = None


@dataclass(frozen=True)
class Excused:
    """Two executions at once of a step that must not, for a cause outside of what is promised."""

    cause: str
    run: str
    asset: str
    overlap_s: float


@dataclass
class Verdict:
    """What was found."""

    violations: list[Violation] = field(default_factory=list)
    excused: list[Excused] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many violations of a kind."""
        return sum(violation.kind == kind for violation in self.violations)


def check(history: History) -> Verdict:
    """Everything that is wrong with a history in which all should have ended."""
    verdict = Verdict()
    for judge in (
        lost,
        without_truth,
        recorded_twice,
        events_twice,
        claimed_twice,
        out_of_order,
        over_slots,
        over_rate,
    ):
        verdict.violations.extend(judge(history))
    for found in twice_at_once(history):
        (verdict.violations if isinstance(found, Violation) else verdict.excused).append(found)  # type: ignore[arg-type]
    return verdict


def lost(history: History) -> Iterator[Violation]:
    """Runs that are missing or have not ended, steps that are missing or ended otherwise than they should have."""
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    for step in history.steps:
        steps[step.run].append(step)
    for run, assets in history.launched.items():
        state = history.runs.get(run)
        if state is None:
            yield Violation("lost", f"run {run} was acknowledged and is not recorded")
            continue
        if state not in ENDED_RUNS:
            yield Violation("lost", f"run {run} is {state}")
        missing = assets - {step.asset for step in steps[run]}
        if missing:
            yield Violation("lost", f"run {run} has no step for {', '.join(sorted(missing))}")
    for step in history.steps:
        wanted = history.expected.ends.get(step.asset, "succeeded")
        if step.state != wanted:
            yield Violation("lost", f"it is {step.state} instead of {wanted}", (step.run, step.asset))


def without_truth(history: History) -> Iterator[Violation]:
    """Successes that are recorded although the code did not run to its end, and retries that were charged to the wrong account."""
    ran = {(e.run, e.asset, e.attempt) for e in history.executions if e.how == "end"}
    attempts = _attempts_by_step(history)
    for step in history.steps:
        own = attempts[step.run, step.number]
        for attempt in own:
            if attempt.state == "succeeded" and (step.run, step.asset, attempt.number) not in ran:
                why = f"attempt {attempt.number} is recorded as succeeded and never ran to its end"
                yield Violation("lost", why, (step.run, step.asset))
        failed = sum(attempt.state in ("failed", "timed_out") for attempt in own)
        if step.failures != failed and not _has_late_end(step, own):
            why = f"{step.failures} failures are charged, {failed} attempts failed"
            yield Violation("lost", why, (step.run, step.asset))


def recorded_twice(history: History) -> Iterator[Violation]:
    """Steps with two accepted attempts or outputs, assets with two current materializations or a pointer at another one."""
    attempts = _attempts_by_step(history)
    of_attempt = {attempt.id: attempt for attempt in history.attempts}
    for step in history.steps:
        accepted = [attempt for attempt in attempts[step.run, step.number] if attempt.state == "succeeded"]
        if len(accepted) > 1:
            numbers = ", ".join(str(attempt.number) for attempt in accepted)
            yield Violation("recorded_twice", f"attempts {numbers} all succeeded", (step.run, step.asset))
        elif accepted and accepted[0].id != step.attempt_id:
            yield Violation("recorded_twice", "another attempt than its own succeeded", (step.run, step.asset))
    outputs: defaultdict[tuple[str, str], list[Output]] = defaultdict(list)
    by_step: Counter[tuple[str, int, str]] = Counter()
    for output in history.outputs:
        where = (output.run, output.asset)
        made_by = of_attempt.get(output.attempt_id)
        if output.state in ACCEPTED:
            by_step[output.run, output.step, output.asset] += 1
            outputs[output.asset, output.partition].append(output)
            if made_by is None or made_by.state != "succeeded":
                state = made_by.state if made_by else "unknown"
                yield Violation("recorded_twice", f"an output is {output.state}, its attempt is {state}", where)
        elif output.state == "unchecked":
            yield Violation("lost", "an output is unchecked still, and everything has ended", where)
        elif output.state == "candidate" and (made_by is None or made_by.ended_at is not None):
            yield Violation("recorded_twice", "an output is a candidate still, its attempt has ended", where)
    for (run, _, asset), count in by_step.items():
        if count > 1:
            yield Violation("recorded_twice", f"{count} outputs of it were accepted", (run, asset))
    for (asset, partition), made in outputs.items():
        current = [output for output in made if output.state == "current"]
        newest = max(made, key=lambda output: output.dispatch_seq)
        if len(current) != 1 or current[0] is not newest:
            yield Violation("recorded_twice", f"{len(current)} outputs of {asset} [{partition}] are current")
        elif history.pointers.get((asset, partition)) != current[0].attempt_id:
            yield Violation("recorded_twice", f"the pointer of {asset} [{partition}] is at another output")


def events_twice(history: History) -> Iterator[Violation]:
    """Events that were folded more than once."""
    ids = Counter(event.id for event in history.events)
    numbers = Counter((event.team, event.worker, event.seq) for event in history.events)
    for name, count in [*ids.items(), *numbers.items()]:
        if count > 1:
            yield Violation("recorded_twice", f"event {name} is recorded {count} times")


def claimed_twice(history: History) -> Iterator[Violation]:
    """Attempts that two runners have executed, unless the broker had forgotten the claim of the first."""
    groups: defaultdict[tuple[str, str, int], list[Execution]] = defaultdict(list)
    for execution in history.executions:
        groups[execution.run, execution.asset, execution.attempt].append(execution)
    for (run, asset, number), group in groups.items():
        for earlier, later in pairwise(sorted(group, key=lambda each: each.began)):
            if not any(
                f.kind in FORGETFUL and earlier.began < f.healed and f.began < later.began for f in history.faults
            ):
                why = f"attempt {number} ran in runner {earlier.runner} and in runner {later.runner}"
                yield Violation("claimed_twice", why, (run, asset))


def out_of_order(history: History) -> Iterator[Violation]:
    """Executions that began before a step above had ended, or that read what no accepted attempt has made."""
    attempts = _attempts_by_step(history)
    executions = {(e.run, e.asset, e.attempt): e for e in history.executions}
    steps = {(step.run, step.asset): step for step in history.steps}
    numbered = {(step.run, step.number): step for step in history.steps}
    accepted: dict[tuple[str, str], Attempt] = {}
    for step in history.steps:
        for attempt in attempts[step.run, step.number]:
            if attempt.state == "succeeded":
                accepted[step.run, step.asset] = attempt
    for execution in history.executions:
        here = steps.get((execution.run, execution.asset))
        for number in here.upstream if here else ():
            above = numbered[execution.run, number]
            maker = accepted.get((above.run, above.asset))
            made = executions.get((above.run, above.asset, maker.number)) if maker else None
            if made is None or made.last > execution.began:
                why = f"attempt {execution.attempt} began before {above.asset} had ended"
                yield Violation("out_of_order", why, (execution.run, execution.asset))
        for asset, run, number in execution.read:
            maker = accepted.get((run, asset))
            if maker is None or maker.number != number:
                why = (
                    f"attempt {execution.attempt} read {asset} of attempt {number} of run {run}, which was not accepted"
                )
                yield Violation("out_of_order", why, (execution.run, execution.asset))


def twice_at_once(history: History) -> Iterator[Violation | Excused]:
    """Pairs of executions at once of an asset's partition that must never run twice, whichever runs they are of."""
    groups: defaultdict[tuple[str, str], list[Execution]] = defaultdict(list)
    for execution in history.executions:
        if execution.asset in history.expected.stop:
            groups[execution.asset, execution.partition].append(execution)
    for group in groups.values():
        group.sort(key=lambda each: each.began)
        for earlier, later in _overlapping(group):
            overlap = min(earlier.last, later.last) - later.began
            cause = _excuse(earlier, later, history.faults)
            if cause is not None:
                yield Excused(cause, later.run, later.asset, overlap)
                continue
            why = (
                f"attempt {later.attempt} began in worker {later.worker} while attempt {earlier.attempt} of run {earlier.run}"
                f" was at work in worker {earlier.worker}, for {overlap:.2f} s"
            )
            yield Violation("concurrent_twice", why, (later.run, later.asset))


def over_slots(history: History) -> Iterator[Violation]:
    """Moments with more attempts out than a limit has slots, by the recorded dispatches and ends; a batch holds one slot together."""
    for rule in history.expected.rules:
        if rule.slots is None:
            continue
        changes: list[tuple[float, int, str]] = []
        for began, ended, name in _holdings(history, rule):
            changes += [(began, 1, name), (ended, -1, name)]
        out: set[str] = set()
        for at, change, name in sorted(changes):  # what ends at a moment makes room for what begins then
            out = out | {name} if change > 0 else out - {name}
            if len(out) > rule.slots:
                yield Violation(
                    "limit_exceeded", f"{len(out)} of {rule.slots} slots of {rule.name} at {at:.3f}: {sorted(out)}"
                )
                break


def over_rate(history: History) -> Iterator[Violation]:
    """Windows with more dispatches than a rate allows: more than burst + rate * w in w seconds."""
    for rule in history.expected.rules:
        if rule.rate is None:
            continue
        times = sorted(attempt.dispatched_at for _, attempt in _under(history, rule))
        if not times:
            continue
        lowest, since = 0.0, times[0]  # of i - rate * t_i, t from the first on
        for index, at in enumerate(times):
            level = index - rule.rate * (at - times[0])
            if index == 0 or level < lowest:
                lowest, since = level, at
            taken = level + 1 - lowest
            if taken > rule.burst + rule.rate * JITTER_S:
                why = f"{taken + rule.rate * (at - since):.0f} starts in {at - since:.3f} s under {rule.name}"
                yield Violation("limit_exceeded", f"{why}: rate {rule.rate:g}/s, burst {rule.burst:g}")
                break


def _attempts_by_step(history: History) -> defaultdict[tuple[str, int], list[Attempt]]:
    found: defaultdict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for attempt in sorted(history.attempts, key=lambda each: each.number):
        found[attempt.run, attempt.step].append(attempt)
    return found


def _under(history: History, rule: Rule) -> Iterator[tuple[Step, Attempt]]:
    steps = {(step.run, step.number): step for step in history.steps if step.asset in rule.assets}
    for attempt in history.attempts:
        step = steps.get((attempt.run, attempt.step))
        if step is not None:
            yield step, attempt


def _has_late_end(step: Step, attempts: list[Attempt]) -> bool:
    """Whether an attempt told its end after its lease had expired: that end is then recorded in place of the loss."""
    return step.losses > sum(attempt.state == "lost" and "lease" in attempt.error for attempt in attempts)


def _holdings(history: History, rule: Rule) -> Iterator[tuple[float, float, str]]:
    """From when to when a slot was held, and by what. When an attempt with a late end gave its slot back is recorded nowhere:
    those of its step count for none.
    """
    attempts = _attempts_by_step(history)
    holdings: dict[str, tuple[float, float]] = {}
    for step, attempt in _under(history, rule):
        if attempt.state != "lost" and _has_late_end(step, attempts[step.run, step.number]):
            continue
        name = f"batch {attempt.batch}" if attempt.batch else f"attempt {attempt.id}"
        ended = attempt.ended_at if attempt.ended_at is not None else float("inf")
        began, last = holdings.get(name, (attempt.dispatched_at, ended))
        holdings[name] = min(began, attempt.dispatched_at), max(last, ended)
    for name, (began, last) in holdings.items():
        if last > began:
            yield began, last, name


def _overlapping(group: list[Execution]) -> Iterable[tuple[Execution, Execution]]:
    """Pairs that overlap in a list sorted by their beginnings: each with the one before it that lasted longest."""
    longest: Execution | None = None
    for earlier, later in pairwise(group):
        if longest is None or earlier.last > longest.last:
            longest = earlier
        if longest.last > later.began:
            yield longest, later


def _excuse(earlier: Execution, later: Execution, faults: Iterable[Fault]) -> str | None:
    for fault in faults:
        if fault.kind in FORGETFUL and fault.began < later.began < fault.began + FORGOTTEN_S:
            return fault.kind
        during = earlier.began < fault.healed and fault.began < later.began < fault.healed + STOPPING_S
        if during and fault.kind in FROZEN and {earlier.worker, later.worker} & set(fault.pids):
            return fault.kind
    return None
