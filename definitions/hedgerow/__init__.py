"""Hedgerow: teams declare data assets in Python; one scheduler keeps them true over per-team Celery workers.

Everything that a team needs is here: `import hedgerow as hr`. Names are loaded when first used, so that a process which needs
only the wire protocol pays for nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hedgerow.assets import asset as asset
    from hedgerow.assets import external as external
    from hedgerow.assets import multi_asset as multi_asset
    from hedgerow.assets import spec as spec
    from hedgerow.backfill import Backfill as Backfill
    from hedgerow.checks import check as check
    from hedgerow.conditions.constructors import all_deps as all_deps
    from hedgerow.conditions.constructors import any_dep as any_dep
    from hedgerow.conditions.constructors import check_failed as check_failed
    from hedgerow.conditions.constructors import code_changed as code_changed
    from hedgerow.conditions.constructors import cron_tick as cron_tick
    from hedgerow.conditions.constructors import data_changed as data_changed
    from hedgerow.conditions.constructors import deps_checks_passed as deps_checks_passed
    from hedgerow.conditions.constructors import eager as eager
    from hedgerow.conditions.constructors import failed as failed
    from hedgerow.conditions.constructors import in_latest_window as in_latest_window
    from hedgerow.conditions.constructors import in_progress as in_progress
    from hedgerow.conditions.constructors import late as late
    from hedgerow.conditions.constructors import missing as missing
    from hedgerow.conditions.constructors import on_cron as on_cron
    from hedgerow.conditions.constructors import on_missing as on_missing
    from hedgerow.conditions.constructors import updated as updated
    from hedgerow.context import Context as Context
    from hedgerow.custom_conditions import ConditionContext as ConditionContext
    from hedgerow.custom_conditions import condition as condition
    from hedgerow.dependencies import dep as dep
    from hedgerow.freshness import fresh_by as fresh_by
    from hedgerow.freshness import fresh_within as fresh_within
    from hedgerow.io import IO as IO
    from hedgerow.io import Target as Target
    from hedgerow.jobs import job as job
    from hedgerow.limits import limit as limit
    from hedgerow.manifest.model import Column as Column
    from hedgerow.partitions import cron_windows as cron_windows
    from hedgerow.partitions import daily as daily
    from hedgerow.partitions import dynamic as dynamic
    from hedgerow.partitions import hourly as hourly
    from hedgerow.partitions import mapping as mapping
    from hedgerow.partitions import monthly as monthly
    from hedgerow.partitions import static as static
    from hedgerow.partitions import weekly as weekly
    from hedgerow.pools import pool as pool
    from hedgerow.pools import use as use
    from hedgerow.protocol.happenings import Event as Event
    from hedgerow.protocol.references import Reference as Reference
    from hedgerow.quality import expect as expect
    from hedgerow.reactions import on_event as on_event
    from hedgerow.resource import Config as Config
    from hedgerow.resource import Resource as Resource
    from hedgerow.result import CheckResult as CheckResult
    from hedgerow.result import Result as Result
    from hedgerow.result import skip as skip
    from hedgerow.retry import Retry as Retry
    from hedgerow.schedules import schedule as schedule
    from hedgerow.sensing import RunRequest as RunRequest
    from hedgerow.sensing import SensorContext as SensorContext
    from hedgerow.sensing import SensorResult as SensorResult
    from hedgerow.sensors import sensor as sensor
    from hedgerow.testing.in_process import materialize as materialize
    from hedgerow.testing.sensing import evaluate_sensor as evaluate_sensor
    from hedgerow.testing.simulating import simulate as simulate

# No public name equals a module's: importing the module would otherwise replace the name.
_HOMES = {
    "asset": "hedgerow.assets",
    "external": "hedgerow.assets",
    "multi_asset": "hedgerow.assets",
    "spec": "hedgerow.assets",
    "Backfill": "hedgerow.backfill",
    "check": "hedgerow.checks",
    "all_deps": "hedgerow.conditions.constructors",
    "any_dep": "hedgerow.conditions.constructors",
    "check_failed": "hedgerow.conditions.constructors",
    "code_changed": "hedgerow.conditions.constructors",
    "cron_tick": "hedgerow.conditions.constructors",
    "data_changed": "hedgerow.conditions.constructors",
    "deps_checks_passed": "hedgerow.conditions.constructors",
    "eager": "hedgerow.conditions.constructors",
    "failed": "hedgerow.conditions.constructors",
    "in_latest_window": "hedgerow.conditions.constructors",
    "in_progress": "hedgerow.conditions.constructors",
    "late": "hedgerow.conditions.constructors",
    "missing": "hedgerow.conditions.constructors",
    "on_cron": "hedgerow.conditions.constructors",
    "on_missing": "hedgerow.conditions.constructors",
    "updated": "hedgerow.conditions.constructors",
    "Context": "hedgerow.context",
    "ConditionContext": "hedgerow.custom_conditions",
    "condition": "hedgerow.custom_conditions",
    "dep": "hedgerow.dependencies",
    "fresh_by": "hedgerow.freshness",
    "fresh_within": "hedgerow.freshness",
    "IO": "hedgerow.io",
    "Target": "hedgerow.io",
    "job": "hedgerow.jobs",
    "limit": "hedgerow.limits",
    "Column": "hedgerow.manifest.model",
    "cron_windows": "hedgerow.partitions",
    "daily": "hedgerow.partitions",
    "dynamic": "hedgerow.partitions",
    "hourly": "hedgerow.partitions",
    "mapping": "hedgerow.partitions",
    "monthly": "hedgerow.partitions",
    "static": "hedgerow.partitions",
    "weekly": "hedgerow.partitions",
    "pool": "hedgerow.pools",
    "use": "hedgerow.pools",
    "Event": "hedgerow.protocol.happenings",
    "Reference": "hedgerow.protocol.references",
    "expect": "hedgerow.quality",
    "on_event": "hedgerow.reactions",
    "Config": "hedgerow.resource",
    "Resource": "hedgerow.resource",
    "CheckResult": "hedgerow.result",
    "Result": "hedgerow.result",
    "skip": "hedgerow.result",
    "Retry": "hedgerow.retry",
    "schedule": "hedgerow.schedules",
    "RunRequest": "hedgerow.sensing",
    "SensorContext": "hedgerow.sensing",
    "SensorResult": "hedgerow.sensing",
    "sensor": "hedgerow.sensors",
    "materialize": "hedgerow.testing.in_process",
    "evaluate_sensor": "hedgerow.testing.sensing",
    "simulate": "hedgerow.testing.simulating",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hedgerow' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
