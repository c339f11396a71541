"""What all declarations of a function have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Generic, ParamSpec, TypeVar

from hedgerow.errors import Problem
from hedgerow.site import of_function

P = ParamSpec("P")
R = TypeVar("R")


class FunctionDefinition(Generic[P, R]):
    """A function of a team with what was declared of it. Calling it calls the function, nothing else.

    `problems` are what is wrong with the declaration, `site` is where it stands, `scope` are names that only its surroundings know, which
    a function defined inside another one may be annotated with.
    """

    def __init__(self, function: Callable[P, R], problems: Sequence[Problem], scope: FrameType | None = None) -> None:
        self.function = function
        self.problems = tuple(problems)
        self.site = of_function(function)
        nested = scope is not None and "<locals>" in getattr(function, "__qualname__", "")
        self.scope: dict[str, Any] = dict(scope.f_locals) if nested and scope is not None else {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)
