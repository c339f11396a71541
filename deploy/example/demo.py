"""`make demo`: makes the teams' environments, runs the whole example on a platform of its own, sums up, and leaves nothing running.

The last line of the output is one JSON object; the exit code is 0 only if every step of the run succeeded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
from environments import EXAMPLE, TEAMS, prepare
from rich.console import Console
from rich.markup import escape
from summary import show_checks, show_model, show_versions

from hedgerow import clock
from hedgerow.errors import HedgerowError
from hedgerow_scheduler.embedded.parts import State
from hedgerow_scheduler.embedded.platform import Platform

DAYS = "2013-01-01..2013-12-31"
STORM = "2013-02-08"
# What is made from one day of flights: their conditions are to make these, and no other, when that day is made again.
FOLLOWING = ("flights/analytics/carrier_delays", "flights/analytics/weather_at_departure", "flights/ml/features")
FLIGHTS = "flights/raw/flights"
PATIENCE_S = 60.0
QUIET_S = 2.0  # in which whatever is going to follow has begun
TORN = 0.3  # of the day's flights
OK, FAILED, INTERRUPTED = 0, 1, 130


def main() -> int:
    """Runs the demo; 0 when all of it succeeded, 1 when something did not, 130 after Ctrl-C."""
    # Into a file or a pipe, wide enough for whole keys.
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "140")
    console = Console(highlight=False)
    # Told to end, we leave through the `with` below like after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        console.print("[bold]Three teams, three environments[/]")
        prepare(lambda line: console.print(f"  {line}"))
        console.print("[bold]Starting the platform[/] (PostgreSQL, Valkey, scheduler, API, a worker per team)")
        with Platform(EXAMPLE, reload=False, automation=True) as platform:
            return _demonstrate(platform, console)
    except (HedgerowError, RuntimeError, httpx.HTTPError) as error:
        console.print(f"[red]{type(error).__name__}[/]: {escape(str(error))}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _demonstrate(platform: Platform, console: Console) -> int:
    platform.wait_ready()
    for report in platform.reports().values():
        if report.part.state is State.BROKEN:
            raise RuntimeError(f"{report.part.name} is broken: {report.part.detail}")
    with httpx.Client(base_url=f"{platform.api_url}/api/v1", timeout=30) as api:
        assets = _await_assets(api)
        console.print(f"  {platform.api_url} serves {assets} assets")
        console.print(f"[bold]hedgerow materialize '*' --range {DAYS}[/]")
        _cancel_leftovers(api)
        started = time.monotonic()
        tag = f"demo={clock.uuid7()}"
        command = [sys.executable, "-m", "hedgerow.console", "materialize", "*", "--range", DAYS, "--tag", tag]
        ended = subprocess.run(command, env={**os.environ, "HEDGEROW_API": platform.api_url}, check=False)
        seconds = time.monotonic() - started
        launched = api.get("/runs", params={"tag": tag}).raise_for_status().json()["items"]
        if not launched:
            raise RuntimeError(f"nothing was launched (exit code {ended.returncode})")
        run = api.get(f"/runs/{launched[0]['id']}").raise_for_status().json()
        succeeded = run["counts"].get("succeeded", 0)
        show_versions(api, TEAMS, console)
        show_checks(platform.urls["database"], run["id"], console)
        show_model(api, console)
        followed = _refresh(api, console)
        held_back = _tear(api, console)
        total = api.get("/assets", params={"limit": 1000}).raise_for_status().json()
        result = {
            "run": run["id"],
            "steps": run["steps"],
            "succeeded": succeeded,
            "failed": run["steps"] - succeeded,
            "materializations": sum(asset["current"] for asset in total["items"]),
            "followed": followed,
            "held_back": held_back,
            "flights_rows": sum(one["metadata"]["rows"] for one in _current(api, FLIGHTS)),
            "seconds": round(seconds, 1),
        }
    console.print("[bold]Stopping the platform[/]")
    platform.stop()
    print(json.dumps(result), flush=True)
    well = ended.returncode == 0 and run["state"] == "succeeded" and result["failed"] == 0
    return OK if well and followed == list(FOLLOWING) and held_back else FAILED


def _refresh(api: httpx.Client, console: Console) -> list[str]:
    """Makes one day of flights again, and waits for what the conditions of the other teams make of it: these assets, sorted."""
    console.print(
        f"[bold]hedgerow materialize {FLIGHTS} --partition {STORM}[/] (the other teams' conditions do the rest)"
    )
    known = {run["id"] for run in _launched_by_conditions(api)}
    api.post(
        "/runs", json={"selection": [FLIGHTS], "partitions": [STORM], "tags": {"demo": "refresh"}}
    ).raise_for_status()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        runs = [run for run in _launched_by_conditions(api) if run["id"] not in known]
        steps = [
            step
            for run in runs
            if run["state"] == "succeeded"
            for step in api.get(f"/runs/{run['id']}/steps").raise_for_status().json()["items"]
        ]
        # Anything that is not of this day would be too much, and is told with its own.
        made = sorted(
            asset if step["partition"] == STORM else f"{asset} {step['partition']}"
            for step in steps
            for asset in step["assets"]
        )
        if set(FOLLOWING) <= set(made) or time.monotonic() > deadline:
            for asset in made:
                console.print(f"  {asset} followed")
            return made
        time.sleep(0.2)


def _tear(api: httpx.Client, console: Console) -> bool:
    """Makes the day once more, torn; whether its blocking check kept that from everyone: the former output is current, and nothing
    followed.
    """
    config = {FLIGHTS: {"kept": TORN}}
    console.print(
        f"[bold]hedgerow materialize {FLIGHTS} --partition {STORM} --config '{json.dumps(config)}'[/] (a day that came in torn)"
    )
    known = [run["id"] for run in _launched_by_conditions(api)]
    before = _current_of(api, STORM)
    body = {"selection": [FLIGHTS], "partitions": [STORM], "config": config, "tags": {"demo": "torn"}}
    run = api.post("/runs", json=body).raise_for_status().json()["id"]
    deadline = time.monotonic() + PATIENCE_S
    while (state := api.get(f"/runs/{run}").raise_for_status().json()["state"]) in ("requested", "running"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    time.sleep(QUIET_S)
    failed = api.get(f"/runs/{run}/steps/0").raise_for_status().json()
    console.print(f"  {(failed['error'] or {}).get('message', state)}")
    followed = [run["id"] for run in _launched_by_conditions(api)] != known
    held_back = state == "failed" and not followed and _current_of(api, STORM) == before
    console.print("  nobody reads it, and nothing followed" if held_back else "[red]it was not held back[/]")
    return held_back


def _current_of(api: httpx.Client, day: str) -> list[str]:
    """The attempt that made what is current of a day of flights."""
    query = {"asset": FLIGHTS, "partition": day, "state": "current"}
    found = api.get("/materializations", params=query).raise_for_status().json()["items"]
    return [one["attempt_id"] for one in found]


def _launched_by_conditions(api: httpx.Client) -> list[dict[str, Any]]:
    """The runs that conditions have launched, the newest first."""
    found: list[dict[str, Any]] = (
        api.get("/runs", params={"tag": "automation=condition"}).raise_for_status().json()["items"]
    )
    return found


def _await_assets(api: httpx.Client) -> int:
    """The number of assets, once every team's are known."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        items = api.get("/assets", params={"limit": 1000}).raise_for_status().json()["items"]
        missing = set(TEAMS) - {asset["team"] for asset in items}
        if not missing:
            return len(items)
        if time.monotonic() > deadline:
            raise RuntimeError(f"no assets of team {', '.join(sorted(missing))} after {PATIENCE_S:.0f} s")
        time.sleep(0.1)


def _cancel_leftovers(api: httpx.Client) -> None:
    """Ends the runs of demos that were interrupted: the platform has just taken them up again."""
    for run in api.get("/runs", params={"state": ["requested", "running"]}).raise_for_status().json()["items"]:
        if "demo" in run["tags"]:
            api.post(f"/runs/{run['id']}/cancel")  # refused if it has ended in the meantime


def _current(api: httpx.Client, asset: str) -> Iterator[dict[str, Any]]:
    """The current materializations of an asset, page by page."""
    cursor: str | None = None
    while True:
        page: dict[str, str | int] = {"asset": asset, "state": "current", "limit": 1000}
        if cursor:
            page["cursor"] = cursor
        answer = api.get("/materializations", params=page).raise_for_status().json()
        yield from answer["items"]
        if (cursor := answer["next"]) is None:
            return


if __name__ == "__main__":
    sys.exit(main())
