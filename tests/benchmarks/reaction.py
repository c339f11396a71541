"""How soon conditions answer: from an event that is committed to the dispatch of what is made from it, beside very many assets.

    make bench-reaction           # or: python tests/benchmarks/reaction.py [--assets 50000] [--rate 200] [--seconds 60]

A real platform: PostgreSQL, Valkey, scheduler, API and a worker, as `hedgerow dev --automation` runs them. Ten more teams publish
`--assets` eager assets in chains, and a heartbeat of each goes on. The worker's own team has chains of a root and nine eager
descendants; roots are launched so that `--rate` steps flow each second. For each descendant: `committed_to_dispatched_ms` is from the
end of the step above it to the dispatch of its own, as PostgreSQL has them: 0 when the transaction that records the one dispatches
the other; `started_ms` is the whole way as the worker sees it, from its report of the one to the start of the other on one of
its two slots. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import httpx
import psutil
import psycopg
import redis

from hedgerow.manifest.model import decode, manifest_hash
from hedgerow.protocol import control, names
from hedgerow.protocol import events as ev
from hedgerow.protocol.envelope import (
    WIRE_VERSION,
    Envelope,
    decode_envelope,
    encode_batch,
    encode_body,
    encode_envelope,
)
from hedgerow_scheduler.embedded.platform import Platform

sys.path.insert(0, str(Path(__file__).parent))
from planner import CHUNK, manifests

TEAMS, CHAINS, LENGTH = 10, 200, 10
Attempt = tuple[
    str, datetime, datetime, datetime
]  # asset; dispatched, start heard of, end heard of: when the cycle began that did it
TOGETHER = 4  # roots of one run
BEAT_S = 2.0
PATIENCE_S = 180.0
CODE = f"""
import hedgerow as hr

def link(chain, level):
    name = f"c{{chain}}/a{{level}}"
    @hr.asset(key=name, deps=[f"c{{chain}}/a{{level - 1}}"] if level else [], automation=hr.eager() if level else None)
    def nothing() -> None: ...
    return nothing

globals().update({{f"c{{c}}_{{n}}": link(c, n) for c in range({CHAINS}) for n in range({LENGTH})}})
"""
ATTEMPTS = """
SELECT steps.assets[1], attempts.dispatched_at, attempts.started_at, steps.ended_at
FROM attempts JOIN steps ON steps.run_id = attempts.run_id AND steps.number = attempts.step_number
WHERE steps.team = 'flow' AND steps.state = 'succeeded' ORDER BY attempts.dispatched_at
"""


class Publisher(threading.Thread):
    """The teams that only declare: says that their manifests are served, sends them when asked, and keeps beating."""

    def __init__(self, url: str, deployment: str, bodies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._broker, self._deployment = redis.Redis.from_url(url), deployment
        self._bodies = {decode(body).team: body for body in bodies}
        self._heard = dict.fromkeys(self._bodies, "0-0")
        self._seq = dict.fromkeys(self._bodies, 0)
        self.over = threading.Event()

    def run(self) -> None:
        for team, body in self._bodies.items():
            self._say(team, ev.ManifestPublished(team, team, manifest_hash(body), len(body)))
        while not self.over.wait(BEAT_S):
            for team, body in self._bodies.items():
                self._say(team, ev.WorkerHeartbeat(team, manifest_hash(body), ("default",), 0), counted=False)
                self._answer(team, body)

    def _answer(self, team: str, body: bytes) -> None:
        key = names.control_stream(self._deployment, team)
        for _, entries in self._broker.xread({key: self._heard[team]}) or ():  # type: ignore[union-attr]
            for entry_id, fields in entries:
                self._heard[team] = entry_id.decode()
                said = decode_envelope(fields[b"b"])
                if control.KINDS[said.kind] is control.SendManifest:
                    text = body.decode()
                    parts = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
                    for index, part in enumerate(parts):
                        self._say(team, ev.ManifestChunk(manifest_hash(body), index, len(parts), part))

    def _say(self, team: str, body: ev.Event, counted: bool = True) -> None:
        self._seq[team] += counted
        number = self._seq[team] if counted else 0
        envelope = Envelope(
            f"{team}-{number}-{time.time()}",
            ev.KIND_OF[type(body)],
            WIRE_VERSION,
            encode_body(body),
            0,
            f"{team}-w",
            number,
        )
        self._broker.xadd(
            names.events_stream(self._deployment, team), {b"b": encode_batch([encode_envelope(envelope)])}
        )


def await_assets(api: httpx.Client, count: int) -> float:
    """Waits until so many assets are declared; the seconds that took."""
    began = time.monotonic()
    while api.get("/assets", params={"limit": 1}).raise_for_status().json()["total"] < count:
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError("the assets did not appear")
        time.sleep(0.2)
    return time.monotonic() - began


def flow(api: httpx.Client, rate: float, seconds: float) -> int:
    """Launches roots at a rate of `rate` steps per second, theirs and their descendants'; returns how many."""
    apart, began, number = LENGTH / rate, time.monotonic(), 0
    while time.monotonic() - began < seconds:
        roots = [f"c{(number + each) % CHAINS}/a0" for each in range(TOGETHER)]
        api.post("/runs", json={"selection": roots}).raise_for_status()
        number += TOGETHER
        time.sleep(max(0.0, began + number * apart - time.monotonic()))
    return number


