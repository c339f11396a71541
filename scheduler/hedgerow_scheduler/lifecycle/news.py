"""News: what happens to partitions of assets, kept for whoever follows these assets."""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from hedgerow_scheduler.lifecycle.judging import is_judging
from hedgerow_scheduler.lifecycle.model import Materialization, Step
from hedgerow_scheduler.lifecycle.states import ENDED, HELD, MaterializationState, StepState

What: TypeAlias = Literal["begun", "started", "requeued", "ended", "made", "checked"]
WELL = {StepState.SUCCEEDED: True, StepState.FAILED: False, StepState.POISONED: False}


class News(NamedTuple):
    """One thing that happened to one partition of an asset.

    ``begun``: a step of it waits. ``started``: it went out; ``requeued``: it waits again. ``ended``: `well` says how (None: neither well nor badly),
    `was_queued` that it had not gone out. ``made``: a new current materialization by `run_id`, with its versions. ``checked``: the
    check `name` gave its verdict, `well`. Judging steps are no news: they make nothing.
    """

    what: What
    asset: str
    partition: str | None
    well: bool | None = None
    was_queued: bool = False
    run_id: str = ""
    name: str = ""
    code_version: str = ""
    data_version: str = ""


class NewsDesk:
    """The news of those assets that are `followed`, in the order in which they came."""

    def __init__(self) -> None:
        self.followed: Set[str] = frozenset()
        self.of_backfills: Callable[[Step, StepState, StepState], None] | None = (
            None  # told of steps that they launched
        )
        self.watched: Set[str] = frozenset()
        """Assets of which is kept, for freshness, what was made."""
        self._news: list[News] = []
        self._made: list[tuple[str, str | None, datetime | None]] = []

    def take_made(self) -> list[tuple[str, str | None, datetime | None]]:
        """What has become current of the `watched` assets since the last time, and when it was made (None: now)."""
        made, self._made = self._made, []
        return made

    def take(self) -> list[News]:
        """What is new since the last time."""
        news, self._news = self._news, []
        return news

    def has_some(self) -> bool:
        """Whether there is anything new."""
        return bool(self._news or self._made)

    def moved(self, step: Step, before: StepState, to: StepState) -> None:
        """A step moves along an arrow."""
        if step.run.backfill_id is not None and self.of_backfills is not None:
            self.of_backfills(step, before, to)
        for asset in () if is_judging(step.computation) else step.assets:
            if asset in self.followed and (news := _of_move(asset, step.partition, before, to)) is not None:
                self._news.append(news)

    def begun(self, step: Step) -> None:
        """A step waits that was not there before."""
        for asset in () if is_judging(step.computation) else step.assets:
            if asset in self.followed:
                self._news.append(News("begun", asset, step.partition))

    def seen(self, asset: str) -> None:
        """An external asset was seen with another data version than before, or for the first time."""
        if asset in self.watched:
            self._made.append((asset, None, None))

    def observed(self, asset: str, data_version: str) -> None:
        """An external asset was seen with another data version than before."""
        if asset in self.followed:
            self._news.append(News("made", asset, None, data_version=data_version))

    def checked(self, output: Materialization, name: str, passed: bool) -> None:
        """A check judged what was made earlier; of what is not current, nothing is followed."""
        if output.asset in self.followed and output.state is MaterializationState.CURRENT:
            self._news.append(News("checked", output.asset, output.partition or None, passed, name=name))

    def made(self, output: Materialization, failed_checks: Set[str], is_current: bool) -> None:
        """An output is settled: it became current, or its checks kept it from that."""
        partition = output.partition or None
        if is_current and output.asset in self.watched:
            self._made.append((output.asset, partition, output.made_at))
        if output.asset not in self.followed:
            return
        if is_current:
            news = News("made", output.asset, partition, run_id=output.run_id)
            self._news.append(news._replace(code_version=output.code_version, data_version=output.data_version))
        self._news += [News("checked", output.asset, partition, False, name=name) for name in sorted(failed_checks)]


def _of_move(asset: str, partition: str | None, before: StepState, to: StepState) -> News | None:
    if to in ENDED:
        return News("ended", asset, partition, WELL.get(to), before not in HELD)
    if before in ENDED:
        return News("begun", asset, partition)
    if to in HELD and before not in HELD:
        return News("started", asset, partition)
    if before in HELD and to not in HELD:
        return News("requeued", asset, partition)
    return None
