"""Declaring checks: verdicts on an asset, which may gate whatever is downstream."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from hedgerow.arguments import Arguments
from hedgerow.assets import AssetDefinition
from hedgerow.dependencies import keys_of
from hedgerow.errors import DefinitionError, Problem
from hedgerow.functions import FunctionDefinition
from hedgerow.manifest.model import Severity
from hedgerow.site import of_caller, of_function, outer_frame

P = ParamSpec("P")
R = TypeVar("R")


class CheckOptions(TypedDict, total=False):
    """The arguments of `check` besides the asset."""

    name: str
    description: str
    blocking: bool
    severity: Severity
    own_step: bool


class CheckDefinition(FunctionDefinition[P, R]):
    """A function that checks an asset. Calling it calls the function."""

    former_columns = False
    """Whether it is given the columns of output and former output (`hedgerow.quality.schemas`) instead of the value."""

    def __init__(
        self,
        function: Callable[P, R],
        name: str,
        asset: str,
        description: str,
        blocking: bool,
        severity: Severity,
        own_step: bool,
        problems: Sequence[Problem],
        scope: FrameType | None = None,
    ) -> None:
        super().__init__(function, problems, scope)
        self.name = name
        self.asset = asset
        self.description = description
        self.blocking = blocking
        self.severity: Severity = severity
        self.own_step = own_step

    def __repr__(self) -> str:
        return f"<check {self.name} of {self.asset}>"


def check(
    asset: str | AssetDefinition[..., Any], **options: Unpack[CheckOptions]
) -> Callable[[Callable[P, R]], CheckDefinition[P, R]]:
    """Declare a check of an asset of the same code location; it runs whenever the asset was written.

    The function receives the value as its one plain parameter (of any name, loaded as annotated), besides `hr.Context` and
    resources, and returns True, False or `hr.CheckResult`. `blocking=True` keeps a failed output from becoming current: nothing
    downstream sees it. `severity` is `"error"` (default) or `"warn"`; a warning never blocks.

    It runs in the asset's step, right after writing. With `own_step=True` it runs in the step after it, together with the asset's
    other checks of that kind: it reads the output back from storage, fails and is tried again by itself, and what it blocks
    waits for it. `hedgerow materialize ASSET --checks-only` runs all checks again on what is stored.

    Options: `name` (default: the function's), `description` (default: the docstring), `blocking`, `severity`, `own_step`.

    >>> @check("orders", blocking=True)
    ... def not_empty(orders: list[int]) -> bool:
    ...     return bool(orders)
    >>> not_empty, not_empty([])
    (<check not_empty of orders>, False)
    """
    if callable(asset) and not isinstance(asset, AssetDefinition):
        site = of_caller()
        raise DefinitionError(
            Problem("HR-D012", "hr.check needs an asset.", 'Write @hr.check("the/asset").', site.file, site.line)
        )
    scope = outer_frame()

    def declare(function: Callable[P, R]) -> CheckDefinition[P, R]:
        name = options.get("name", getattr(function, "__name__", ""))
        arguments = Arguments(f"Check {name!r}", of_function(function))
        arguments.only(options, CheckOptions.__optional_keys__)
        keys = keys_of(asset)
        if len(keys) != 1:
            arguments.wrong("asset", asset, "Give the key of one asset.")
        description = options.get("description")
        blocking = arguments.flag("blocking", options.get("blocking", False), False)
        severity: Severity = arguments.choice("severity", options.get("severity", "error"), ("error", "warn"), "error")
        if blocking and severity == "warn":
            arguments.wrong("severity", "warn", 'A blocking check has severity "error": leave out one of the two.')
        own_step = arguments.flag("own_step", options.get("own_step", False), False)
        return CheckDefinition(
            function,
            arguments.name("name", name),
            arguments.key(keys[0]) if len(keys) == 1 else "",
            inspect.cleandoc(
                arguments.text("description", description) if description is not None else function.__doc__ or ""
            ),
            blocking,
            severity,
            own_step,
            arguments.problems,
            scope,
        )

    return declare
