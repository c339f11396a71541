"""A simulation: the scheduler's own schedules, conditions, freshness and runs on a virtual clock, without servers or user code.

What decides is what decides in production (service.schedules, service.automating, planning, ingest.outcomes). Workers and limits are
left out: what is ready starts at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from pyroaring import BitMap

from hedgerow.conditions.bounds import customs_of
from hedgerow.errors import RequestError
from hedgerow.manifest.model import Manifest, encode, manifest_hash
from hedgerow.suggestion import did_you_mean
from hedgerow.testing.simulating import manifests_of
from hedgerow_scheduler.automation.answers import Said
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.automation.freshness import Wanted
from hedgerow_scheduler.automation.pauses import Pause, PauseKind, Pauses
from hedgerow_scheduler.automation.telling import Operand, operands
from hedgerow_scheduler.lifecycle.changes import Changes, Effects, EvaluationRecord
from hedgerow_scheduler.lifecycle.judging import is_judging
from hedgerow_scheduler.lifecycle.model import Materialization, Run
from hedgerow_scheduler.lifecycle.states import HELD, MaterializationState, RunState, StepState
from hedgerow_scheduler.metadata.automation import MadeRow, StoredFacts
from hedgerow_scheduler.partitions.key_sets import KeySets
from hedgerow_scheduler.partitions.spaces import space_of
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest, refusals
from hedgerow_scheduler.planning.key_changes import change_keys
from hedgerow_scheduler.planning.limiting import use_catalog
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.service.automating import Automating
from hedgerow_scheduler.service.custom_conditions import Heard, Question
from hedgerow_scheduler.service.freshness import FreshnessWatch
from hedgerow_scheduler.service.requests import step_of
from hedgerow_scheduler.service.schedules import Schedules
from hedgerow_scheduler.testing.simulated_steps import SimulatedSteps
from hedgerow_scheduler.testing.told import Launch, Missed, check_pause, instant, later, line_of, span, why_not

MOST_CYCLES = 1_000  # within one instant
PERSON = "person"


class Simulation:
    """See the module. Times are texts in ISO 8601 with an offset, or aware datetimes; durations are texts such as `"6h"`, or timedeltas.

    `launches` are all runs so far, in order; `missed` the ticks that launched nothing.
    """

    def __init__(
        self,
        manifests: Iterable[Manifest],
        start: str | datetime,
        *,
        durations: Mapping[str, str | timedelta] | None = None,
        materialized: bool = True,
    ) -> None:
        self.now = instant(start)
        self._zone = self.now.tzinfo  # in which everything is told
        self._durations = {key: span(each) for key, each in (durations or {}).items()}
        self.launches: list[Launch] = []
        self.missed: list[Missed] = []
        self._made: dict[
            str, dict[str, tuple[datetime, str, str]]
        ] = {}  # by asset and partition: when, code and data version
        self._rejected: set[tuple[str, str]] = set()
        self._evaluations: dict[str, EvaluationRecord] = {}
        self._numbers = count(1)
        key_sets = KeySets()
        self._snapshot = Snapshot(_catalog(manifests, key_sets), key_sets=key_sets)
        self._schedules = Schedules(self._snapshot, (), True, self._new_id)
        self._automating = Automating(self._snapshot, {}, True, self._new_id, lambda _: EMPTY)
        self._steps = SimulatedSteps(self._snapshot, self._takes)
        self._freshness = FreshnessWatch(self._snapshot, (), self._automating.turned)
        self._automating.stands = self._freshness.stands
        self._late: dict[tuple[str, str | None], str] = {}
        self._paused: dict[tuple[str, str], Pause] = {}
        if materialized:
            self._make_everything()
        self._settle()

    # -- what happens ------------------------------------------------------------------------------------------------

    def advance(self, duration: str | timedelta) -> Sequence[Launch]:
        """Lets time pass; returns what was launched meanwhile."""
        return self.advance_to(later(self.now, duration))

    def advance_to(self, until: str | datetime) -> Sequence[Launch]:
        """Lets time pass up to an instant, and everything happen that is due then; returns what was launched meanwhile."""
        end, before = instant(until), len(self.launches)
        if end < self.now:
            raise RequestError.of("HR-D022", f"{end} is before {self.now}.", "Time only goes on.")
        while (due := self._next_due()) is not None and due <= end:
            self.now = max(self.now, due).astimezone(self._zone)
            self._settle()
        self.now = end.astimezone(self._zone)
        return self.launches[before:]

    def materialize(self, *selection: str, partition: str | None = None) -> Sequence[Launch]:
        """Has assets made, as a person would who launches a run; an external asset counts as made at once. Returns everything that
        was launched at this instant, what follows from it included.
        """
        before = len(self.launches)
        external = [key for key in selection if (a := self._catalog.assets.get(key)) and a.computation is None]
        for key in external:
            self._observe(key, partition)
        if asked := tuple(key for key in selection if key not in external):
            request = RunRequest(asked, (partition,) if partition is not None else ())
            run = Run(self._new_id(), RunState.REQUESTED, self.now, author=PERSON)
            run.steps = [step_of(run, plan) for plan in plan_steps(self._catalog, request, self.now)]
            self._snapshot.start_run(run, self.now)
            self._note(run)
        self._settle()
        return self.launches[before:]

    def fail(self, key: str, *, times: int | None = None) -> None:
        """The next `times` attempts of the asset's steps fail (None: all from now on; 0: none any more)."""
        self._steps.failures[self._known(key)] = -1 if times is None else times

    def fail_check(self, key: str, check: str, *, fails: bool = True) -> None:
        """A check of the asset fails from now on, or passes again."""
        declared = {each.name for each in self._catalog.assets[self._known(key)].checks}
        if check not in declared:
            raise RequestError.of("HR-D022", f"'{key}' has no check '{check}'.", did_you_mean(check, declared))
        (self._steps.failing_checks.add if fails else self._steps.failing_checks.discard)((key, check))

    def keep_data(self, key: str, *, same: bool = True) -> None:
        """The asset comes out with the data that it had from now on, or with other data again."""
        (self._steps.unchanged.add if same else self._steps.unchanged.discard)(self._known(key))

    def answer(self, condition: str, holds: bool | Collection[str]) -> Sequence[Launch]:
        """What a function under `@hr.condition` answers from now on, for every asset that asks it: for all partitions, or for these. Before,
        these assets wait. Returns what is launched at once.
        """
        before = len(self.launches)
        asked = {each.name for entry in self._catalog.published.values() for each in entry.manifest.conditions}
        if condition not in asked:
            remedy = (
                did_you_mean(condition, asked) or "Nothing that is simulated declares a function under @hr.condition."
            )
            raise RequestError.of("HR-D022", f"There is no condition '{condition}'.", remedy)
        for key, asset in self._catalog.assets.items():
            automation = asset.definition.automation
            if automation is not None and condition in customs_of(automation):
                space = space_of(asset.definition.partitions)
                if isinstance(holds, bool):
                    said = Said(holds)
                else:
                    chosen = BitMap(number for name in holds if (number := space.ordinal(name)) is not None)
                    said = Said(None, chosen, space.existing(self.now))
                self._automating.hear_custom(Heard(Question(key, condition), said), self.now)
        self._settle()
        return self.launches[before:]

    def deploy(self, definitions: Any) -> Sequence[Launch]:
        """Other code of some teams comes into force, given as `hr.simulate` takes it; returns what is launched at once. RequestError with
        the reasons when it would be refused.
        """
        before = len(self.launches)
        for each in manifests_of(definitions):
            published = PublishedManifest(manifest_hash(encode(each)), self._snapshot.key_sets.bind(each))
            owners = {key: (asset.team, asset.location) for key, asset in self._catalog.assets.items()}
            if problems := refusals(self._catalog, each, owners):
                raise RequestError(problems[0])
            use_catalog(self._snapshot, self._catalog.replacing(published), self.now)
        self._settle()
        return self.launches[before:]

    def add_partitions(self, name: str, *keys: str) -> Sequence[Launch]:
        """Keys are added to a set of dynamic partitions, as `team/name`, or by its name if one team alone has it; returns what is launched at once."""
        return self._change_keys(name, added=keys)

    def remove_partitions(self, name: str, *keys: str) -> Sequence[Launch]:
        """Keys are removed from a set of dynamic partitions; returns what is launched at once."""
        return self._change_keys(name, removed=keys)

    def _change_keys(self, name: str, added: Sequence[str] = (), removed: Sequence[str] = ()) -> Sequence[Launch]:
        before, known = len(self.launches), self._snapshot.key_sets.titles()
        titles = [title for title in known if name in (title, title.partition("/")[2])]
        if len(titles) != 1:
            remedy = did_you_mean(name, known) or "Give an asset partitions=hr.dynamic(...)."
            raise RequestError.of("HR-Q109", f"There is no set of partitions '{name}'.", remedy)
        team, _, own = titles[0].partition("/")
        changed = change_keys(self._snapshot, team, own, self.now, added=added, removed=removed, author=PERSON)
        if changed.problem is not None:
            raise RequestError(changed.problem)
        self._settle()
        return self.launches[before:]

    def pause(self, kind: PauseKind = "platform", name: str = "", *, reason: str = "a simulation") -> None:
        """Holds back what is launched by itself: of the `platform`, a `team`, an `asset`, or a `schedule` (team/name)."""
        check_pause(self._catalog, kind, name)
        self._paused[kind, name] = Pause(kind, name, PERSON, reason, self.now, None)
        self._use_pauses()

    def resume(self, kind: PauseKind = "platform", name: str = "") -> Sequence[Launch]:
        """Ends a pause; returns what is launched at once."""
        check_pause(self._catalog, kind, name)
        before = len(self.launches)
        self._paused.pop((kind, name), None)
        self._use_pauses()
        self._settle()
        return self.launches[before:]

    # -- what is so --------------------------------------------------------------------------------------------------

    def launched(self, key: str) -> list[tuple[datetime, str | None]]:
        """When partitions of an asset were launched, as (instant, partition), in order."""
        known = self._known(key)
        return [(each.at, partition) for each in self.launches for partition in each.assets.get(known, ())]

    def status(self, key: str, partition: str | None = None) -> str:
        """`in progress`, `materialized`, `rejected` (by a blocking check, and never made otherwise) or `missing`."""
        for run in self._snapshot.runs.values():
            for step in run.steps:
                waits = step.state in HELD or step.state in (StepState.WAITING, StepState.READY, StepState.RETRY_WAIT)
                if waits and key in step.assets and step.partition == partition:
                    return "in progress"
        if (partition or "") in self._made.get(self._known(key), {}):
            return "materialized"
        return "rejected" if (key, partition or "") in self._rejected else "missing"

    def late(self) -> Mapping[tuple[str, str | None], str]:
        """What is `late` or warned of (`warn`) by its freshness policy, by (asset key, partition)."""
        return dict(self._late)

    def unasked(self) -> Mapping[str, str]:
        """Assets whose condition could not be asked to the end when it was last evaluated, with the reason."""
        return {key: found.problem for key, found in self._evaluations.items() if found.problem}

    def explain(self, key: str) -> str:
        """The last evaluation of an asset's condition, operand by operand, with for how many partitions each held."""
        found = self._evaluations.get(self._known(key))
        if found is None:
            return f"{key}: its condition was not evaluated; it has one: {self._catalog.assets[key].definition.automation is not None}"
        lines = [f"{key}, evaluated at {found.at.isoformat()}{f': {found.problem}' if found.problem else ''}"]
        lines += [line_of(each) for each in self._operands(key, found)]
        return "\n".join(lines)

    # -- how it goes -------------------------------------------------------------------------------------------------

    @property
    def _catalog(self) -> Catalog:
        return self._snapshot.catalog

    def _new_id(self) -> str:
        return f"run {next(self._numbers)}"

    def _takes(self, key: str) -> timedelta:
        return self._durations.get(key, timedelta(0))

    def _known(self, key: str) -> str:
        if key not in self._catalog.assets:
            raise RequestError.of("HR-Q001", f"There is no asset '{key}'.", did_you_mean(key, self._catalog.assets))
        return key

    def _make_everything(self) -> None:
        """Every partition that exists at the start is there, made by the code in force."""
        for key, asset in self._catalog.assets.items():
            space = space_of(asset.definition.partitions)
            version = asset.computation.code_version if asset.computation else ""
            names = (space.key(ordinal) or "" for ordinal in space.existing(self.now))
            self._made[key] = dict.fromkeys(names, (self.now, version, "data at first"))

    def _use_pauses(self) -> None:
        pauses = Pauses(self._paused.values())
        self._schedules.pauses = pauses
        self._automating.use(pauses)

    def _observe(self, key: str, partition: str | None) -> None:
        number = next(self._numbers)
        self._snapshot.news.made(
            Materialization(
                f"update {number}", key, partition or "", f"update {number}", 0, number, MaterializationState.CURRENT, None,
                f"data {number}", "", {}, (),
            ),
            frozenset(),
            True,
        )  # fmt: skip
        self._made.setdefault(key, {})[partition or ""] = (self.now, "", f"data {number}")

    def _next_due(self) -> datetime | None:
        dues = (
            self._schedules.next_tick(), self._automating.next_due(), self._snapshot.next_timer(), self._steps.next_end(),
            self._freshness.next_due(),
        )  # fmt: skip
        return min((due for due in dues if due is not None), default=None)

    def _settle(self) -> None:
        """Everything that is due at this instant."""
        for _ in range(MOST_CYCLES):
            self._schedules.launch(self.now, _nothing)
            self._snapshot.fire_timers(self.now)
            more = self._freshness.turn(self, self.now, _nothing) or self._automating.turn(self, self.now, _nothing)
            self._record()
            self._steps.end(self.now)
            self._steps.start(self.now)
            self._record()
            due = self._next_due()
            if not more and (due is None or due > self.now) and not self._snapshot.news.has_some():
                return
        raise RequestError.of(
            "HR-D022",
            f"What happens at {self.now} never comes to an end: {', '.join(self.launches[-1].assets) if self.launches else ''} again and again.",
            "Look for a condition that asks for itself; .at_most() or .debounce() hold it back.",
        )

    def _record(self) -> None:
        """Takes note of what was decided, as the database would."""
        changes, self._snapshot.changes = self._snapshot.changes, Changes()
        self._snapshot.effects = Effects()
        for new in changes.new_runs:
            self._note(new.run)
        for tick in changes.schedule_ticks:
            if tick.outcome != "launched":
                self.missed.append(Missed(tick.tick, tick.place.title, why_not(tick)))
        for (key, kind), record in changes.evaluations.items():
            if kind == "latest":
                self._evaluations[key] = record
        for told in changes.freshness.values():
            place = (told.asset, told.partition or None)
            if told.status == "on_time":
                self._late.pop(place, None)
            else:
                self._late[place] = told.status
        for output in changes.outputs.values():
            if output.state is MaterializationState.CURRENT:
                versions = (self.now, output.code_version, output.data_version)
                self._made.setdefault(output.asset, {})[output.partition] = versions
                self._rejected.discard((output.asset, output.partition))
            elif output.state is MaterializationState.REJECTED:
                self._rejected.add((output.asset, output.partition))

    def _note(self, run: Run) -> None:
        assets: dict[str, list[str | None]] = {}
        for step in run.steps:
            for key in () if is_judging(step.computation) else step.assets:
                assets.setdefault(key, []).append(step.partition)
        by = "condition" if run.author == "automation" else run.author
        self.launches.append(Launch(self.now, by, {key: tuple(found) for key, found in assets.items()}, run))

    def _operands(self, key: str, found: EvaluationRecord) -> Iterable[Operand]:
        program = self._automating.program_of(key)
        findings = [(each.place, each.of, each.asked, each.true) for each in found.findings]
        return operands(program, findings) if program is not None else ()

    def made(
        self, keys: Collection[str], windows: Mapping[str, Wanted]
    ) -> Mapping[str, Sequence[tuple[str, datetime]]]:
        """When what is current was made."""
        return {
            key: sorted(((name, at) for name, (at, _, _) in self._made.get(key, {}).items()), key=lambda one: one[1])
            for key in (*keys, *windows)
        }

    def facts(self, keys: Collection[str], with_failures: Collection[str]) -> StoredFacts:
        """What is so of assets that are looked at for the first time, as the database would say."""
        made = [
            MadeRow(key, partition, code, data)
            for key in keys
            for partition, (_, code, data) in self._made.get(key, {}).items()
        ]
        del with_failures
        return StoredFacts(tuple(made))


def _catalog(manifests: Iterable[Manifest], key_sets: KeySets) -> Catalog:
    catalog = Catalog()
    for each in manifests:
        owners = {key: (asset.team, asset.location) for key, asset in catalog.assets.items()}
        if problems := refusals(catalog, each, owners):
            raise RequestError(problems[0])
        catalog = catalog.replacing(PublishedManifest(manifest_hash(encode(each)), key_sets.bind(each)))
    return catalog


def _nothing() -> None:
    """Nobody else leads."""
