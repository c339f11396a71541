"""Remembering what was derived from partitions: for the same objects it is not worked out again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

REMEMBERED = 64

P = ParamSpec("P")
R = TypeVar("R")


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, of immutable arguments given by position, with its latest results kept by the identity of the arguments.

    By identity, because planning asks for each key of a run: comparing or hashing partitions with 100,000 keys each time
    would make a large run quadratic.
    """
    known: dict[tuple[int, ...], tuple[tuple[Any, ...], R]] = {}

    @wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        key = tuple(map(id, args))
        found = known.get(key)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            # The arguments are kept as well, so that no other object can come to have their identity.
            found = known[key] = (args, function(*args, **kwargs))
        return found[1]

    return ask
