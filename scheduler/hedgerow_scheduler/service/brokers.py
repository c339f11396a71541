"""The brokers: for each team the broker it uses, with the two threads that speak to it."""

from __future__ import annotations

from collections import defaultdict

from hedgerow.protocol import control
from hedgerow.settings.platform import PlatformSettings
from hedgerow_scheduler.dispatch import writer as w
from hedgerow_scheduler.dispatch.orders import Publication
from hedgerow_scheduler.ingest.inbox import Inbox
from hedgerow_scheduler.ingest.reader import Follow, StreamReader
from hedgerow_scheduler.lifecycle.changes import Effects


class Brokers:
    """Opens a broker's threads when the first of its teams comes, and hands effects to the right one."""

    def __init__(self, settings: PlatformSettings, inbox: Inbox) -> None:
        self._settings, self._inbox = settings, inbox
        self._threads: dict[str, tuple[StreamReader, w.BrokerWriter]] = {}

    def _of(self, team: str) -> tuple[StreamReader, w.BrokerWriter]:
        url = self._settings.broker_of(team)
        if url not in self._threads:
            threads = (
                StreamReader(self._settings.name, url, self._inbox),
                w.BrokerWriter(self._settings.name, url, self._inbox),
            )
            for thread in threads:
                thread.start()
            self._threads[url] = threads
        return self._threads[url]

    def follow(self, order: Follow) -> None:
        """Has a team's stream followed."""
        self._of(order.team)[0].follow(order)

    def stop(self) -> None:
        """Ends all threads."""
        for reader, writer in self._threads.values():
            reader.stop()
            writer.stop()
        self._threads.clear()

    def carry_out(self, effects: Effects, messages: list[Publication]) -> None:
        """Hands over everything a recorded cycle calls for."""
        for writer, publications in self._grouped(messages).items():
            writer.do(w.Publish(tuple(publications)))
        revoked: dict[str, list[str]] = defaultdict(list)
        for attempt in effects.revoke:
            revoked[attempt.step.team].append(attempt.id)
        for team, attempt_ids in revoked.items():
            self._of(team)[1].do(w.Revoke(team, tuple(attempt_ids)))
        for attempt in effects.cancel:
            self._tell(attempt.step.team, control.CancelAttempt(attempt.id, "cancelled"))
        for (team, worker), why in effects.drain.items():
            self._tell(team, control.DrainWorker(worker, why))
        acks: dict[w.BrokerWriter, dict[tuple[str, str], int]] = defaultdict(dict)
        for key, sequence in effects.acks.items():
            acks[self._of(key[0])[1]][key] = sequence
        for writer, sequences in acks.items():
            writer.do(w.Acknowledge(sequences))
        for manifest_hash, team in effects.send_manifest.items():
            self._tell(team, control.SendManifest(manifest_hash))
        for (team, worker), after in effects.resend.items():
            self._tell(team, control.ResendEvents(worker, after))

    def evaluate(self, messages: list[tuple[str, control.Evaluate]]) -> None:
        """Has workers of these teams evaluate something."""
        for team, message in messages:
            self._tell(team, message)

    def trim(self, team: str, before: str) -> None:
        """Removes what lies before an entry id from a team's stream."""
        self._of(team)[1].do(w.Trim(team, before))

    def _tell(self, team: str, message: control.Control) -> None:
        self._of(team)[1].do(w.Tell(team, message))

    def _grouped(self, messages: list[Publication]) -> dict[w.BrokerWriter, list[Publication]]:
        grouped: dict[w.BrokerWriter, list[Publication]] = defaultdict(list)
        for message in messages:
            grouped[self._of(message.team)[1]].append(message)
        return grouped
