"""Binding conditions of a team's own code: each function with what the manifest says of it, ready to be asked."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hedgerow.annotations import read_signature
from hedgerow.arguments import Arguments, suggestion
from hedgerow.conditions.bounds import customs_of
from hedgerow.custom_conditions import ConditionContext, ConditionDefinition
from hedgerow.errors import ExecutionError, HedgerowError, Problem
from hedgerow.execution import Call, run_coroutine
from hedgerow.manifest import model
from hedgerow.manifest.lowering import Sources
from hedgerow.parameters import Parameters
from hedgerow.protocol.conditions import ConditionAnswer, ConditionQuestion


@dataclass(frozen=True)
class BoundCondition:
    """A condition of the manifest with the function behind it."""

    condition: model.CustomCondition
    function: Callable[..., Any]
    wants: Call

    def call(self, argument: msgspec.Raw | bytes) -> ConditionAnswer:
        """Asks it a `ConditionQuestion`. Raises what the function raises; ExecutionError HR-X234 when what it returns is no answer."""
        asked = msgspec.json.decode(argument, type=ConditionQuestion)
        context = ConditionContext(asked.asset, asked.partitions, asked.at)
        arguments: dict[str, Any] = dict.fromkeys(self.wants.contexts, context) | dict(self.wants.resources)
        returned = self.function(**arguments)
        if inspect.isawaitable(returned):
            returned = run_coroutine(_awaited(returned))
        return self._answer(returned, frozenset(asked.partitions))

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
            f"Condition {self.condition.name!r} {why}.",
            "Return True, False, or those of ctx.partitions for which it holds.",
        )


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def bind_conditions(
    definitions: Iterable[ConditionDefinition[..., Any]],
    sources: Sources,
    parameters: Callable[[Arguments], Parameters],
) -> tuple[dict[str, BoundCondition], list[Problem]]:
    """The conditions by name, with what is wrong with them beside the rest of the location."""
    bound: dict[str, BoundCondition] = {}
    problems: list[Problem] = []
    for definition in definitions:
        name = definition.lowered.name
        arguments = Arguments(f"Condition {name!r}", definition.site)
        if name and name in bound:
            arguments.refuse(
                "HR-D018", f"{arguments.what} is declared twice.", 'Give each a name of its own: name="...".'
            )
        call = parameters(arguments).of_evaluation(read_signature(definition.function, definition.scope))
        lowered = msgspec.structs.replace(definition.lowered, source=sources.of(definition.site, name))
        bound[name] = BoundCondition(lowered, definition.function, call)
        problems += arguments.problems
    return bound, problems


def unknown_conditions(assets: Mapping[str, model.Asset], declared: Mapping[str, BoundCondition]) -> Iterable[Problem]:
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
