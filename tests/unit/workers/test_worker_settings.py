"""What a worker is started with, from the file, the environment and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hedgerow.errors import PlatformError
from hedgerow_workers.settings import Overrides, read, runner_environment

ENVIRON = {"HEDGEROW_NAME": "prod", "HEDGEROW_BROKER": "redis://b:1/0", "HEDGEROW_STORAGE": "/data", "PATH": "/bin"}


@pytest.fixture
def location(tmp_path: Path) -> Path:
    (tmp_path / "hedgerow.toml").write_text(
        '[team]\nname = "sales"\n[code]\nmodules = ["m"]\nenvironment = ["AWS_PROFILE"]\n'
        "[queues.heavy]\nconcurrency = 3\n[worker]\nslots = 4\n"
    )
    return tmp_path


def test_the_file_the_environment_and_the_command_line_are_put_together(location: Path) -> None:
    settings = read(location, {**ENVIRON, "HEDGEROW_WORKER_METRICS_PORT": "9100"}, Overrides(slots=7))

    assert (settings.deployment, settings.team, settings.location) == ("prod", "sales", "sales")
    assert (settings.slots, settings.metrics_port) == (7, 9100)
    assert settings.queues == ("default", "heavy")
    assert settings.outboxes == location / ".hedgerow" / "outbox" / "sales"
    assert read(location, ENVIRON).slots == 4


def test_a_variable_that_is_no_number_is_named(location: Path) -> None:
    with pytest.raises(PlatformError) as caught:
        read(location, {**ENVIRON, "HEDGEROW_WORKER_SLOTS": "many"})
    assert caught.value.code == "HR-P105"
    assert "HEDGEROW_WORKER_SLOTS is 'many'" in str(caught.value)


def test_runners_get_what_the_teams_file_passes_and_nothing_of_the_platform(location: Path) -> None:
    environ = {**ENVIRON, "AWS_PROFILE": "sales", "AWS_SECRET_ACCESS_KEY": "x", "LC_ALL": "C", "TZ": "UTC"}
    environment = read(location, environ).environment

    assert {name: environment[name] for name in ("AWS_PROFILE", "LC_ALL", "TZ")} == {
        "AWS_PROFILE": "sales",
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    assert not [name for name in environment if name.startswith(("HEDGEROW_", "AWS_SECRET"))]


def test_a_virtual_environment_looks_activated(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    environment = runner_environment({"PATH": "/bin"}, tmp_path / "bin" / "python")

    assert environment["VIRTUAL_ENV"] == str(tmp_path)
    assert environment["PATH"] == f"{tmp_path / 'bin'}:/bin"


def test_a_worker_serves_the_queues_that_were_chosen_in_the_order_of_the_file(location: Path) -> None:
    assert read(location, ENVIRON, Overrides(queues="heavy, default,heavy")).queues == ("default", "heavy")
    chosen = {**ENVIRON, "HEDGEROW_WORKER_QUEUES": "heavy"}
    assert read(location, chosen).queues == ("heavy",)
    assert read(location, chosen, Overrides(queues="default")).queues == ("default",)
    assert read(location, {**ENVIRON, "HEDGEROW_WORKER_QUEUES": ""}).queues == ("default", "heavy")


def test_every_queue_that_the_file_does_not_have_is_named_with_the_closest(location: Path) -> None:
    with pytest.raises(PlatformError) as caught:
        read(location, ENVIRON, Overrides(queues="haevy,default,x"))
    assert [problem.code for problem in caught.value.problems] == ["HR-P105", "HR-P105"]
    assert "--queues asks for queue 'haevy'" in str(caught.value)
    assert "Did you mean 'heavy'?" in str(caught.value)
    assert "Its queues are: default, heavy." in str(caught.value)


def test_limits_of_runners_come_from_the_file_and_may_be_overridden_or_lifted(location: Path) -> None:
    file = location / "hedgerow.toml"
    assert (read(location, ENVIRON).memory_limit_bytes, read(location, ENVIRON).recycle_after) == (None, None)

    file.write_text(file.read_text() + 'memory_limit = "2GiB"\nrecycle_after = 500\n')
    settings = read(location, ENVIRON)
    assert (settings.memory_limit_bytes, settings.recycle_after) == (2 * 2**30, 500)

    variables = {**ENVIRON, "HEDGEROW_WORKER_MEMORY_LIMIT": "1GiB", "HEDGEROW_WORKER_RECYCLE_AFTER": "9"}
    assert read(location, variables).memory_limit_bytes == 2**30
    settings = read(location, variables, Overrides(memory_limit="0", recycle_after=0))
    assert (settings.memory_limit_bytes, settings.recycle_after) == (None, None)


@pytest.mark.parametrize(
    ("text", "words"), [("2G", "'2G' is no size"), ("10MiB", "at least 64 MiB"), ("-1", "'-1' is no size")]
)
def test_a_memory_limit_that_makes_no_sense_is_refused(location: Path, text: str, words: str) -> None:
    with pytest.raises(PlatformError) as caught:
        read(location, {**ENVIRON, "HEDGEROW_WORKER_MEMORY_LIMIT": text})
    assert caught.value.code == "HR-P105"
    assert "HEDGEROW_WORKER_MEMORY_LIMIT is wrong" in str(caught.value)
    assert words in str(caught.value)
