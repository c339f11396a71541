"""What people ask for wrongly, and what goes wrong in their steps: code and remedy by every way in, and nothing half done."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.locations import write_location
from support.processes import eventually, running
from support.town import Town, town

pytestmark = [pytest.mark.servers, pytest.mark.processes]

GOOD = """
    import dataclasses
    import datetime
    import time
    import hedgerow as hr

    class Thing:
        pass

    @dataclasses.dataclass
    class Limits:
        limit: int = 3
        name: str = "x"
        since: datetime.date = datetime.date(2024, 1, 1)

    @hr.asset
    def numbers() -> list:
        return [1, 2, 3]

    @hr.asset
    def total(numbers: list) -> int:
        return sum(numbers)

    @hr.asset
    def thing() -> Thing:
        return Thing()

    @hr.asset(retry=hr.Retry(3, delay="1s"))
    def limited(cfg: Limits) -> int:
        return cfg.limit

    @hr.asset(partitions=hr.static("no", "se"))
    def country(ctx: hr.Context) -> str:
        return ctx.partition_key

    @hr.multi_asset(hr.spec("small"), hr.spec("wordy"))
    def both():
        return hr.Result(1, asset="small"), hr.Result(2, asset="wordy", metadata={"text": "a" * 70_000})

    TITLE = "\\x1b]0;" + "now" * 3 + "\\x07"  # sets a terminal's title

    @hr.asset
    def patient() -> int:
        time.sleep(2)
        return 1

    @hr.asset
    def rude() -> hr.Result:
        print("before " + TITLE + "\\x1b[31mafter")
        return hr.Result(1, metadata={"te\\x1b[2Jxt": TITLE + " and \\x9b2J and \\u202egnp"})

    @hr.asset
    def ruder() -> int:
        raise ValueError(TITLE + "\\x1b[2J no")
"""

READER = """
    import hedgerow as hr

    @hr.asset(deps=["thing"])
    def reads_thing(thing) -> str:
        return "never"

    @hr.asset(deps=["numbers"])
    def reads_numbers(numbers: list) -> int:
        return len(numbers)
"""

LONER = """
    import hedgerow as hr

    @hr.asset
    def lonely() -> int:
        return 1
