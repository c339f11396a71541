"""Messages between a worker and its runner, besides orders and events: how a program in any language can be a runner.

Transport: two pipes whose descriptors are in the environment variables `HEDGEROW_ORDERS_FD` (to read) and
`HEDGEROW_EVENTS_FD` (to write). A frame is the body's length as four bytes, big-endian, then that many bytes: the JSON of one
envelope. End of file on the orders pipe means: exit at once. Standard output and error belong to the user's code.

    worker                                runner
    load           ──────────────────▶
                   ◀──────────────────    loaded | load_failed
    execute        ──────────────────▶
                   ◀──────────────────    asset_materialized*, check_evaluated*,
                                          attempt_succeeded | attempt_failed | attempt_skipped   (exactly one, last)
    execute, ...   ──────────────────▶    (several may be sent ahead; done one after another, in order)
    withdraw       ──────────────────▶    (of those sent ahead)
                   ◀──────────────────    withdrawn   (instead of all other events of such an attempt)
    evaluate       ──────────────────▶    (of a runner that executes nothing)
                   ◀──────────────────    evaluated
"""

from __future__ import annotations

import msgspec

from hedgerow.errors import Problem
from hedgerow.protocol.events import EvaluationKind
from hedgerow.protocol.orders import StepOrder

FRAME_HEADER_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024


class Load(msgspec.Struct, frozen=True):
    """Import the code of the location whose hedgerow.toml is at `path` and say what it declares."""

    path: str


class Loaded(msgspec.Struct, frozen=True):
    """The code is loaded. `manifest` is the canonical JSON as text, `hash` its SHA-256."""

    hash: str
    manifest: str


class LoadFailed(msgspec.Struct, frozen=True):
    """The code has mistakes or can't be imported."""

    problems: tuple[Problem, ...]


class Execute(msgspec.Struct, frozen=True, omit_defaults=True):
    """Run one order. Standard output, standard error and `ctx.log` go to the file `log_path` (appended), nowhere when it is empty."""

    order: StepOrder
    log_path: str = ""
    code_version: str = ""


class Withdraw(msgspec.Struct, frozen=True):
    """Do not begin these attempts, if they have not begun. A runner that does not know this executes them."""

    attempt_ids: tuple[str, ...]


class Withdrawn(msgspec.Struct, frozen=True):
    """The attempt was withdrawn in time: nothing of it has been or will be done."""

    attempt_id: str


class Evaluate(msgspec.Struct, frozen=True, omit_defaults=True):
    """Evaluate a sensor, condition or reaction of the loaded code. What it prints goes to the file `log_path`, nowhere when that is empty."""

    evaluation_id: str
    kind: EvaluationKind
    name: str
    argument: msgspec.Raw
    log_path: str = ""


KINDS: dict[str, type] = {
    "load": Load,
    "loaded": Loaded,
    "load_failed": LoadFailed,
    "execute": Execute,
    "withdraw": Withdraw,
    "withdrawn": Withdrawn,
    "evaluate": Evaluate,
}
KIND_OF: dict[type, str] = {body: kind for kind, body in KINDS.items()}
