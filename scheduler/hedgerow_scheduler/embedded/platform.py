"""The whole platform on this machine: servers, scheduler, API and a worker per code location, as one object."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType

from hedgerow import clock
from hedgerow.errors import HedgerowError, PlatformError
from hedgerow.settings.platform import STATE_DIRECTORY, PlatformSettings, read_platform
from hedgerow_scheduler.embedded import ports, postgres, valkey, watching
from hedgerow_scheduler.embedded.children import Child, Launch, wait_until
from hedgerow_scheduler.embedded.homes import Home
from hedgerow_scheduler.embedded.locations import Found, describe, find_locations
from hedgerow_scheduler.embedded.parts import Part, State
from hedgerow_scheduler.embedded.probes import Metadata, api_serves
from hedgerow_scheduler.embedded.supervisor import Report, Supervisor
from hedgerow_scheduler.metadata import migrate

PREFERRED_API_PORT = 8780  # that of `hedgerow api`
MODULES = {"scheduler": "hedgerow_scheduler.service.main", "api": "hedgerow_scheduler.api.main"}
# For steps that run when everything is to end; after that their workers report them as interrupted, which costs no retry.
PATIENCE_S = 5.0
SETTLED = frozenset({State.READY, State.RELOADING, State.BROKEN})
SERVING = frozenset({State.READY, State.RELOADING})
ATTEMPTS = 3  # of a server, before the start of everything is given up
STOP_S = 120.0  # longer than any part's own grace


class Platform:
    """Everything that `hedgerow dev` runs for the directory `path`; use it as a context manager, or call start() and stop().

    `port` is the API's (default: the remembered one), `teams` restricts which teams' workers run, `reload` says whether
    changes of code are followed, `automation` whether schedules and conditions launch anything. `on_change` is called with
    every part that changes, from another thread.
    """

    def __init__(
        self,
        path: Path | str,
        environ: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        teams: Collection[str] = (),
        reload: bool = True,
        automation: bool = False,
        on_change: Callable[[Report], None] = lambda _report: None,
    ) -> None:
        self.root = Path(path).resolve()
        self.api_url = ""
        self._environ = dict(os.environ if environ is None else environ)
        if automation:
            self._environ["HEDGEROW_AUTOMATION_ENABLED"] = "true"
        self._environ.setdefault("HEDGEROW_AUTOMATION_ENABLED", "false")  # whatever platform.toml says for production
        self._port = port
        self._teams = teams
        self._reload = reload
        self._urls: dict[str, str] = {}
        self._name = ""
        self._home: Home | None = None
        self._publishing = threading.Lock()
        self._over = threading.Event()
        self._stopping = threading.Event()
        self._servers: list[str] = []
        self._services: list[str] = []
        self._workers: list[str] = []
        self._supervisor = Supervisor(on_change, self._publish)

    def __enter__(self) -> Platform:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> Mapping[str, str]:
        """database, broker, storage and api; the first two hold passwords."""
        return self._urls

    def reports(self) -> Mapping[str, Report]:
        """Every part as it is now, by name."""
        return self._supervisor.reports()

    def start(self) -> None:
        """Starts everything and returns when the servers serve and all other parts are starting; see wait_ready().

        Raises PlatformError: HR-P204 if it runs already, HR-P205 without code, HR-P203 if a server does not start, HR-C….
        """
        found = find_locations(self.root, self._teams)
        self._home = Home(self.root)
        settings = read_platform(self.root, self._environ)
        self._name = settings.name
        self._supervisor.start()
        self._start_servers(settings, self._home.path)
        migrate.upgrade(self._urls["database"])
        self._start_services(settings, self._home.path)
        for location in found:
            self._start_worker(location, settings, self._home.path)
        self._publish()

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Waits until scheduler and API serve and every team's worker serves or has said why it can't.

        Raises PlatformError HR-P203 if that takes longer.
        """
        expected = [*self._servers, *self._services]

        def settled(reports: Mapping[str, Report]) -> bool:
            return all(name in reports and reports[name].part.state in SERVING for name in expected) and all(
                name in reports and reports[name].part.state in SETTLED for name in self._workers
            )

        deadline = clock.monotonic() + seconds
        if not self._supervisor.wait(settled, seconds):
            late = [r for r in self.reports().values() if r.part.state not in SETTLED]
            told = "; ".join(
                f"{r.part.name} is {r.part.state}{f' ({r.part.detail})' if r.part.detail else ''}" for r in late
            )
            raise _does_not_start(f"Not everything is ready after {seconds:.0f} s: {told}.", self.root)
        if not wait_until(self._heard, max(0.0, deadline - clock.monotonic()), every=0.1):
            raise _does_not_start(f"The scheduler does not hear the workers after {seconds:.0f} s.", self.root)

    def _heard(self) -> bool:
        reports = [self.reports()[name] for name in self._workers]
        return self._metadata.hears([r.pid for r in reports if r.part.state in SERVING and r.pid is not None])

    def stop(self, seconds: float = STOP_S) -> None:
        """Ends everything, workers first and servers last, and waits for it. Called meanwhile from elsewhere, it hastens the end."""
        if self._stopping.is_set():
            self._supervisor.stop([*self._workers, *self._services])
            return
        self._stopping.set()
        self._over.set()
        for names in (self._workers, self._services, self._servers):
            over = partial(_all_stopped, names)
            self._supervisor.stop(names)
            if names is self._workers and not self._supervisor.wait(over, PATIENCE_S):
                self._supervisor.stop(names)
            self._supervisor.wait(over, seconds)
        self._supervisor.close()
        if "_metadata" in self.__dict__:
            self._metadata.close()
        if self._home is not None:
            self._home.close()

    def _start_servers(self, settings: PlatformSettings, home: Path) -> None:
        self._urls = {server: url for server, url in settings.urls.items() if not settings.is_embedded(server)}
        prepared = {"database": postgres.prepare, "broker": valkey.prepare}
        for server, prepare in prepared.items():
            if settings.is_embedded(server):
                launch, self._urls[server] = prepare(home)
                self._servers.append(launch.name)
                # Longer than the keeper's own patience, so that it is not killed before it killed.
                self._supervisor.add(Part(launch.name, start_s=60, grace_s=30), launch)
        if settings.is_embedded("storage"):
            storage = home / "storage"
            storage.mkdir(mode=0o700, exist_ok=True)
            self._urls["storage"] = str(storage)

        def decided(reports: Mapping[str, Report]) -> bool:
            known = [reports[name].part for name in self._servers if name in reports]
            serving = [part for part in known if part.state in SERVING]
            return len(serving) == len(self._servers) or any(part.failures >= ATTEMPTS for part in known)

        self._supervisor.wait(decided, 90)
        for report in self.reports().values():
            if report.part.state not in SERVING:
                raise _does_not_start(
                    f"The embedded {report.part.name} does not start: {report.part.detail}", self.root
                )

    def _start_services(self, settings: PlatformSettings, home: Path) -> None:
        if settings.is_embedded("api"):
            port = self._port or ports.choose(home, "api", preferred=PREFERRED_API_PORT)
            if self._port and not ports.is_free(port):
                raise PlatformError.of("HR-P206", f"Port {port} is taken.", "Give another one with --port, or none.")
            self._urls["api"] = f"http://{ports.LOOPBACK}:{port}"
            api = partial(api_serves, self._urls["api"])
            self._add_service("api", ["--port", str(port)], api, home)
        self.api_url = self._urls["api"]
        metrics = ports.choose(home, "scheduler metrics")
        self._urls["scheduler_metrics"] = f"http://{ports.LOOPBACK}:{metrics}/metrics"
        arguments = ["--metrics-port", str(metrics)]
        self._add_service("scheduler", arguments, self._metadata.scheduler_leads, home)

    def _add_service(self, name: str, arguments: list[str], ready: Callable[[Child], bool], home: Path) -> None:
        launch = Launch(
            name=name,
            command=[sys.executable, "-m", MODULES[name], *arguments],
            log=home / "logs" / f"{name}.log",
            environ=self._child_environ(),
            ready=ready,
            where=self._urls["api" if name == "api" else "scheduler_metrics"],
            directory=self.root,
            before=self._metadata.before_scheduler if name == "scheduler" else lambda: None,
        )
        self._services.append(name)
        self._supervisor.add(Part(name, start_s=60, grace_s=10), launch)

    def _start_worker(self, location: Found, settings: PlatformSettings, home: Path) -> None:
        name = f"worker {location.name}"
        environ = self._child_environ()
        environ.pop("HEDGEROW_DATABASE")  # a team's worker has no business there
        environ["HEDGEROW_WORKER_STATE"] = str(home)
        launch = Launch(
            name=name,
            command=[sys.executable, "-m", "hedgerow.console", "worker", str(location.root)],
            log=home / "logs" / f"worker-{location.name}.log",
            environ=environ,
            ready=self._metadata.worker_serves,
            where=str(location.root),
            directory=location.root,
            before=partial(self._register, location.root),
        )
        self._workers.append(name)
        drain_s = settings.timings.grace_s + 30
        self._supervisor.add(Part(name, reloads=True, start_s=300, grace_s=30, drain_s=drain_s), launch)
        if self._reload:
            watching.watch(location.root, partial(self._supervisor.changed, name), self._over)

    def _register(self, root: Path) -> None:
        """Makes the scheduler hear the location's team, before each start: the file may have been mended or changed since the last."""
        team = describe(root).team
        if team is not None:
            self._metadata.register([team])

    @cached_property
    def _metadata(self) -> Metadata:
        return Metadata(self._urls["database"])

    def _child_environ(self) -> dict[str, str]:
        servers = {f"HEDGEROW_{server.upper()}": url for server, url in self._urls.items()}
        return {**self._environ, **servers, "HEDGEROW_NAME": self._name, "PYTHONUNBUFFERED": "1"}

    def _publish(self) -> None:
        if self._home is not None and "api" in self._urls and not self._stopping.is_set():
            with self._publishing:
                pids = {name: report.pid for name, report in self.reports().items() if report.pid is not None}
                self._home.publish({"name": self._name, **self._urls, "pids": {"dev": os.getpid(), **pids}})


def _all_stopped(names: list[str], reports: Mapping[str, Report]) -> bool:
    return all(reports[name].part.state is State.STOPPED for name in names if name in reports)


def _does_not_start(message: str, root: Path) -> HedgerowError:
    return PlatformError.of("HR-P203", message, f"The logs are in {root / STATE_DIRECTORY / 'logs'}.")
