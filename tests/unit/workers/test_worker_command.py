"""`hedgerow worker`: how it answers what it is asked wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.locations import TWO_ASSETS, write_location

from hedgerow_workers.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--queues", "heavvy"), ("HR-P105", "'heavvy'", "Did you mean 'heavy'?")),
        (("--memory-limit", "lots"), ("HR-P105", "--memory-limit is wrong: 'lots' is no size")),
    ],
)
def test_an_option_that_makes_no_sense_is_explained_and_nothing_starts(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    location = write_location(tmp_path / "sales", "sales", TWO_ASSETS, extra="[queues.heavy]\nconcurrency = 1\n")
    monkeypatch.setenv("HEDGEROW_BROKER", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("HEDGEROW_STORAGE", str(tmp_path))
    assert main([str(location), *arguments]) == 2
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []
