"""Publishing: tells the scheduler of the manifest that a worker serves, and sends it in chunks when it is not known there."""

from __future__ import annotations

from hedgerow import clock
from hedgerow.protocol import control, events
from hedgerow_workers.outbox import Outbox, encode

# At most 128 KiB of text each; an event has its limit in bytes, of which a character may take four, or a quote two.
CHUNK_CHARACTERS = 60_000
CHUNK_REPEAT_S = 2.0


class Publication:
    """One manifest: its hash and its text."""

    def __init__(self, outbox: Outbox, manifest_hash: str, text: str) -> None:
        self._outbox, self._hash, self._text = outbox, manifest_hash, text
        self._sent_at = -CHUNK_REPEAT_S

    def announce(self, team: str, location: str) -> None:
        """Says that this worker serves it."""
        self._outbox.put([encode(events.ManifestPublished(team, location, self._hash, len(self._text.encode())))])

    def send(self, message: control.SendManifest) -> None:
        """Sends all of it, if it is the one that is asked for and was not sent a moment ago."""
        now = clock.monotonic()
        if message.hash != self._hash or now - self._sent_at < CHUNK_REPEAT_S:
            return
        self._sent_at = now
        parts = [self._text[at : at + CHUNK_CHARACTERS] for at in range(0, len(self._text), CHUNK_CHARACTERS)]
        self._outbox.put(
            [encode(events.ManifestChunk(self._hash, index, len(parts), part)) for index, part in enumerate(parts)]
        )
