"""Binding functions that are evaluated outside of steps: each with what the manifest says of it, ready to be called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from hedgerow.annotations import read_signature
from hedgerow.arguments import Arguments
from hedgerow.errors import Problem
from hedgerow.execution import Call, run_coroutine
from hedgerow.manifest import model
from hedgerow.manifest.lowering import Sources
from hedgerow.parameters import Parameters
from hedgerow.site import Site

L = TypeVar("L", model.Sensor, model.Reaction, model.CustomCondition)
B = TypeVar("B")


class Definition(Protocol[L]):
    """A declaration of such a function; `lowered` is what the manifest carries."""

    lowered: L
    function: Callable[..., Any]
    site: Site
    scope: dict[str, Any]


@dataclass(frozen=True)
class BoundFunction(Generic[L]):
    """Such a function with what the manifest says of it, and how it wants to be called."""

    lowered: L
    function: Callable[..., Any]
    wants: Call

    def returned(self, context: object) -> Any:
        """What it returns; a coroutine is run to its end. Raises what the function raises."""
        arguments: dict[str, Any] = dict.fromkeys(self.wants.contexts, context) | dict(self.wants.resources)
        found = self.function(**arguments)
        return run_coroutine(_awaited(found)) if inspect.isawaitable(found) else found


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def bind_functions(
    kind: str,
    bound_as: Callable[[L, Callable[..., Any], Call], B],
    definitions: Iterable[Definition[L]],
    sources: Sources,
    parameters: Callable[[Arguments], Parameters],
) -> tuple[dict[str, B], list[Problem]]:
    """Those of a kind ("Sensor") by name, with what is wrong with them beside the rest of the location."""
    bound: dict[str, B] = {}
    problems: list[Problem] = []
    for definition in definitions:
        name = definition.lowered.name
        arguments = Arguments(f"{kind} {name!r}", definition.site)
        if name and name in bound:
            arguments.refuse(
                "HR-D018", f"{arguments.what} is declared twice.", 'Give each a name of its own: name="...".'
            )
        call = parameters(arguments).of_evaluation(read_signature(definition.function, definition.scope))
        lowered = msgspec.structs.replace(definition.lowered, source=sources.of(definition.site, name))
        bound[name] = bound_as(lowered, definition.function, call)
        problems += arguments.problems
    return bound, problems