def reactions(attempts: list[Attempt], began: float) -> tuple[list[float], list[float]]:
    """Milliseconds from the recorded end of each step above to the dispatch, and to the recorded start, of the one below; sorted."""
    ends: dict[str, datetime] = {}
    dispatched, started = [], []
    for asset, dispatched_at, started_at, ended_at in attempts:
        chain, _, level = asset.rpartition("/a")
        above = ends.get(f"{chain}/a{int(level) - 1}")
        if above is not None and dispatched_at.timestamp() >= began:
            dispatched.append((dispatched_at - above).total_seconds() * 1000)
            started.append((started_at - above).total_seconds() * 1000)
        ends[asset] = ended_at
    return sorted(dispatched), sorted(started)


def at(values: list[float], share: float) -> float:
    """The value below which this share lies."""
    return round(values[min(len(values) - 1, int(len(values) * share))], 1)


def measure(folder: Path, assets: int, rate: float, seconds: float) -> dict[str, float]:
    """All figures."""
    bodies = manifests(assets, TEAMS)
    location = folder / "flow"
    location.mkdir(parents=True)
    (location / "flow_code.py").write_text(CODE)
    (location / "hedgerow.toml").write_text(
        '[team]\nname = "flow"\n[code]\nmodules = ["flow_code"]\n[worker]\nslots = 2\n'
    )
    teams = "".join(f"[teams.t{number}]\n" for number in range(TEAMS))
    (folder / "platform.toml").write_text(f'[platform]\nname = "reaction"\n{teams}')
    with Platform(folder, reload=False, automation=True) as platform:
        platform.wait_ready()
        publisher = Publisher(platform.urls["broker"], "reaction", bodies)
        with httpx.Client(base_url=f"{platform.api_url}/api/v1", timeout=60) as api:
            publisher.start()
            declared = sum(len(decode(body).assets) for body in bodies) + CHAINS * LENGTH
            visible_s = await_assets(api, declared)
            flow(api, rate, seconds / 4)  # warms up
            time.sleep(3)
            began = time.time()
            roots = flow(api, rate, seconds)
            time.sleep(5)
        publisher.over.set()
        rss = psutil.Process(platform.reports()["scheduler"].pid).memory_info().rss
        with psycopg.connect(platform.urls["database"]) as connection:
            attempts: list[Attempt] = list(connection.execute(ATTEMPTS))  # type: ignore[arg-type]
    dispatched, started = reactions(attempts, began)
    steps = sum(ended_at.timestamp() >= began for _, _, _, ended_at in attempts)
    return {
        "assets": declared, "visible_s": round(visible_s, 1), "roots": roots, "steps": steps, "steps_per_s": round(steps / seconds, 1),
        "reactions": len(dispatched), "expected_reactions": roots * (LENGTH - 1),
        "dispatched_ms_p50": at(dispatched, 0.5), "dispatched_ms_p99": at(dispatched, 0.99),
        "started_ms_p50": at(started, 0.5), "started_ms_p99": at(started, 0.99), "started_ms_max": at(started, 1.0),
        "scheduler_rss_mb": round(rss / 1e6, 1),
    }  # fmt: skip


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=50_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hedgerow-reaction-"))
    folder.chmod(0o755)
    try:
        print(json.dumps(measure(folder, options.assets, options.rate, options.seconds)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
