"""hedgerow.toml: what it may say, and what a team is told when it says something else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hedgerow.errors import DefinitionError, Problem
from hedgerow.manifest.model import Pool, Queue
from hedgerow.settings.location import LocationSettings, read_location

MINIMAL = """
[team]
name = "sales"
[code]
modules = ["sales.definitions"]
"""


def read(root: Path, text: str) -> LocationSettings:
    (root / "hedgerow.toml").write_text(text, "utf-8")
    return read_location(root)


def problems(root: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as raised:
        read(root, text)
    return raised.value.problems


def test_a_minimal_file_gets_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, MINIMAL) == LocationSettings(
        root=tmp_path,
        team="sales",
        location="sales",
        modules=("sales.definitions",),
        python=Path(sys.executable),
        queues=(Queue("default"),),
        pools=(),
        slots=2,
    )


def test_a_full_file_is_read_in_order_of_names_with_rates_per_second(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    settings = read(
        tmp_path,
        """
        team.name = "sales"
        [code]
        modules = ["a", "b.c"]
        location = "sales-eu"
        python = ".venv/bin/python"
        [queues.heavy]
        concurrency = 8
        rate = "600/min"
        [queues.default]
        rate = "1/min"
        [pools]
        api = { rate = "5/s", burst = 10 }
        dw = { slots = 3 }
        [worker]
        slots = 4
        memory_limit = "1.5GiB"
        recycle_after = 500
        """,
    )
    assert settings.location == "sales-eu"
    assert settings.python == python, "the symbolic link is kept: the target is outside the environment"
    assert settings.queues == (Queue("default", None, 1 / 60, 1.0), Queue("heavy", 8, 10.0, 10.0))
    assert settings.pools == (Pool("api", None, 5.0, 10.0), Pool("dw", 3))
    assert (settings.slots, settings.memory_limit_bytes, settings.recycle_after) == (4, 3 * 2**29, 500)


def test_the_file_itself_may_be_named_instead_of_its_directory(tmp_path: Path) -> None:
    assert read(tmp_path, MINIMAL) == read_location(tmp_path / "hedgerow.toml")


def test_a_missing_file_says_where_it_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as raised:
        read_location(tmp_path)
    assert raised.value.code == "HR-C003"
    assert str(tmp_path) in str(raised.value)


def test_bad_toml_names_the_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[team]\nname = "sales"\n[code\n')
    assert (problem.code, problem.file, problem.line) == ("HR-C001", "hedgerow.toml", 3)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hedgerow.toml").write_bytes(b'[team]\nname = "\xff"\n')
    with pytest.raises(DefinitionError) as raised:
        read_location(tmp_path)
    assert raised.value.code == "HR-C001"


@pytest.mark.parametrize(
    ("lines", "code", "line", "words"),
    [
        ("[queues.default]\nconcurency = 3", "HR-C002", 7, "Did you mean 'concurrency'?"),
        ("[queue.default]\nconcurrency = 3", "HR-C002", 6, "Did you mean 'queues'?"),
        ("[queues.default]\nconcurrency = 0", "HR-C002", 7, ">= 1"),
        ('[queues.default]\nconcurrency = "8"', "HR-C002", 7, "a whole number, got a text"),
        ("[queues.default]\nconcurrency = true", "HR-C002", 7, "got true or false"),
        ("queues = 3", "HR-C002", 6, "queues"),
        ("[queues]\ndefault = 3", "HR-C002", 7, "'queues.default' must be a table"),
        ('[queues."Heavy one"]', "HR-C005", 6, "'Heavy one'"),
        ('[pools.api]\nrate = "5 per second"', "HR-C006", 7, "'20/s'"),
        ('[pools.api]\nrate = "0/s"', "HR-C006", 7, "above zero"),
        ("[pools.api]\nburst = 5", "HR-C006", 7, "without a rate"),
        ('[pools.api]\nrate = "5/s"\nburst = 0.5', "HR-C006", 8, "from 1 to"),
        ('[pools.api]\nrate = "5/s"\nburst = nan', "HR-C006", 8, "from 1 to"),
        ('[pools.api]\nrate = "9999999999/s"', "HR-C006", 7, "1,000,000 per second"),
        ("[pools.api]\nmax_slots = 5", "HR-C002", 7, "unknown entry 'max_slots'"),
        ("[worker]\nslots = -1", "HR-C002", 7, "Steps at once"),
        ('[worker]\nmemory_limit = "2G"', "HR-C002", 7, "'2G' is no size"),
        ('[worker]\nmemory_limit = "1MiB"', "HR-C002", 7, "at least 64 MiB"),
        ("[worker]\nmemory_limit = 2", "HR-C002", 7, "a text, got a whole number"),
        ("[worker]\nrecycle_after = 0", "HR-C002", 7, ">= 1"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, lines: str, code: str, line: int, words: str) -> None:
    text = MINIMAL + lines if "[" in lines else lines.join(["", "\n"]) + MINIMAL
    (problem,) = problems(tmp_path, text)
    assert (problem.code, problem.line) == (code, line if "[" in lines else 1)
    assert words in str(problem)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('[code]\nmodules = ["a"]', "HR-C004", "'team' is missing"),
        ('[team]\n[code]\nmodules = ["a"]', "HR-C004", "'team.name' is missing"),
        ('[team]\nname = "Sales"\n[code]\nmodules = ["a"]', "HR-C005", "'Sales'"),
        ('[team]\nname = "s"\n[code]\nmodules = []', "HR-C002", "length >= 1"),
        ('[team]\nname = "s"\n[code]\nmodules = ["a.py", "b/c"]', "HR-C002", "'b/c'"),
        ('[team]\nname = "s"\n[code]\nmodules = ["a"]\npython = "venv/bin/python"', "HR-C007", "python3 -m venv"),
    ],
)
def test_what_is_required_is_asked_for(tmp_path: Path, text: str, code: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.code == code
    assert words in str(problem)


def test_all_mistakes_of_a_file_are_reported_together_in_order(tmp_path: Path) -> None:
    found = problems(tmp_path, '[team]\nnam = "x"\n[code]\nmodules = 3\n[pools.p]\nrate = "x"\nslots = "y"\n[Extra]\n')
    assert sorted((problem.line or 0, problem.code) for problem in found) == [
        (1, "HR-C004"),
        (2, "HR-C002"),
        (4, "HR-C002"),
        (6, "HR-C006"),
        (7, "HR-C002"),
        (8, "HR-C002"),
    ]