"""


def write_teams(root: Path) -> None:
    write_location(root / "good", "good", GOOD)
    write_location(root / "reader", "reader", READER)


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town(write_teams) as place:
        yield place


# name → the body of the request, the same as arguments of the command, code, words of the message, words of the remedy
REQUESTS: dict[str, tuple[dict[str, Any], list[str], str, str, str]] = {
    "an unknown asset": ({"selection": ["numbes"]}, ["numbes"], "HR-Q001", "'numbes'", "Did you mean 'numbers'?"),
    "an unknown group": ({"selection": ["group:x"]}, ["group:x"], "HR-Q001", "'group:x'", "group:default"),
    "an unknown job": ({"selection": ["job:x"]}, ["job:x"], "HR-Q001", "'x'", "team show"),
    "an unknown attribute": ({"selection": ["size:x"]}, ["size:x"], "HR-Q003", "'size'", "group, tag"),
    "no selection that can be read": ({"selection": ["++"]}, ["++"], "HR-Q003", "'++'", "key"),
    "nothing": ({"selection": ["!numbers"]}, ["!numbers"], "HR-Q002", "nothing", "Select"),
    "an unknown partition": (
        {"selection": ["country"], "partitions": ["nx"]},
        ["country", "--partition", "nx"],
        "HR-Q101",
        "'nx'",
        "no, se",
    ),
    "no partition where one is needed": (
        {"selection": ["country"]},
        ["country"],
        "HR-Q101",
        "'country'",
        "--partition",
    ),
    "a partition of what has none": (
        {"selection": ["numbers"], "partitions": ["no"]},
        ["numbers", "--partition", "no"],
        "HR-Q004",
        "partitioned",
        "Leave",
    ),
    "a range backwards": (
        {"selection": ["country"], "partition_range": {"first": "se", "last": "no"}},
        ["country", "--range", "se..no"],
        "HR-Q103",
        "'se'",
        "",
    ),
    "partitions chosen in two ways": (
        {"selection": ["country"], "partitions": ["no"], "all_partitions": True},
        [],
        "HR-Q105",
        "more than one way",
        "only one",
    ),
    "a config of the wrong type": (
        {"selection": ["limited"], "config": {"limited": {"limit": "many"}}},
        ["limited", "--config", '{"limited": {"limit": "many"}}'],
        "HR-Q007",
        "'limited.limit' is 'many'",
        "a whole number",
    ),
    "an unknown field of a config": (
        {"selection": ["limited"], "config": {"limited": {"limt": 1}}},
        ["limited", "--config", '{"limited": {"limt": 1}}'],
        "HR-Q007",
        "no field 'limt'",
        "Did you mean 'limit'?",
    ),
    "a config for what takes none": (
        {"selection": ["numbers"], "config": {"numbers": {"limit": 1}}},
        ["numbers", "--config", '{"numbers": {"limit": 1}}'],
        "HR-Q007",
        "takes no config",
        "Leave out",
    ),
    "a config for what is not made": (
        {"selection": ["numbers"], "config": {"limited": {"limit": 1}}},
        ["numbers", "--config", '{"limited": {"limit": 1}}'],
        "HR-Q005",
        "'limited'",
        "numbers",
    ),
    "a tag without an end": (
        {"selection": ["numbers"], "tags": {"a": "b" * 300}},
        ["numbers", "--tag", f"a={'b' * 300}"],
        "HR-Q313",
        "'a'",
        "255",
    ),
    "a text that no database holds": (
        {"selection": ["numbers"], "tags": {"a": "\0"}},
        [],
        "HR-Q324",
        "can't hold",
        "NUL",
    ),
    "no room for a step": (
        {"selection": ["numbers"], "max_concurrent": 0},
        [],
        "HR-Q008",
        "0 steps at once",
        "from 1 to",
    ),
    "a cap that is no number": ({"selection": ["numbers"], "max_concurrent": "many"}, [], "HR-Q301", "int", "openapi"),
    "a body of another form": ({"selection": "numbers"}, [], "HR-Q301", "'selection'", "openapi"),
    "an unknown field": ({"selecton": ["numbers"]}, [], "HR-Q301", "'selecton'", "openapi"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_is_refused_with_code_and_remedy_and_leaves_no_trace(place: Town, name: str) -> None:
    body, arguments, code, told, remedy = REQUESTS[name]
    before = place.counts()
    status, answer = place.ask("POST", "/runs", body)
    assert status == 400, answer
    problem = answer["problems"][0]
    assert (problem["code"], told in problem["message"], remedy in problem["remedy"]) == (code, True, True), problem
    if arguments:
        done = place.cli("materialize", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert re.match(rf"{code}  .*\n {{9}}\S", done.stderr), done.stderr
        assert told in done.stderr
        assert remedy in done.stderr
    assert place.counts() == before


# What a hostile or broken program sends: method, path, body, status, code.
ODD: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/runs/..%2f..%2f..%2fetc%2fpasswd/logs", None, 404, "HR-Q303"),
    ("GET", "/runs/%00", None, 404, "HR-Q304"),
    ("GET", "/runs/%25", None, 404, "HR-Q304"),
    ("GET", "/runs?author=%00", None, 400, "HR-Q324"),
    ("GET", "/runs?state=odd", None, 400, "HR-Q310"),
    ("GET", "/runs?stat=failed", None, 400, "HR-Q310"),
    ("GET", "/runs?limit=0", None, 400, "HR-Q310"),
    ("GET", "/assets/..%2f..%2fetc%2fpasswd", None, 404, "HR-Q307"),
    ("GET", "/assets?select=%2B", None, 400, "HR-Q003"),
    ("GET", "/teams/..%2f", None, 404, "HR-Q308"),
    ("GET", "/materializations", None, 400, "HR-Q310"),
    ("GET", "/materializations?asset=numbers&cursor=99999999999999999999", None, 400, "HR-Q324"),
    ("GET", "/check-results?asset=numbers&check=odd", None, 404, "HR-Q370"),
    ("GET", "/check-results?asset=numbers&check=odd&cursor=odd", None, 400, "HR-Q310"),
    ("GET", "/explain?asset=numbers&step=0/0", None, 400, "HR-Q317"),
    ("GET", "/explain?asset=country&partition=nx", None, 400, "HR-Q101"),
    ("GET", "/nothing", None, 404, "HR-Q303"),
    ("DELETE", "/runs", None, 405, "HR-Q318"),
    ("POST", "/teams", {"name": "../odd"}, 400, "HR-Q315"),
    ("POST", "/runs", {"selection": ["numbers"], "tags": {"a": " " * (1 << 20)}}, 413, "HR-Q302"),
    ("POST", "/runs/0/retry", {"steps": list(range(20_000))}, 400, "HR-Q301"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), ODD)
def test_whatever_a_program_sends_the_answer_is_a_problem_of_its_own_making(
    place: Town, method: str, path: str, body: Any, status: int, code: str
) -> None:
    before = place.counts()
    answered, answer = place.ask(method, path, body)
    assert (answered, answer["problems"][0]["code"]) == (status, code), answer
    assert answer["problems"][0]["remedy"]
    assert place.counts() == before


def test_a_body_nested_without_end_is_refused(place: Town) -> None:
    deep = b'{"selection":["numbers"],"config":{"numbers":' + b"[" * 200_000 + b"]" * 200_000 + b"}}"
    answer = httpx.post(f"{place.platform.api_url}/api/v1/runs", content=deep, timeout=20, trust_env=False)
    assert (answer.status_code, answer.json()["problems"][0]["code"]) == (400, "HR-Q301")


@pytest.mark.parametrize(
    "words",
    [
        *("run show ..", "asset show a?b", "team show .", "run list --limit 0", "audit --limit -1", "run frobnicate"),
        *("materialize \udcff", "backfill start numbers --all --abort-threshold nan"),
    ],
)
def test_odd_words_on_the_command_line_are_answered_with_a_code(place: Town, words: str) -> None:
    done = place.cli(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("HR-Q"), done.stderr


def test_a_run_that_was_left_with_ctrl_c_goes_on(place: Town) -> None:
    with subprocess.Popen(
        place.command("materialize", "patient"), cwd=place.root, env=place.environ, stderr=subprocess.PIPE, text=True
    ) as left:
        assert left.stderr is not None
        run = left.stderr.readline().split()[1]
        left.send_signal(signal.SIGINT)
        assert left.wait(20) == 130
        assert f"Run {run} goes on" in left.stderr.read()
    assert place.finished(run)["state"] == "succeeded"


def test_refusals_are_data_when_data_is_asked_for(place: Town) -> None:
    done = place.cli("materialize", "numbes", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["problems"][0]["code"] == "HR-Q001"


def test_every_mistake_of_a_config_is_told_at_once(place: Town) -> None:
    config = {"limited": {"limit": True, "nam": "x"}, "total": {"a": 1}}
    _, answer = place.ask("POST", "/plan", {"selection": ["limited", "total"], "config": config})
    assert [problem["code"] for problem in answer["problems"]] == ["HR-Q007"] * 3


def test_a_config_that_only_the_code_can_judge_fails_the_step_once_and_stores_nothing(place: Town) -> None:
    step = place.failed_step(place.launch("limited", config={"limited": {"since": "yesterday"}}))
    assert (step["attempt"], step["error"]["code"]) == (1, "HR-X201")  # though the asset has three retries
    assert "since" in step["error"]["remedy"]
    assert not place.has_data("limited")


def test_a_value_that_another_team_can_not_open_fails_the_reader_and_says_what_to_return_instead(place: Town) -> None:
    done = place.cli("materialize", "thing", "reads_thing", "reads_numbers", "numbers")
    assert done.returncode == 1
    assert "HR-S004" in done.stderr
    assert "Ask the owning team to return a table, dict" in done.stderr
    assert place.has_data("thing")
    assert place.has_data("reads_numbers")
    assert not place.has_data("reads_thing")


def test_metadata_over_the_cap_fails_the_step_and_none_of_its_assets_is_recorded(place: Town) -> None:
    before = place.counts()["materializations"]
    run = place.launch("small", "wordy")
    step = place.failed_step(run)
    assert step["error"]["code"] == "HR-X213"
    assert "65,536" in step["error"]["message"]
    assert step["error"]["remedy"]
    assert place.counts()["materializations"] == before
    assert not place.has_data("small")
    assert not place.has_data("wordy")
    shown = place.cli("run", "show", run).stdout
    assert "HR-X213" in shown
    assert step["error"]["remedy"] in shown


def test_a_team_without_workers_makes_its_run_wait_and_everyone_can_see_why(place: Town, tmp_path: Path) -> None:
    location = write_location(tmp_path / "loner", "loner", LONER)
    assert place.ask("POST", "/teams", {"name": "loner"})[0] == 201
    environ = {**place.environ, **{f"HEDGEROW_{name.upper()}": url for name, url in place.platform.urls.items()}}
    worker = place.command("worker", str(location))
    with running(worker, log=tmp_path / "worker.log", environ=environ) as process:
        eventually(lambda: place.ask("GET", "/assets/lonely")[0] == 200, what="the manifest is in force")
        process.terminate()
        process.wait(30)
    assert "No live workers" in place.cli("team", "show", "loner").stdout
    run = place.launch("lonely")
    causes = eventually(lambda: place.get(f"/explain?step={run}/0")["causes"], what="the run is planned")
    assert [cause["kind"] for cause in causes] == ["no_workers"]
    for target in (run, "lonely"):
        told = place.cli("explain", target).stdout
        assert "No live worker serves queue loner/default" in told
        assert "Start one: `hedgerow worker PATH`" in told
    place.succeeds("numbers", "total")
    assert place.get(f"/runs/{run}")["counts"] == {"ready": 1}
    with running(worker, log=tmp_path / "worker.log", environ=environ) as process:
        assert place.finished(run)["state"] == "succeeded"
        process.terminate()
        process.wait(30)


def on_a_terminal(place: Town, *arguments: str) -> str:
    """What a terminal receives of a command."""
    ours, theirs = pty.openpty()
    environ = {**place.environ, "TERM": "xterm-256color", "NO_COLOR": ""}
    with subprocess.Popen(
        place.command(*arguments), cwd=place.root, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        received = b""
        while True:
            if not select.select([ours], [], [], 60)[0]:
                process.kill()
                break
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            received += piece
        os.close(ours)
    return received.decode(errors="replace")


def test_control_characters_of_users_never_reach_a_terminal(place: Town) -> None:
    place.succeeds("rude")
    rude = place.get("/runs?asset=rude")["items"][0]["id"]
    ruder = place.launch("ruder")
    place.failed_step(ruder)
    told = {
        name: on_a_terminal(place, *name.split())
        for name in (
            "asset show rude",
            f"run show {rude}/0",
            f"run logs {rude}",
            f"run show {ruder}",
            f"explain {ruder}",
        )
    }
    for name, text in told.items():
        assert "nownow" not in text, (name, text)
        assert not re.search("\x1b\\[2J|\x07|\x9b|\u202e", text), (name, text)
    assert "before after" in told[f"run logs {rude}"]
    assert "\\x9b2J" in told["asset show rude"]
