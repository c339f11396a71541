"""The platform under chaos: its servers, two schedulers, two processes of the API and the teams' workers, with a proxy before each server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import redis
from support.processes import descendants, eventually

from chaos import servers, workload
from chaos.launching import Launcher
from chaos.proxy import Network, Proxy
from chaos.sink import Sink
from hedgerow_scheduler.embedded import ports
from hedgerow_scheduler.embedded.accounts import forget_elsewhere
from hedgerow_scheduler.embedded.children import Child, Launch
from hedgerow_scheduler.embedded.homes import open_home
from hedgerow_scheduler.embedded.servers import await_ready
from hedgerow_scheduler.metadata import migrate

SCHEDULERS = ("scheduler-1", "scheduler-2")
APIS = ("api-1", "api-2")
WORKERS = {"north-1": "north", "north-2": "north", "south-1": "south"}
DEPLOYMENT = "chaos"
START_TRIES = 5
Made = TypeVar("Made", bound="Stage")


@dataclass
class Part:
    """One process of the platform with the proxies through which it reaches the servers; none where it reaches them directly."""

    name: str
    launch: Launch
    broker: Proxy
    database: Proxy | None = None
    role: str = "worker"
    child: Child | None = None
    restarts: bool = True
    unplanned: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The process now; 0 when there is none."""
        return self.child.pid if self.child is not None and self.child.poll() is None else 0


