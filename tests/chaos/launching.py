"""Launches runs through the HTTP API, at all of its processes at once under one key, and counts what must not come of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx

from chaos.checker import Violation

# As long as someone waits who then asks elsewhere.
TIMEOUT_S = 5.0
AWAY = 500  # from here on a status says that the API can't do it now


class Launcher:
    """`apis` are the addresses of the API's processes by name. `asked` are those that have not answered yet.

    `answers` counts how they answered, by status, or why not; `wrong` is what they answered that they must not.
    """

    def __init__(self, apis: Mapping[str, str]) -> None:
        self.asked: set[str] = set()
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._clients = {name: httpx.Client(base_url=url, timeout=TIMEOUT_S) for name, url in apis.items()}
        self._pool = ThreadPoolExecutor(len(apis), thread_name_prefix="launcher")

    @property
    def names(self) -> tuple[str, ...]:
        """The processes of the API."""
        return tuple(self._clients)

    def are_known(self, assets: Collection[str]) -> bool:
        """Whether every process of the API serves and knows these assets."""
        try:
            return all(
                client.get("/assets", params={"limit": 1}).json().get("total") == len(assets)
                for client in self._clients.values()
            )
        except httpx.HTTPError:
            return False

    def launch(self, key: str, body: dict[str, Any]) -> str | None:
        """The run's id; None when no process has acknowledged it: whether it is launched can only be known by the same key."""
        found = [each for each in self._pool.map(partial(self._ask, key, body), self._clients) if each is not None]
        runs = {run for run, _ in found}
        if len(runs) > 1 or sum(created for _, created in found) > 1:
            self.wrong.append(f"the launch {key} became {found}")
        return min(runs, default=None)

    def close(self) -> None:
        """Gives the connections back."""
        self._pool.shutdown()
        for client in self._clients.values():
            client.close()

    def _ask(self, key: str, body: dict[str, Any], name: str) -> tuple[str, bool] | None:
        self.asked.add(name)
        try:
            answer = self._clients[name].post("/runs", json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            return None
        finally:
            self.asked.discard(name)
        self.answers[str(answer.status_code)] += 1
        if answer.status_code >= AWAY:
            return None
        if answer.status_code not in (200, 201):
            self.wrong.append(f"the launch {key} was refused by {name}: {answer.status_code} {answer.text}")
            return None
        told = answer.json()
        return str(told["id"]), answer.status_code == 201


def launched_twice(wrong: Collection[str], launched: Collection[str], recorded: Collection[str]) -> Iterator[Violation]:
    """What the API must not have answered, and runs that are recorded although no launch was answered with them."""
    for what in wrong:
        yield Violation("launched_twice", what)
    for run in sorted(set(recorded) - set(launched)):
        yield Violation("launched_twice", f"run {run} is recorded, and is the answer to no launch")
