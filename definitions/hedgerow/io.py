"""The port for a team's own storage of outputs, such as tables in a warehouse."""

from __future__ import annotations

from typing import Any

import msgspec

from hedgerow.protocol.references import Reference


class Target(msgspec.Struct, frozen=True):
    """Where one output belongs. `location` is the URL without suffix that the default storage would use, unique to the attempt."""

    asset: str
    partition: str | None
    attempt_id: str
    run_id: str
    location: str


class IO:
    """The base of a team's own io: an instance at module level, named by `asset(io="…")`.

    `name` follows the grammar of names. `immutable` says whether every write goes to a place of its own; an in-place io
    (False) has no roll-back, and downstream waits while one of its blocking checks fails.
    """

    name: str = ""
    immutable: bool = True

    def write(self, value: Any, target: Target) -> Reference:
        """Store `value` and return where: a `Reference` whose format is `io:{name}`, with what `load` needs in `extra`."""
        raise NotImplementedError

    def load(self, reference: Reference, type: Any) -> Any:
        """The value that `write` stored, as `type` (the reader's annotation, None when it has none)."""
        raise NotImplementedError
