"""Everything that a location's modules declare at module level, found by looking, not by registration."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from hedgerow.assets import AssetDefinition, ExternalAsset
from hedgerow.checks import CheckDefinition
from hedgerow.custom_conditions import ConditionDefinition
from hedgerow.io import IO
from hedgerow.jobs import JobDefinition
from hedgerow.pools import PoolDefinition
from hedgerow.reactions import ReactionDefinition
from hedgerow.resource import Resource
from hedgerow.schedules import ScheduleDefinition
from hedgerow.sensors import SensorDefinition
from hedgerow.site import Site


@dataclass
class Declarations:
    """The objects found, each once, in order of discovery; `names` and `sites` say by `id` where each stands."""

    assets: list[AssetDefinition[..., Any]] = field(default_factory=list)
    externals: list[ExternalAsset] = field(default_factory=list)
    checks: list[CheckDefinition[..., Any]] = field(default_factory=list)
    pools: list[PoolDefinition] = field(default_factory=list)
    jobs: list[JobDefinition] = field(default_factory=list)
    schedules: list[ScheduleDefinition] = field(default_factory=list)
    sensors: list[SensorDefinition[..., Any]] = field(default_factory=list)
    reactions: list[ReactionDefinition[..., Any]] = field(default_factory=list)
    conditions: list[ConditionDefinition[..., Any]] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    ios: list[IO] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    sites: dict[int, Site] = field(default_factory=dict)

    def add(self, value: object, name: str = "", site: Site | None = None) -> bool:
        """Take `value` if it is a declaration not seen before; say whether it is a declaration at all."""
        known = self._list_for(value)
        if known is None:
            return False
        if id(value) not in self.names:
            known.append(value)
            self.names[id(value)] = name
            if site is not None:
                self.sites[id(value)] = site
        return True

    def _list_for(self, value: object) -> list[Any] | None:
        for kind, known in (
            (AssetDefinition, self.assets),
            (ExternalAsset, self.externals),
            (CheckDefinition, self.checks),
            (PoolDefinition, self.pools),
            (JobDefinition, self.jobs),
            (ScheduleDefinition, self.schedules),
            (SensorDefinition, self.sensors),
            (ReactionDefinition, self.reactions),
            (ConditionDefinition, self.conditions),
            (Resource, self.resources),
            (IO, self.ios),
        ):
            # The type is asked, not the object: a proxy answers isinstance by doing things.
            if issubclass(type(value), kind):
                return cast(list[Any], known)
        return None


def collect(modules: Iterable[ModuleType]) -> Declarations:
    """What the modules hold by a name of their own, or in a list, tuple, set or dict (as a loop over tables makes them)."""
    found = Declarations()
    for module in modules:
        file = getattr(module, "__file__", None) or ""
        lines = _assignments(file)
        for name, value in list(vars(module).items()):
            site = Site(file, lines.get(name, 1), module.__name__)
            if found.add(value, name, site):
                continue
            for item in _items(value) if not name.startswith("__") else ():
                if not found.add(item, getattr(item, "__name__", name), site):
                    break  # a container of something else, maybe of a million of it
    return found


def _items(value: object) -> Iterable[Any]:
    if type(value) is dict:
        return value.values()
    return value if type(value) in (list, tuple, set, frozenset) else ()  # type: ignore[return-value]


def _assignments(file: str) -> dict[str, int]:
    """The line of each module-level assignment, for objects that can't know where they were made."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    lines: dict[str, int] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                lines[target.id] = node.lineno
    return lines
