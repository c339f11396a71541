"""What a team's code offers for evaluation outside of steps: sensors, conditions and reactions."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Evaluable(Protocol):
    """Something that a runner may be told to evaluate."""

    def call(self, argument: msgspec.Raw | bytes) -> object:
        """Evaluates it for an argument in JSON; what JSON can hold is the result. Raises what the team's code raises, and
        ExecutionError for what that returned and can't be taken.
        """
