"""What must be true of reactions: judged from what is committed, and from what their functions were truly told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hedgerow.protocol.happenings import Event
from simulation.evaluating import Evaluation
from simulation.town import Hears, Town
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.database import Database, Table

Row = Mapping[str, Any]
_FREE = ("HR-Q027", "HR-X104")  # no worker answered, or it had to leave
_OVER = ("delivered", "given_up")


class Happening(NamedTuple):
    """What happened, as rows tell it."""

    kind: str
    team: str
    assets: tuple[str, ...]
    partition: str = ""
    run_id: str = ""
    check: str = ""
    severity: str = "error"


class ReactingInvariants:
    """Watches the reactions of one world. `evaluations` is the log of what was truly evaluated."""

    def __init__(self, database: Database, town: Town, evaluations: Sequence[Evaluation]) -> None:
        self._db, self._town, self._evaluations = database, town, evaluations
        self._told: dict[str, list[tuple[Evaluation, bytes]]] = defaultdict(list)  # by delivery, with what was told
        self._looked_at = 0  # so many evaluations
        self._own = {
            team: {asset.key for asset in manifest.assets} for team, (manifest, *_) in town.code.items() if town.hears
        }

    def committed(self, touched: list[tuple[Table, Any, Any]]) -> None:
        """A transaction ended well: of everything that happened in it, those who are to hear of it will, once."""
        if not self._town.hears:
            return
        db, before = self._db, {}
        for table, key, row in touched:
            before.setdefault((id(table), key), (table, key, row))
        happened = [each for one in before.values() for each in self._happened(*one)]
        wanted = Counter(
            (*hears.place, *each) for each in happened for hears in self._town.hears if self._hears(hears, each)
        )
        fresh = [db.deliveries[key] for table, key, row in before.values() if table is db.deliveries and row is None]
        noted = Counter((row["team"], row["name"], *_as_happened(row["event"])) for row in fresh)
        if wanted != noted:
            raise Violation(f"reactions are to hear of {wanted - noted}, and hear of {noted - wanted} for no reason")
        for row in fresh:
            if row["event"].team not in ("", row["team"]) and row["event"].message:
                raise Violation(f"{row} tells what another team's code said")
        for table, key, row in before.values():
            if table is db.deliveries and row is not None:
                self._moved(db.deliveries[key], row)

    def _happened(self, table: Table, key: Any, before: Row | None) -> Iterator[Happening]:
        """What a row that was replaced says has happened."""
        db = self._db
        if table is db.runs and before is not None and before["state"] != table[key]["state"]:
            kind = {"failed": "run_failed", "succeeded": "run_succeeded"}.get(table[key]["state"])
            steps = [step for step in db.steps.values() if step["run_id"] == key] if kind else []
            teams = {step["team"] for step in steps}
            assets = {asset for step in steps for asset in step["assets"]}
            if kind is not None:
                team = next(iter(teams)) if len(teams) == 1 else ""
                yield Happening(kind, team, tuple(sorted(assets)), run_id=key)
        elif table is db.steps:
            row = table[key]
            if row["state"] in ("failed", "poisoned") and (before is None or before["state"] != row["state"]):
                yield Happening("step_failed", row["team"], tuple(row["assets"]), row["partition"], row["run_id"])
        elif table is db.verdicts and not table[key]["passed"]:
            row = table[key]
            team = db.attempts[row["attempt_id"]]["team"]
            about = (row["partition"], row["run_id"], row["check_name"], row["severity"])
            yield Happening("check_failed", team, (row["asset"],), *about)
        elif table is db.freshness:
            yield from self._turned(key, before, table.get(key))
        elif table is db.sensor_evaluations and table[key]["outcome"] in ("failed", "timed_out"):
            yield Happening("sensor_failed", table[key]["team"], ())

    def _turned(self, pair: tuple[str, str], before: Row | None, after: Row | None) -> Iterator[Happening]:
        old, new = before and before["status"], after and after["status"]
        if old != new:
            kind, severity = (
                ("asset_on_time" if new is None else "asset_late"),
                "error" if "late" in (new or old) else "warn",
            )
            (team,) = [team for team, own in self._own.items() if pair[0] in own]
            yield Happening(kind, team, (pair[0],), pair[1], severity=severity)

    def _hears(self, hears: Hears, happened: Happening) -> bool:
        if happened.kind not in hears.kinds:
            return False
        if not happened.assets:
            return happened.team == hears.place[0]
        return not (hears.assets or self._own[hears.place[0]]).isdisjoint(happened.assets)

    def _moved(self, row: Row, before: Row) -> None:
        """What has become of a delivery is what its function did."""
        told = self._tellings(row)
        failed = sum(each.said.reason != "ok" for each in told)
        (retries,) = [hears.retries for hears in self._town.hears if hears.place == (row["team"], row["name"])]
        if before["state"] != "waiting" or row["state"] not in ("waiting", *_OVER):
            raise Violation(f"a delivery went from {before} to {row}")
        if row["state"] == "delivered" and len(told) == failed:
            raise Violation(f"{row} counts as delivered, and its function never returned: {told}")
        if row["attempts"] > failed:
            raise Violation(f"{before} became {row}, and its function has failed {failed} times")
        is_spent = row["error"] is not None and row["error"].code not in _FREE
        if row["attempts"] != before["attempts"] + is_spent:
            raise Violation(f"{before} became {row}: only what its function failed at counts, and all of it")
        if (row["state"] == "given_up") != (row["attempts"] > retries):
            raise Violation(f"{row} may fail {retries} times and be told again")
        least = timedelta(seconds=told_again_s(row["attempts"]))
        if (
            row["state"] == "waiting"
            and row["attempts"] > before["attempts"]
            and row["next_at"] < self._db.now() + least
        ):
            raise Violation(f"{row} is told again earlier than {least} from now on")

    def _tellings(self, row: Row) -> list[Evaluation]:
        """The evaluations in which a reaction was truly told of a delivery, each time the same."""
        for each in self._evaluations[self._looked_at :]:
            if each.kind == "reaction":
                event = msgspec.json.decode(each.argument, type=Event)
                self._told[event.id].append((each, msgspec.json.encode(event)))
        self._looked_at = len(self._evaluations)
        told = self._told[row["id"]]
        if any(event != msgspec.json.encode(row["event"]) for _, event in told):
            raise Violation(f"{row} was told as {told}")
        return [each for each, _ in told]

    def final(self) -> None:
        """Everything has come to rest: nobody is still to be told anything."""
        for row in self._db.deliveries.values():
            if row["state"] not in _OVER:
                raise Violation(f"{row} is not over")


def _as_happened(event: Event) -> Iterable[Any]:
    assets = tuple(sorted(event.assets))
    return Happening(event.kind, event.team, assets, event.partition, event.run_id, event.check, event.severity)


def told_again_s(attempts: int) -> float:
    """The least time before a reaction of the lively town is told again what it failed at so often."""
    return float(2 ** (attempts - 1))
