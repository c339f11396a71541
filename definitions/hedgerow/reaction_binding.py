"""Reactions bound to their functions, ready to be told something."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from hedgerow.evaluable_binding import BoundFunction
from hedgerow.manifest import model
from hedgerow.protocol.happenings import Event


@dataclass(frozen=True)
class BoundReaction(BoundFunction[model.Reaction]):
    """A reaction of the manifest with the function behind it."""

    def call(self, argument: msgspec.Raw | bytes) -> None:
        """Tells it an `Event`. Raises what the function raises; what that returns is nobody's business."""
        self.returned(msgspec.json.decode(argument, type=Event))