class Stage:
    """Everything that runs. `start` a stage, harm its parts, `revive` what ended; all of it is gone when the block of `stage()` ends.

    `launcher` is how runs are launched through its API.
    """

    launcher: Launcher

    def __init__(self, root: Path, network: Network, environ: Mapping[str, str]) -> None:
        self.root = root
        self._network, self._environ = network, {**os.environ, **environ}
        self.sink = Sink(root / "sink.jsonl")
        self.servers: dict[str, Child] = {}
        self.parts: dict[str, Part] = {}
        self.urls: dict[str, str] = {}

    # -- starting ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts everything, and waits until every worker is known to the scheduler, and every asset to the API."""
        self._start_servers()
        places = workload.write(self.root, self.sink.path)
        self._add_schedulers()
        self._add_workers({name: places[team] for name, team in WORKERS.items()})
        self.launcher = Launcher(self._add_apis())
        self._start_parts()
        eventually(lambda: self.launcher.are_known(workload.ASSETS), within=60, what="the API knows the assets")

    def _start_servers(self) -> None:
        home = self.root / ".hedgerow"
        open_home(home)
        for name, (launch, url) in servers.prepare(home, self._environ).items():
            self.urls[name] = url
            self.servers[name] = self._serving(launch)
        migrate.upgrade(self.urls["postgres"])
        (self.root / "logs").mkdir()

    def _add_schedulers(self) -> None:
        for name in SCHEDULERS:
            self._add(name, ["-m", "hedgerow_scheduler.service.main", "--root", str(self.root)], "scheduler")

    def _add_workers(self, places: Mapping[str, Path]) -> None:
        for name, place in places.items():
            self._add(name, ["-m", "hedgerow.console", "worker", str(place)], "worker")

    def _add_apis(self) -> dict[str, str]:
        """The addresses of the API's processes."""
        found = {}
        for name in APIS:
            port = ports.choose(self.root / ".hedgerow", name)
            self._add(name, ["-m", "hedgerow.console", "api", "--port", str(port)], "api")
            found[name] = f"http://{ports.LOOPBACK}:{port}/api/v1"
        return found

    def _start_parts(self) -> None:
        for part in self.parts.values():
            part.child = Child(part.launch)
        expected = [(len(self.workers()),)]
        eventually(lambda: self.ask("SELECT count(*) FROM workers WHERE state = 'ready'") == expected, within=120)

    def _add(self, name: str, command: list[str], role: str) -> None:
        broker = Proxy(self._network, self._port("valkey"))
        environ = {
            **self._environ,
            "HEDGEROW_NAME": DEPLOYMENT,
            "HEDGEROW_BROKER": self._through(broker, "valkey"),
            "HEDGEROW_STORAGE": str(self.root / "storage"),
            "HEDGEROW_WORKER_STATE": str(self.root / "state"),
            "PYTHONUNBUFFERED": "1",
        }
        proxy = None
        if role != "worker":
            proxy, environ["HEDGEROW_DATABASE"] = self._to_database()
        launch = Launch(
            name,
            [sys.executable, *command],
            self.root / "logs" / f"{name}.log",
            environ,
            ready=lambda _: True,
            directory=self.root,
        )
        self.parts[name] = Part(name, launch, broker, proxy, role)

    def _to_database(self) -> tuple[Proxy | None, str]:
        """The proxy before PostgreSQL for one more part, and the URL that the part gets."""
        proxy = Proxy(self._network, self._port("postgres"))
        return proxy, self._through(proxy, "postgres")

    def _port(self, server: str) -> int:
        return int(urlsplit(self.urls[server]).port or 0)

    def _through(self, proxy: Proxy, server: str) -> str:
        return self.urls[server].replace(f":{self._port(server)}/", f":{proxy.port}/")

    @staticmethod
    def _serving(launch: Launch) -> Child:
        child = Child(launch)
        await_ready(child)
        return child

    # -- parts -------------------------------------------------------------------------------------------------------

    def workers(self) -> list[Part]:
        """The workers that run."""
        return [part for part in self.parts.values() if part.role == "worker" and part.pid]

    def schedulers(self) -> list[Part]:
        """The schedulers that run."""
        return [part for part in self.parts.values() if part.role == "scheduler" and part.pid]

    def leader(self) -> Part:
        """The scheduler that leads."""

        def find() -> Part | None:
            holder = str(self.ask("SELECT holder FROM leader")[0][0])
            return next((part for part in self.schedulers() if holder.endswith(f":{part.pid}")), None)

        found = eventually(find, within=30, what="someone leads")
        assert found is not None
        return found

    def proxies(self, server: str, names: tuple[str, ...] = ()) -> list[Proxy]:
        """The proxies before `server` of these parts, or of all."""
        parts = [part for name, part in self.parts.items() if not names or name in names]
        found = [part.broker if server == "valkey" else part.database for part in parts]
        return [proxy for proxy in found if proxy is not None]

    def start_part(self, part: Part) -> None:
        """Starts a part again that has ended."""
        part.child = Child(part.launch)
        part.restarts = True

    def revive(self) -> None:
        """Starts what has ended without anyone's doing, as a service manager would."""
        for part in self.parts.values():
            if part.restarts and part.child is not None and (status := part.child.poll()) is not None:
                part.unplanned.append(status)
                self.start_part(part)

    # -- servers -----------------------------------------------------------------------------------------------------

    def server_pid(self, server: str) -> int:
        """The server itself, below its keeper."""
        return int(json.loads((self.root / ".hedgerow" / f"{server}.pid.json").read_text())["pid"])

    def restart_server(self, server: str) -> None:
        """Starts a server again that was killed; tried again while what it left is in its way."""
        child = self.servers[server]
        if child.wait(10) is None:
            return  # another fault killed it too, and was healed first
        for last in range(START_TRIES):
            try:
                self.servers[server] = self._serving(child.launch)
                return
            except Exception:
                if last == START_TRIES - 1:
                    raise
                time.sleep(1)

    def valkey(self) -> redis.Redis:
        """A client of the broker past all proxies."""
        return redis.Redis.from_url(self.urls["valkey"], socket_timeout=5)

    def versions(self) -> str:
        """Which servers these are."""
        with self.valkey() as client:
            told = client.info("server")
        broker = f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"
        return f"PostgreSQL {self.ask('SHOW server_version')[0][0]}, {broker}"

    def ask(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query past all proxies."""
        with psycopg.connect(self.urls["postgres"], connect_timeout=5, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    # -- ending ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ends everything, whatever state it is in; nothing of it is left."""
        for part in self.parts.values():
            part.restarts = False
            if part.child is not None and part.pid:
                below = descendants(part.pid)
                os.kill(part.pid, signal.SIGKILL)
                part.child.wait(10)
                for process in below:
                    if process.is_running():
                        process.kill()
        for child in self.servers.values():
            child.terminate()
        for child in self.servers.values():
            if child.wait(20) is None:
                child.kill()


@contextmanager
def stage_of(
    make: Callable[[Path, Network, Mapping[str, str]], Made],
    environ: Mapping[str, str] | None = None,
    *,
    keep: Callable[[], bool] = lambda: False,
) -> Iterator[Made]:
    """A stage in a new directory, which is removed at the end unless `keep` says otherwise; `make` is which one."""
    root = Path(tempfile.mkdtemp(prefix="hedgerow-chaos-"))
    root.chmod(0o711)
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        found = make(root, network, environ or {})
        try:
            found.start()
            yield found
        finally:
            found.stop()
            if not keep():
                forget_elsewhere(root / ".hedgerow" / "postgres")
                shutil.rmtree(root, ignore_errors=True)


def stage(
    environ: Mapping[str, str] | None = None, *, keep: Callable[[], bool] = lambda: False
) -> AbstractContextManager[Stage]:
    """The usual stage, see `stage_of`."""
    return stage_of(Stage, environ, keep=keep)
