"""Why an event that was understood is without effect."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class StaleEventError(Exception):
    """An event is about an attempt that is not its sender's, or not any more: counted by this reason, and without effect."""


class MisfitError(Exception):
    """An event turns out to make no sense only once it is carried out; `data` is what of it to keep, None for all."""

    def __init__(self, reason: str, data: bytes | None = None) -> None:
        super().__init__(reason)
        self.data = data
