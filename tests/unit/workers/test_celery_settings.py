"""The Celery application of a worker: the settings that we ship, each with its reason in the reference."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import hedgerow_workers
from hedgerow_workers.app import configuration
from hedgerow_workers.settings import WorkerSettings

PAGE = Path(hedgerow_workers.__file__).parents[2] / "docs" / "reference" / "celery.md"


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(
        "prod", "sales", "sales", tmp_path, tmp_path, ("default",), 3, "redis://b", "/s", tmp_path, environment={}
    )


def test_every_setting_is_explained(settings: WorkerSettings) -> None:
    page = PAGE.read_text()
    values = configuration(settings)
    missing = [name for name in (*values, *values["broker_transport_options"]) if f"`{name}`" not in page]
    assert missing == []


def test_keys_on_the_broker_are_fenced_by_team(settings: WorkerSettings) -> None:
    options = configuration(settings)["broker_transport_options"]
    assert options["global_keyprefix"] == "hr:prod:sales:q:"
    assert options["ack_emulation"] is False


def test_the_tools_of_celery_are_off_unless_asked_for(settings: WorkerSettings) -> None:
    assert not configuration(settings)["worker_enable_remote_control"]
    assert configuration(msgspec.structs.replace(settings, celery_tools=True))["worker_enable_remote_control"]
