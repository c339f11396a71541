"""Orders: scheduler → worker → runner. The JSON body of the Celery task `hedgerow.execute` carries a list of them."""

from __future__ import annotations

import msgspec

from hedgerow.manifest.model import Column
from hedgerow.protocol.references import Reference

MAX_INLINE_REFERENCES = 1_000
MAX_INLINE_FORMER_BYTES = 32 * 1024


class Input(msgspec.Struct, frozen=True, omit_defaults=True):
    """The current references of one upstream asset, in the order of its partitions. `missing` lists selected partitions without data.

    `team` is the asset's owner, as the scheduler knows it: a pickle is opened by its own team only, and never when the
    owner is not known. `columns` are those that were recorded, where a check asks for them.
    """

    asset: str
    references: tuple[Reference, ...] = ()
    missing: tuple[str, ...] = ()
    team: str = ""
    columns: tuple[Column, ...] = ()


class StepOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """Run this step once. The worker takes the claim `attempt_id` first and refuses the order past `start_before_ms`.

    `attempt` counts from 1 within the step. `manifest` is the full hash of the code that the step is bound to. `output` is
    the URL of a folder under which this attempt's outputs go, each at `{output}/{asset key}/{partition}/{attempt_id}.{suffix}`.
    `judged`: it makes nothing, but runs the checks of the asset on what is stored of it (an input without a reference: nothing is); with
    `own_steps` only those that have a step of their own.
    With over `MAX_INLINE_REFERENCES` references, `inputs` is empty and `inputs_at` the URL of their JSON list.
    `former` are the columns, by asset, of what was accepted last of it in any partition, where a check of it asks for them (`former_columns`);
    in over `MAX_INLINE_FORMER_BYTES` of JSON they are at the URL `former_at` instead.
    `start_before_ms` is milliseconds since 1970 (0: no limit); `timeout_ms` counts from the start of the user's code.
    """

    deployment: str
    team: str
    location: str
    queue: str
    run_id: str
    step: str
    attempt_id: str
    attempt: int
    manifest: str
    computation: str
    assets: tuple[str, ...]
    checks: tuple[str, ...] = ()
    partition: str | None = None
    config: msgspec.Raw = msgspec.Raw(b"null")
    inputs: tuple[Input, ...] = ()
    inputs_at: str = ""
    judged: tuple[Input, ...] = ()
    own_steps: bool = False
    output: str = ""
    timeout_ms: int | None = None
    start_before_ms: int = 0
    isolation: str = "warm"
    on_lost_contact: str = "finish"
    run_tags: dict[str, str] = {}
    signature: str = ""
    traceparent: str = ""
    former: dict[str, tuple[Column, ...]] = {}
    former_at: str = ""


class OrderMessage(msgspec.Struct, frozen=True):
    """What one Celery message carries: orders of the same team, queue and manifest."""

    orders: tuple[StepOrder, ...]
