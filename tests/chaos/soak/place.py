"""The platform of the soak: that of the chaos with an HTTP API, one more team, and no proxies but those before the broker."""

from __future__ import annotations

import httpx
from support.processes import eventually

from chaos.proxy import Proxy
from chaos.soak import workload
from chaos.stage import Stage
from hedgerow_scheduler.embedded import ports


class SoakStage(Stage):
    """`api` is the API's address."""

    api = ""

    def start(self) -> None:
        """Starts servers, schedulers, the API and workers, and waits until every team's assets are known."""
        self._start_servers()
        places = workload.write(self.root)
        self._add_schedulers()
        self._add_workers({name: places[team] for name, team in workload.WORKERS.items()})
        port = ports.choose(self.root / ".hedgerow", "api")
        self._add("api", ["-m", "hedgerow.console", "api", "--port", str(port)], "api")
        self.api = f"http://{ports.LOOPBACK}:{port}/api/v1"
        self._start_parts()
        kinds = len(frozenset().union(*(kind.assets for kind in workload.KINDS)))
        eventually(lambda: httpx.get(f"{self.api}/assets").json()["total"] == kinds, within=60, what="assets are known")

    def _to_database(self) -> tuple[Proxy | None, str]:
        """Directly: at full load a proxy would take a good part of a core."""
        return None, self.urls["postgres"]
