"""Keeps steps waiting in every team at any time: launches runs through the HTTP API, and repeats a launch until it is acknowledged."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from random import Random

import httpx
import psycopg

from chaos.soak import workload

LOOK_S = 0.2
READ_EVERY = 10  # looks, between two readings of lists as people and dashboards read them
LISTS = ("/runs?limit=50", "/teams", "/workers", "/assets?limit=50")

WAITING = """
SELECT team, count(*) FROM steps WHERE ended_at IS NULL AND state IN ('waiting', 'ready', 'retry_wait') GROUP BY team
"""


@dataclass(frozen=True)
class Launched:
    """A run that was acknowledged: of which kind, and of lanes of which group."""

    run: str
    kind: workload.Kind
    group: int


class Feeder:
    """Launches in a thread of its own. `launched` are the runs that were acknowledged, `failed` how many requests were not answered well."""

    def __init__(self, api: str, database: str, random: Random) -> None:
        self.launched: list[Launched] = []
        self.failed = 0
        self._api = httpx.Client(base_url=api, timeout=30)
        self._database = database
        order = list(range(workload.GROUPS))
        random.shuffle(order)
        self._order, self._counts = order, dict.fromkeys(workload.KINDS, 0)
        self._unclear: set[workload.Kind] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Launches no more."""
        self._stopping.set()
        self._thread.join(60)
        self._api.close()

    def _run(self) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            look = 0
            while not self._stopping.wait(LOOK_S):
                waiting = {str(team): int(count) for team, count in connection.execute(WAITING)}
                for kind in workload.KINDS:
                    missing = kind.backlog - waiting.get(kind.team, 0)
                    size = kind.lanes * len(kind.assets)
                    for _ in range(-(-missing // size)):
                        if not self._launch(kind):
                            break
                if look % READ_EVERY == 0:
                    self._ask("GET", LISTS[look // READ_EVERY % len(LISTS)])
                look += 1
        for kind in list(self._unclear):  # whether the run was written, nobody has told
            while not self._launch(kind):
                time.sleep(1)

    def _launch(self, kind: workload.Kind) -> bool:
        """Asks for the next run of a kind; the next try after a failure asks for the same, under the same key."""
        number = self._counts[kind]
        group = self._order[number % len(self._order)]
        body = {"selection": [f"group:{kind.group}"], "partitions": workload.lanes(group, kind.lanes), "author": "soak"}
        answer = self._ask("POST", "/runs", body, {"Idempotency-Key": f"{kind.group}-{number}"})
        if answer is None:
            self._unclear.add(kind)
            return False
        self._unclear.discard(kind)
        self._counts[kind] += 1
        self.launched.append(Launched(answer.json()["id"], kind, group))
        return True

    def _ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response | None:
        """The answer; None when there is no good one."""
        try:
            answer = self._api.request(method, path, json=body, headers=headers)
        except httpx.HTTPError:
            self.failed += 1
            return None
        if not answer.is_success:
            self.failed += 1
            return None
        return answer
