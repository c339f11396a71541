"""Conditions of a team's own code bound to their functions, ready to be asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from hedgerow.arguments import suggestion
from hedgerow.conditions.bounds import customs_of, operands_of
from hedgerow.conditions.model import AllDeps, AnyDep, CheckFailed, Late
from hedgerow.custom_conditions import ConditionContext
from hedgerow.errors import ExecutionError, HedgerowError, Problem
from hedgerow.evaluable_binding import BoundFunction
from hedgerow.manifest import model
from hedgerow.protocol.conditions import ConditionAnswer, ConditionQuestion


@dataclass(frozen=True)
class BoundCondition(BoundFunction[model.CustomCondition]):
    """A condition of the manifest with the function behind it."""

    def call(self, argument: msgspec.Raw | bytes) -> ConditionAnswer:
        """Asks it a `ConditionQuestion`. Raises what the function raises; ExecutionError HR-X234 when what it returns is no answer."""
        asked = msgspec.json.decode(argument, type=ConditionQuestion)
        context = ConditionContext(asked.asset, asked.partitions, asked.at)
        return self._answer(self.returned(context), frozenset(asked.partitions))

    def _answer(self, returned: object, asked: frozenset[str]) -> ConditionAnswer:
        if isinstance(returned, bool) or type(returned).__name__ == "bool_":  # numpy's, without an import of it
            return ConditionAnswer(bool(returned))
        if isinstance(returned, list | tuple | set | frozenset) and all(isinstance(each, str) for each in returned):
            if unknown := sorted(set(returned) - asked)[:1]:
                raise self._nonsense(f"names the partition {unknown[0]!r}, which was not asked for")
            return ConditionAnswer(False, tuple(sorted(returned)))
        raise self._nonsense(f"returned {returned!r:.80}, which is no answer")

    def _nonsense(self, why: str) -> HedgerowError:
        return ExecutionError.of(
            "HR-X234",
            f"Condition {self.lowered.name!r} {why}.",
            "Return True, False, or those of ctx.partitions for which it holds.",
        )


def unknown_conditions(assets: Mapping[str, model.Asset], declared: Collection[str]) -> Iterable[Problem]:
    """What conditions of assets ask that is not declared in the location, as HR-D113."""
    for key, asset in assets.items():
        for name in customs_of(asset.automation) if asset.automation is not None else ():
            if name not in declared:
                yield Problem(
                    "HR-D113",
                    f"The condition of asset {key!r} asks {name!r}, which no module of this location declares.",
                    suggestion(name, declared)
                    + "Bind the function under @hr.condition to a name in one of its modules.",
                    asset.source.file if asset.source else None,
                    asset.source.line if asset.source else None,
                )


def futile_conditions(
    assets: Mapping[str, model.Asset],
    upstream_of: Mapping[str, Collection[str]],
    checks_of: Mapping[str, Collection[str]],
) -> Iterable[Problem]:
    """What conditions ask of assets that can never be so, as HR-D114: of an upstream that is none, a check or a policy that there is not."""
    for key, asset in assets.items():
        for what, remedy in _futile(asset, upstream_of.get(key, ()), checks_of.get(key, ())):
            place = (asset.source.file, asset.source.line) if asset.source else (None, None)
            yield Problem("HR-D114", f"The condition of asset {key!r} asks {what}.", remedy, *place)


def _futile(asset: model.Asset, upstream: Collection[str], checks: Collection[str]) -> Iterable[tuple[str, str]]:
    asked = [asset.automation] if asset.automation is not None else []
    while asked:
        condition = asked.pop()
        match condition:
            case AnyDep(keys=keys, but=but) | AllDeps(keys=keys, but=but):
                for key in (*keys, *but):
                    if key not in upstream:
                        remedy = suggestion(key, upstream) + "Name assets that it is made from."
                        yield f"something of {key!r}, which it is not made from", remedy
                continue  # what is below is asked of another asset
            case CheckFailed(check=check) if check and check not in checks:
                remedy = suggestion(check, checks) + f"Declare it: @hr.check({asset.key!r})."
                yield f"whether its check {check!r} failed, which it does not have", remedy
            case Late() if asset.freshness is None:
                yield (
                    "whether it is late, and it has no policy of freshness",
                    "Give it one: freshness=hr.fresh_within(...).",
                )
        asked += operands_of(condition)
