"""What changed from one manifest of a code location to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hedgerow.manifest.model import CustomCondition, Manifest, Reaction, Schedule, Sensor


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One asset that both manifests have. `code`: its code version differs; `fields`: what else does, sorted."""

    key: str
    code: bool = False
    fields: tuple[str, ...] = ()


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Asset keys, sorted; `packages` holds the names of installed packages whose version differs, `schedules` those of schedules
    that were added, removed or changed, `sensors`, `reactions` and `conditions` those of these.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()
    packages: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    reactions: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Difference()


def compare(old: Manifest, new: Manifest) -> Difference:
    """The assets that were added, removed or changed (themselves, their step or their checks).

    Moving a definition to another line changes nothing.

    >>> bool(compare(Manifest("sales", "sales"), Manifest("sales", "sales")))
    False
    """
    before, after = _by_key(old), _by_key(new)
    changes = (
        Change(key, before[key]["code_version"] != after[key]["code_version"], _differing(before[key], after[key]))
        for key in sorted(before.keys() & after.keys())
    )
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(change for change in changes if change.code or change.fields),
        packages=_differing(old.environment.packages, new.environment.packages),
        schedules=_differing(_by_name(old.schedules), _by_name(new.schedules)),
        sensors=_differing(_by_name(old.sensors), _by_name(new.sensors)),
        conditions=_differing(_by_name(old.conditions), _by_name(new.conditions)),
        reactions=_differing(_by_name(old.reactions), _by_name(new.reactions)),
    )


def _by_key(manifest: Manifest) -> dict[str, dict[str, Any]]:
    computations = {one.name: one for one in manifest.computations}
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in manifest.checks:
        checks.setdefault(check.asset, []).append(_facts(check, "source"))
    found: dict[str, dict[str, Any]] = {}
    for asset in manifest.assets:
        facts = _facts(asset, "source")
        computation = computations.get(asset.computation or "")
        # Only `partitions` is a field of both, with one value.
        facts |= _facts(computation, "source", "name") if computation is not None else {"code_version": ""}
        facts["checks"] = checks.get(asset.key, [])
        found[asset.key] = facts
    return found


def _by_name(declared: Iterable[Schedule | Sensor | Reaction | CustomCondition]) -> dict[str, Any]:
    return {one.name: _facts(one, "source") for one in declared}


def _facts(struct: msgspec.Struct, *without: str) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__ if name not in without}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    names: Iterable[str] = sorted(old.keys() | new.keys())
    return tuple(name for name in names if name != "code_version" and old.get(name) != new.get(name))
