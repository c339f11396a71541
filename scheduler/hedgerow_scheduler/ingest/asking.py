"""Asking: what may be asked of workers again, and how soon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

ASK_AGAIN = timedelta(seconds=5)
ASK_AGAIN_IF_REFUSED = timedelta(minutes=1)
NEVER = datetime.min.replace(tzinfo=UTC)


class Asking:
    """Remembers what was asked when, for as long as it matters."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], datetime] = {}
        self._forgot_at = NEVER

    def may_ask(self, what: tuple[str, str], now: datetime, patience: timedelta = ASK_AGAIN) -> bool:
        """Whether something may be asked of workers again: not more often than once per `patience`."""
        if (asked := self._asked.get(what)) is not None and now - asked < patience:
            return False
        if now - self._forgot_at >= ASK_AGAIN_IF_REFUSED:  # what was asked before that may be asked again
            self._asked = {what: when for what, when in self._asked.items() if now - when < ASK_AGAIN_IF_REFUSED}
            self._forgot_at = now
        self._asked[what] = now
        return True
