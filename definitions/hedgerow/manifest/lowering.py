"""Turning checked declarations into the frozen data of a manifest."""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hedgerow.annotations import Absent, Signature, Unresolved, display_name
from hedgerow.assets import AssetDefinition, AssetSpec, ExternalAsset
from hedgerow.checks import CheckDefinition
from hedgerow.configuration import config_schema
from hedgerow.durations import milliseconds
from hedgerow.execution import Call
from hedgerow.io import IO
from hedgerow.limits import lower_limit
from hedgerow.manifest import model
from hedgerow.manifest.fingerprint import code_version
from hedgerow.result import Result
from hedgerow.site import Site


@dataclass(frozen=True)
class Sources:
    """How files are shown: relative to `root` where they lie inside it."""

    root: Path | None = None

    def relative(self, file: str) -> str:
        """A file as manifests and problems name it, with `/`."""
        if self.root is None or not file:
            return file
        for root in (str(self.root), os.path.realpath(self.root)):
            if os.path.commonpath([root, os.path.abspath(file)]) == root:
                return Path(os.path.relpath(file, root)).as_posix()
        return file

    def of(self, site: Site, name: str) -> model.Source:
        """Where a declaration stands."""
        return model.Source(self.relative(site.file), site.line, site.module, name)


@dataclass(frozen=True)
class DeclaredOutput:
    """What a return annotation says of one asset: whether it is stored, its type as text, whether None is ruled out."""

    stored: bool = True
    value_type: str = ""
    needs_value: bool = False


def outputs_of(definition: AssetDefinition[..., Any], signature: Signature) -> tuple[DeclaredOutput, ...]:
    """What the return annotation says of each asset, in order."""
    returns = _unwrapped(signature.returns)
    count = len(definition.specs)
    if returns is None or returns is type(None):
        return (DeclaredOutput(stored=False),) * count
    if not definition.several:
        return (_output(returns),)
    parts = typing.get_args(returns) if typing.get_origin(returns) is tuple else ()
    if len(parts) == count and Ellipsis not in parts:
        return tuple(_output(_unwrapped(part)) for part in parts)
    return (DeclaredOutput(),) * count


def _unwrapped(annotation: Any) -> Any:
    if annotation is Result:
        return Absent
    if typing.get_origin(annotation) is Result:
        return typing.get_args(annotation)[0]
    return annotation


def _output(annotation: Any) -> DeclaredOutput:
    if annotation is None or annotation is type(None):
        return DeclaredOutput(stored=False)
    if annotation is Absent or annotation is Any:
        return DeclaredOutput()
    if isinstance(annotation, Unresolved):
        return DeclaredOutput(value_type=annotation.text)
    may_be_none = annotation is object or type(None) in typing.get_args(annotation)
    return DeclaredOutput(value_type=display_name(annotation), needs_value=not may_be_none)


def lower_asset(
    definition: AssetDefinition[..., Any],
    spec: AssetSpec,
    output: DeclaredOutput,
    io: IO | None,
    sources: Sources,
    name: str,
) -> model.Asset:
    """One asset of a function."""
    return model.Asset(
        key=spec.key,
        computation=definition.keys[0],
        description=_description(spec.description, definition.function),
        owners=spec.owners,
        group=spec.group,
        tags=spec.tags,
        kinds=spec.kinds,
        metadata=spec.metadata,
        columns=spec.columns,
        partitions=definition.step.partitions,
        stored=output.stored,
        io=spec.io,
        immutable=io.immutable if io is not None else True,
        value_type=output.value_type,
        source=sources.of(spec.site if definition.several else definition.site, name),
        automation=spec.automation,
        freshness=spec.freshness,
    )


def lower_external(external: ExternalAsset, sources: Sources) -> model.Asset:
    """An asset that Hedgerow never materializes."""
    spec = external.spec
    return model.Asset(
        key=spec.key,
        description=spec.description or "",
        owners=spec.owners,
        group=spec.group,
        tags=spec.tags,
        kinds=spec.kinds,
        metadata=spec.metadata,
        columns=spec.columns,
        partitions=external.partitions,
        stored=False,
        source=sources.of(spec.site, spec.key),
        freshness=spec.freshness,
    )


def lower_computation(
    definition: AssetDefinition[..., Any],
    call: Call,
    edges: tuple[model.Dependency, ...],
    assets: Mapping[str, model.Asset],
    sources: Sources,
    name: str,
) -> model.Computation:
    """The function and its step."""
    step = definition.step
    in_place = any(not asset.immutable for asset in assets.values())
    return model.Computation(
        name=definition.keys[0],
        assets=definition.keys,
        deps=edges,
        partitions=step.partitions,
        subset=step.subset,
        queue=step.queue,
        priority=step.priority,
        pools=step.pools,
        limits=tuple(
            sorted((lower_limit(one, definition.keys[0]) for one in step.limits), key=lambda limit: limit.name)
        ),
        retry=step.retry,
        timeout_ms=None if step.timeout is None else milliseconds(step.timeout),
        isolation=step.isolation,
        on_lost_contact=step.on_lost_contact or ("stop" if in_place else "finish"),
        code_version=code_version(definition.function) if step.code_version == "auto" else step.code_version,
        config_schema=_schema(call),
        resources=tuple(
            sorted({f"{type(one).__module__}.{type(one).__qualname__}" for one in call.resources.values()})
        ),
        source=sources.of(definition.site, name),
        skip_unchanged=step.skip_unchanged,
        max_partitions_per_run=step.max_partitions_per_run,
    )


def lower_check(check: CheckDefinition[..., Any], sources: Sources, name: str) -> model.Check:
    """A check."""
    return model.Check(
        check.name,
        check.asset,
        check.description,
        check.blocking,
        check.severity,
        sources.of(check.site, name),
        check.own_step,
        check.former_columns,
    )


def _schema(call: Call) -> dict[str, Any] | None:
    if call.config is None:
        return None
    try:
        return config_schema(call.config[1])
    except Exception:  # noted as HR-D011 where the parameter was read
        return {}


def _description(declared: str | None, function: object) -> str:
    return declared if declared is not None else inspect.cleandoc(getattr(function, "__doc__", None) or "")
