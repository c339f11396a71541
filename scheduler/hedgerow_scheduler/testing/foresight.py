"""Foresight: what would be launched in the hours to come, and what a deploy would make different. Nothing is launched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from hedgerow.errors import Problem, RequestError
from hedgerow.manifest.difference import Difference, compare
from hedgerow.manifest.model import Manifest
from hedgerow_scheduler.planning.catalog import Catalog, PublishedManifest, refusals
from hedgerow_scheduler.planning.fitting import Misfit, misfits
from hedgerow_scheduler.testing.simulation import PERSON, Simulation
from hedgerow_scheduler.testing.told import Launch, Missed, later

MAX_HOURS = 24 * 366
SHOWN = 100  # partitions of one launch of an asset


class Update(msgspec.Struct, frozen=True):
    """An asset that is made at an instant by something that nobody here decides, such as an external one."""

    key: str
    partition: str | None
    at: datetime


class Foreseen(msgspec.Struct, frozen=True):
    """One launch: when, by what, which asset, and the first of its `count` partitions, none of one that has none."""

    at: datetime
    by: str
    asset: str
    partitions: tuple[str, ...]
    count: int


class Unasked(msgspec.Struct, frozen=True):
    """An asset whose condition could not be asked to the end, and why: nothing is foreseen of it."""

    asset: str
    why: str


class Outlook(msgspec.Struct, frozen=True):
    """What would be launched from `start` to `end`, the ticks that would launch nothing, with the reason, and the assets of which
    nothing could be foreseen.
    """

    start: datetime
    end: datetime
    launches: tuple[Foreseen, ...]
    missed: tuple[Missed, ...]
    unasked: tuple[Unasked, ...] = ()


class Stale(msgspec.Struct, frozen=True):
    """An asset that a deploy makes stale: by its own `code`, or because something it is made from is."""

    asset: str
    team: str
    because: str


class DeployPlan(msgspec.Struct, frozen=True):
    """What a deploy of a location would do. With `problems` it would be refused and do nothing. `broken` is what could no longer be
    made, of whichever team. `only_now` are launches of the hours to come that would be no more, `only_then` those that would be new.
    """

    team: str
    location: str
    is_new: bool
    difference: Difference
    problems: tuple[Problem, ...]
    broken: tuple[Misfit, ...]
    stale: tuple[Stale, ...]
    only_now: tuple[Foreseen, ...]
    only_then: tuple[Foreseen, ...]

    @property
    def changes_something(self) -> bool:
        """Whether anything would be other than it is."""
        told = self.problems or self.broken or self.only_now or self.only_then
        return bool(self.is_new or self.difference or told)


def foresee(
    manifests: Sequence[Manifest],
    start: datetime,
    hours: float,
    updates: Iterable[Update] = (),
    answers: Mapping[str, bool] = {},
) -> Outlook:
    """What would be launched, if everything is there at `start`, each step ends well at once, and nobody launches anything. `answers`
    are those of functions under `@hr.condition`, by name, from the start on.

    RequestError HR-Q380 when `start` or `hours` is out of bounds, and what `Simulation` raises.
    """
    if not 0 < hours <= MAX_HOURS:
        raise RequestError.of(
            "HR-Q380", f"{hours:g} hours can't be foreseen.", f"Give more than 0 and at most {MAX_HOURS:,} hours."
        )
    simulation, end = Simulation(manifests, start), later(start, timedelta(hours=hours))
    for condition, holds in answers.items():
        simulation.answer(condition, holds)
    for update in sorted(updates, key=lambda each: each.at):
        if not start <= update.at <= end:
            raise RequestError.of(
                "HR-Q380",
                f"The update of '{update.key}' at {update.at} is not from {start} to {end}.",
                "Give an instant in between.",
            )
        simulation.advance_to(update.at)
        simulation.materialize(update.key, partition=update.partition)
    simulation.advance_to(end)
    launches = tuple(each for launch in simulation.launches if launch.by != PERSON for each in _foreseen(launch))
    unasked = (Unasked(asset, why) for asset, why in sorted(simulation.unasked().items()))
    return Outlook(start, end, launches, tuple(simulation.missed), tuple(unasked))


def plan_deploy(deployed: Sequence[Manifest], candidate: Manifest, start: datetime, hours: float) -> DeployPlan:
    """What it would do to deploy `candidate` beside what is `deployed`, all teams' manifests in force."""
    place = (candidate.team, candidate.location)
    by_place = {(each.team, each.location): each for each in deployed}
    former = by_place.get(place)
    before = Catalog(PublishedManifest("", each) for each in deployed)
    owners = {key: (asset.team, asset.location) for key, asset in before.assets.items()}
    after = before.replacing(PublishedManifest("", candidate))
    difference = compare(former or Manifest(candidate.team, candidate.location), candidate)
    problems = refusals(before, candidate, owners, after)
    if problems:
        return DeployPlan(*place, former is None, difference, problems, (), (), (), ())
    now = foresee(list(deployed), start, hours).launches
    already = set(misfits(before))
    then = foresee(list({**by_place, place: candidate}.values()), start, hours).launches
    return DeployPlan(
        *place, former is None, difference, (), tuple(each for each in misfits(after) if each not in already),
        tuple(_stale(before, after, difference)),
        tuple(each for each in now if each not in set(then)), tuple(each for each in then if each not in set(now)),
    )  # fmt: skip


def _stale(before: Catalog, after: Catalog, difference: Difference) -> Iterable[Stale]:
    """What is stale after a deploy, upstream first: assets that were there and whose code is another, and all that is made from them."""
    found: dict[str, Stale] = {}
    edge = []
    for change in difference.changed:
        asset = after.assets[change.key]
        if change.code and asset.computation is not None:
            found[change.key] = Stale(change.key, asset.team, "its code is another")
            edge.append(change.key)
    while edge:
        above = edge.pop(0)
        for key in after.downstream(above):
            if key not in found and key in before.assets:
                found[key] = Stale(key, after.assets[key].team, f"it is made from {above}")
                edge.append(key)
    return found.values()


def _foreseen(launch: Launch) -> Iterable[Foreseen]:
    for asset, partitions in launch.assets.items():
        named = tuple(each for each in partitions[:SHOWN] if each is not None)
        yield Foreseen(launch.at, launch.by, asset, named, len(partitions) if partitions != (None,) else 0)
