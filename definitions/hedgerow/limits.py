"""Key limits: how many steps may run at once for each value of something in their config, partition or run's tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hedgerow.arguments import Arguments, suggestion
from hedgerow.errors import Problem
from hedgerow.manifest import model
from hedgerow.manifest.keys import CONFIG, PARTITION, SOURCES, is_per
from hedgerow.partitions import Partitions, dimensions
from hedgerow.site import Site, of_caller
from hedgerow.suggestion import did_you_mean

PER_REMEDY = 'Give "config.FIELD", "partition", "partition.DIMENSION" or "tags.NAME", without spaces or "=".'
_DEEPEST = 50  # of references from one part of a schema to another


@dataclass(frozen=True)
class LimitDefinition:
    """A key limit as declared; `site` and `problems` are those of the call of `limit`."""

    per: str
    concurrency: int
    name: str | None = None
    site: Site = field(default=Site("", 0, ""), compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)


def limit(*, per: str, concurrency: int = 1, name: str | None = None) -> LimitDefinition:
    """At most `concurrency` steps at once for each value of `per`: `limits=[hr.limit(per="config.region", concurrency=1)]`.

    `per` is `"config.PATH"` (a field of the step's run config, with dots for fields of fields), `"partition"` (the whole key) or
    `"partition.DIM"` (one dimension of it), or `"tags.NAME"` (a tag of the run). A value that is missing counts as one value,
    the empty text; so does a config field that the run leaves to its default.

    Without `name` the limit is the asset's own. Limits of one name in a team are one limit, whichever assets they stand at.

    >>> limit(per="config.customer.id", concurrency=2, name="customers").per
    'config.customer.id'
    """
    arguments = Arguments(f"Limit {name!r}" if name is not None else "hr.limit", of_caller())
    return LimitDefinition(
        _read_per(per, arguments),
        arguments.whole("concurrency", concurrency, 1, least=1),
        None if name is None else arguments.name("name", name),
        arguments.site,
        tuple(arguments.problems),
    )


def _read_per(per: object, arguments: Arguments) -> str:
    if not isinstance(per, str):
        arguments.wrong("per", per, PER_REMEDY)
        return ""
    if is_per(per):
        return per
    source = per.partition(".")[0]
    near = suggestion(source, SOURCES) if source not in SOURCES else ""
    arguments.wrong("per", per, near + PER_REMEDY)
    return ""


def lower_limits(value: object, arguments: Arguments) -> tuple[LimitDefinition, ...]:
    """The limits that an asset names; what is wrong with one of them is noted there."""

    def read(item: object) -> LimitDefinition | None:
        if not isinstance(item, LimitDefinition):
            arguments.wrong("limits", item, 'Give hr.limit(per="config.region", concurrency=1).')
            return None
        arguments.problems += item.problems
        return None if item.problems else item

    limits = arguments.sequence("limits", value, read)
    seen: dict[tuple[str | None, str], LimitDefinition] = {}
    for one in limits:
        key = (one.name, "" if one.name is not None else one.per)
        if key in seen:
            what = f"the limit {one.name!r}" if one.name is not None else f"a limit per {one.per!r}"
            arguments.refuse("HR-D024", f"{arguments.what} has {what} twice.", "Keep one of the two.")
        seen.setdefault(key, one)
    return tuple(seen.values())


def lower_limit(one: LimitDefinition, computation: str) -> model.KeyLimit:
    """A limit as a manifest carries it."""
    return model.KeyLimit(one.name or f"{computation}:{one.per}", one.per, one.concurrency)


def refuse_unfit(
    limits: tuple[LimitDefinition, ...],
    partitions: Partitions | None,
    schema: Mapping[str, Any] | None,
    arguments: Arguments,
) -> None:
    """Note HR-D023 for each limit whose value no step of the asset can have. `schema` None: the asset takes no config."""
    for one in limits:
        source, _, rest = one.per.partition(".")
        what = f"{arguments.what} has a limit per {one.per!r}, but"
        if source == PARTITION:
            names = [] if partitions is None else [dim.dim for dim in dimensions(partitions)]
            if not names:
                arguments.refuse("HR-D023", f"{what} no partitions.", "Give it partitions=..., or remove the limit.")
            elif rest and rest not in names:
                remedy = did_you_mean(rest, names, "its dimensions are")
                arguments.refuse("HR-D023", f"{what} no partition dimension {rest!r}.", remedy)
        elif source == CONFIG and schema is None:
            arguments.refuse(
                "HR-D023",
                f"{what} takes no config.",
                "Give its function a config (a dataclass or hr.Config) with that field, or limit per a tag of the run.",
            )
        elif source == CONFIG and (missing := _missing(schema or {}, rest)) is not None:
            field_name, known = missing
            arguments.refuse(
                "HR-D023",
                f"{what} its config has no field {field_name!r}.",
                did_you_mean(field_name.rpartition(".")[2], known, "there are") or "The value there has no fields.",
            )


def _missing(schema: Mapping[str, Any], path: str) -> tuple[str, list[str]] | None:
    """The first part of a path that a JSON schema rules out, with the fields that there are instead; None when all may be."""
    root, here, walked = schema, [schema], []
    for name in path.split("."):
        walked.append(name)
        known: dict[str, Any] = {}
        following: list[Mapping[str, Any]] = []
        for part in (flat for one in here for flat in _objects(one, root)):
            if part is None:
                return None  # anything may be here
            known |= part.get("properties", {})
            others = part.get("additionalProperties", "properties" not in part)
            if name in part.get("properties", {}):
                following.append(part["properties"][name])
            elif others is True or others == {}:
                return None
            elif isinstance(others, dict):
                following.append(others)
        if not following:
            return ".".join(walked), sorted(known)
        here = following
    return None


def _objects(schema: Any, root: Mapping[str, Any], depth: int = 0) -> list[Mapping[str, Any] | None]:
    """The objects that a schema allows, references and alternatives followed; None stands for a value of any kind."""
    if depth > _DEEPEST or not isinstance(schema, dict):
        return [None]
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        return _objects(root.get("$defs", {}).get(name), root, depth + 1)
    if "anyOf" in schema:
        return [found for choice in schema["anyOf"] for found in _objects(choice, root, depth + 1)]
    if "type" not in schema:
        return [] if "enum" in schema or "const" in schema else [None]
    return [schema] if schema["type"] == "object" else []
