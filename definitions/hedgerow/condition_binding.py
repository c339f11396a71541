"""Conditions of a team's own code bound to their functions, ready to be asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from hedgerow.arguments import suggestion
from hedgerow.conditions.bounds import customs_of
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
