"""Edges to upstream assets, as a team declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from hedgerow.arguments import Arguments
from hedgerow.partitions import model as partitions_model

if TYPE_CHECKING:
    from hedgerow.assets import AssetDefinition, ExternalAsset

Upstream: TypeAlias = "str | AssetDefinition[..., Any] | ExternalAsset"


class Dep(msgspec.Struct, frozen=True):
    """An upstream asset: its key, the parameter that receives its value, the mapping of partitions, whether it may be missing."""

    key: str
    parameter: str | None = None
    mapping: partitions_model.Mapping | None = None
    optional: bool = False


@dataclass(frozen=True)
class Declared:
    """What `hr.dep` was given, checked when the asset that uses it is declared."""

    upstream: object
    parameter: object = None
    partitions: object = None
    optional: object = False


def dep(
    upstream: Upstream,
    *,
    parameter: str | None = None,
    partitions: partitions_model.Mapping | None = None,
    optional: bool = False,
) -> Declared:
    """An upstream in `deps=[...]` with more than its key.

    `parameter` names the function's parameter that receives the value (by default the key's last part, if there is such a
    parameter); `partitions` maps partitions (`hr.mapping.…`); an `optional` upstream may be missing, its value is then None.

    >>> dep("raw/orders", parameter="orders").parameter
    'orders'
    """
    return Declared(upstream, parameter, partitions, optional)


def keys_of(upstream: object) -> Sequence[str]:
    """The asset keys that an upstream stands for: a text, or a declared asset."""
    if isinstance(upstream, str):
        return (upstream,)
    keys = getattr(upstream, "keys", None)
    return keys if isinstance(keys, tuple) else ()


def lower_deps(value: object, arguments: Arguments) -> tuple[Dep, ...]:
    """The declared upstreams in order; each is a key, a declared asset or `hr.dep(...)`."""
    found: dict[str, Dep] = {}
    if not isinstance(value, list | tuple):
        arguments.wrong("deps", value, 'Give a list of keys, such as ["raw/orders"].')
        return ()
    for item in value:
        declared = item if isinstance(item, Declared) else Declared(item)
        keys = keys_of(declared.upstream)
        if not keys:
            arguments.wrong("deps", item, 'Give asset keys, declared assets, or hr.dep("raw/orders", ...).')
        for key in keys:
            one = _lower(key, declared, arguments)
            if one.key and one.key in found:
                arguments.refuse(
                    "HR-D021",
                    f"{arguments.what} names the upstream {key!r} twice.",
                    "Name it once; use hr.dep for details.",
                )
            elif one.key:
                found[one.key] = one
    return tuple(found.values())


def _lower(key: str, declared: Declared, arguments: Arguments) -> Dep:
    parameter, mapping = declared.parameter, declared.partitions
    if parameter is not None and not (isinstance(parameter, str) and parameter.isidentifier()):
        arguments.wrong("parameter", parameter, "Give the name of a parameter of the function.")
        parameter = None
    if mapping is not None and not isinstance(mapping, partitions_model.Mapping):
        arguments.wrong("partitions", mapping, "Give a mapping, such as hr.mapping.window(-2, 0).")
        mapping = None
    return Dep(arguments.key(key), parameter, mapping, arguments.flag("optional", declared.optional, False))
