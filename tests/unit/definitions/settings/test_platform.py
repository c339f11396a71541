"""platform.toml, the environment before it, and the running embedded servers behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hedgerow.errors import PlatformError
from hedgerow.manifest.model import Pool
from hedgerow.settings.platform import PoolCap, TeamPolicy, Timings, find_root, read_platform, runtime_file


def write_runtime(root: Path, **entries: object) -> None:
    runtime_file(root).parent.mkdir(exist_ok=True)
    runtime_file(root).write_text(json.dumps(entries), "utf-8")


def test_without_file_and_environment_everything_is_embedded_and_named_dev() -> None:
    settings = read_platform(None, {})
    assert settings.name == "dev"
    assert all(settings.is_embedded(server) for server in ("database", "broker", "storage", "api"))
    assert settings.timings == Timings(5, 20, 30, 60)


def test_an_embedded_server_that_does_not_run_is_an_error_only_when_it_is_needed(tmp_path: Path) -> None:
    settings = read_platform(tmp_path, {"HEDGEROW_BROKER": "redis://b"})
    assert settings.broker == "redis://b"
    with pytest.raises(PlatformError) as raised:
        _ = settings.database
    assert raised.value.code == "HR-C008"
    assert "hedgerow dev" in str(raised.value)
    assert "HEDGEROW_DATABASE" in str(raised.value)


def test_running_embedded_servers_are_found_through_the_runtime_file(tmp_path: Path) -> None:
    write_runtime(
        tmp_path,
        name="mine",
        database="postgresql://x",
        broker="redis://x",
        storage="/s",
        api="http://x/",
        pids={"a": 1},
    )
    settings = read_platform(tmp_path, {})
    assert (settings.name, settings.database, settings.broker, settings.storage, settings.api) == (
        "mine",
        "postgresql://x",
        "redis://x",
        "/s",
        "http://x",
    )
    assert settings.is_embedded("database")


def test_a_damaged_runtime_file_is_named(tmp_path: Path) -> None:
    runtime_file(tmp_path).parent.mkdir()
    runtime_file(tmp_path).write_text("{", "utf-8")
    with pytest.raises(PlatformError) as raised:
        read_platform(tmp_path, {})
    assert raised.value.code == "HR-C010"


def test_the_environment_goes_before_the_file_and_that_before_what_runs(tmp_path: Path) -> None:
    write_runtime(tmp_path, name="runtime", database="postgresql://runtime", broker="redis://runtime")
    (tmp_path / "platform.toml").write_text(
        """
        [platform]
        name = "prod"
        database = "postgresql://file"
        broker = "redis://file"
        [timings]
        heartbeat_s = 1
        lease_s = 4
        [teams.sales-eu]
        weight = 2
        max_slots = 10
        broker = "redis://file-sales"
        [teams.ml]
        [pools.dw]
        slots = 5
        """,
        "utf-8",
    )
    environ = {
        "HEDGEROW_BROKER": "redis://env",
        "HEDGEROW_LEASE_S": "2.5",
        "HEDGEROW_TEAMS_SALES_EU_WEIGHT": "3",
        "HEDGEROW_API": "",
    }
    settings = read_platform(tmp_path, environ)
    assert (settings.name, settings.database, settings.broker) == ("prod", "postgresql://file", "redis://env")
    assert (settings.timings.heartbeat_s, settings.timings.lease_s) == (1, 2.5)
    assert settings.teams == {"sales-eu": TeamPolicy(3, 0, 10, "redis://file-sales"), "ml": TeamPolicy()}
    assert settings.pools == (Pool("dw", 5),)
    assert (settings.broker_of("sales-eu"), settings.broker_of("ml"), settings.broker_of("other")) == (
        "redis://file-sales",
        "redis://env",
        "redis://env",
    )
    assert not settings.is_embedded("database")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"HEDGEROW_HEARTBEAT_S": "soon"}, "HEDGEROW_HEARTBEAT_S is wrong: expected a number, got a text"),
        ({"HEDGEROW_HEARTBEAT_S": "0"}, "HEDGEROW_HEARTBEAT_S"),
        ({"HEDGEROW_NAME": "My Platform"}, "'My Platform' is not a name"),
    ],
)
def test_a_bad_environment_variable_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(PlatformError) as raised:
        read_platform(None, environ)
    assert raised.value.code == "HR-C009"
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[platform]\nnaem = 'x'", "HR-C002", "Did you mean 'name'?"),
        ("[platform]\nname = 'X'", "HR-C005", "'X'"),
        ("[timings]\nlease_s = 9", "HR-C011", "twice heartbeat_s"),
        ("[teams.a]\nmin_slots = 4\nmax_slots = 2", "HR-C011", "below min_slots 4"),
        ("[teams.a]\nweight = 0", "HR-C002", "teams.a.weight"),
        ("[teams.a]\nweight = -1", "HR-C002", "from 0.001 to 1000"),
        ("[teams.a]\nweight = inf", "HR-C002", "from 0.001 to 1000"),
        ("[teams.a]\nweight = nan", "HR-C002", "from 0.001 to 1000"),
        ("[teams.a]\nmin_slots = -1", "HR-C002", "Steps at once that are the team's"),
        ("[teams.a]\nmax_slots = 0", "HR-C002", "by default without limit"),
        ("[pools.a]\nslots = 8\nmax_slots = 4", "HR-C011", "slots 8, above max_slots 4"),
        ("[pools.a]\n\nmax_slots = 4", "HR-C011", "no slots, so no limit, above max_slots 4"),
        ("[pools.a]\nrate = '61/min'\nmax_rate = '1/s'", "HR-C011", "rate 61/min, above max_rate 1/s"),
        ("[pools.a]\nrate = '1/s'\nmax_rate = '1 per s'", "HR-C006", "'20/s'"),
        ("[pools.a]\nslots = 1\nmax_slots = 0", "HR-C002", "operators may set live"),
        ("[pools.a]\nslots = 1\nmax_slot = 1", "HR-C002", "Did you mean 'max_slots'?"),
        ("[platform", "HR-C001", "platform.toml:1"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, code: str, words: str) -> None:
    (tmp_path / "platform.toml").write_text(text, "utf-8")
    with pytest.raises(PlatformError) as raised:
        read_platform(tmp_path, {})
    (problem,) = raised.value.problems
    assert (problem.code, problem.file, problem.line) == (code, "platform.toml", text.count("\n") + 1)
    assert words in str(problem)


def test_caps_of_live_limits_are_those_of_the_pools_that_have_one(tmp_path: Path) -> None:
    text = """
        [pools.api]
        rate = "5/s"
        max_rate = "600/min"
        [pools.dw]
        slots = 4
        max_slots = 4
        rate = "1/s"
        [pools.free]
        """
    (tmp_path / "platform.toml").write_text(text, "utf-8")
    settings = read_platform(tmp_path, {})
    assert settings.caps == {"api": PoolCap(None, 10.0), "dw": PoolCap(4, None)}
    assert settings.pools == (Pool("api", None, 5.0, 5.0), Pool("dw", 4, 1.0, 1.0), Pool("free"))


def test_a_secret_in_a_url_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "platform.toml").write_text('[platform]\ndatabase = ["postgresql://u:hunter2@db"]\n', "utf-8")
    with pytest.raises(PlatformError) as raised:
        read_platform(tmp_path, {})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("server", ["database", "broker", "api"])
def test_an_address_that_can_be_none_is_refused_without_repeating_it(tmp_path: Path, server: str) -> None:
    (tmp_path / "platform.toml").write_text(f'[platform]\n{server} = "sqlite://u:hunter2@x"\n', "utf-8")
    with pytest.raises(PlatformError, match="must begin with") as raised:
        read_platform(tmp_path, {})
    assert raised.value.code == "HR-C002"
    with pytest.raises(PlatformError, match=f"HEDGEROW_{server.upper()}") as named:
        read_platform(None, {f"HEDGEROW_{server.upper()}": "hunter2"})
    assert "hunter2" not in str(raised.value) + str(named.value)


def test_the_root_is_the_nearest_directory_with_a_platform(tmp_path: Path) -> None:
    team = tmp_path / "teams" / "sales"
    team.mkdir(parents=True)
    assert find_root(team) not in (team, tmp_path / "teams", tmp_path)
    (tmp_path / "platform.toml").touch()
    assert find_root(team) == tmp_path
    (team / ".hedgerow").mkdir()
    assert find_root(team) == team


def test_automation_is_on_unless_the_file_or_the_environment_says_otherwise(tmp_path: Path) -> None:
    assert read_platform(tmp_path, {}).automation.enabled
    (tmp_path / "platform.toml").write_text("[automation]\nenabled = false\n")
    assert not read_platform(tmp_path, {}).automation.enabled
    assert read_platform(tmp_path, {"HEDGEROW_AUTOMATION_ENABLED": "true"}).automation.enabled
    with pytest.raises(PlatformError) as raised:
        read_platform(tmp_path, {"HEDGEROW_AUTOMATION_ENABLED": "perhaps"})
    assert raised.value.code == "HR-C009"
