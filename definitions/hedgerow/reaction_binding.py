"""Binding reactions: each function with what the manifest says of it, ready to be told something."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from hedgerow.annotations import read_signature
from hedgerow.arguments import Arguments
from hedgerow.errors import Problem
from hedgerow.execution import Call, run_coroutine
from hedgerow.manifest import model
from hedgerow.manifest.lowering import Sources
from hedgerow.parameters import Parameters
from hedgerow.protocol.happenings import Event
from hedgerow.reactions import ReactionDefinition


@dataclass(frozen=True)
class BoundReaction:
    """A reaction of the manifest with the function behind it."""

    reaction: model.Reaction
    function: Callable[..., Any]
    wants: Call

    def call(self, argument: msgspec.Raw | bytes) -> None:
        """Tells it an `Event`. Raises what the function raises; what that returns is nobody's business."""
        event = msgspec.json.decode(argument, type=Event)
        arguments: dict[str, Any] = dict.fromkeys(self.wants.contexts, event) | dict(self.wants.resources)
        returned = self.function(**arguments)
        if inspect.isawaitable(returned):
            run_coroutine(_awaited(returned))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def bind_reactions(
    definitions: Iterable[ReactionDefinition[..., Any]], sources: Sources, parameters: Callable[[Arguments], Parameters]
) -> tuple[dict[str, BoundReaction], list[Problem]]:
    """The reactions by name, with what is wrong with them beside the rest of the location."""
    bound: dict[str, BoundReaction] = {}
    problems: list[Problem] = []
    for definition in definitions:
        name = definition.lowered.name
        arguments = Arguments(f"Reaction {name!r}", definition.site)
        if name and name in bound:
            arguments.refuse(
                "HR-D018", f"{arguments.what} is declared twice.", 'Give each a name of its own: name="...".'
            )
        call = parameters(arguments).of_evaluation(read_signature(definition.function, definition.scope))
        source = sources.of(definition.site, name)
        bound[name] = BoundReaction(
            msgspec.structs.replace(definition.lowered, source=source), definition.function, call
        )
        problems += arguments.problems
    return bound, problems
