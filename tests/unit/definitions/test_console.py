"""The dispatcher: it knows every command, imports only the one it runs, and names what is missing."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from hedgerow import console
from hedgerow.console import COMMANDS, GROUP, main

MODULE = """
from hedgerow.errors import PlatformError, Problem, RequestError

def echo(argv):
    print(*argv)
    return 1 if "fail" in argv else 0

def twice(argv):
    return echo([*argv, *argv])

def bad(argv):
    raise RequestError(Problem("HR-Q101", "There is no such thing.", "Ask for another."))

def unreachable(argv):
    raise PlatformError(Problem("HR-P301", "The API does not answer.", "Start it."))

def misconfigured(argv):
    raise PlatformError(Problem("HR-C002", "The file is wrong.", "Correct it."))

def interrupted(argv):
    raise KeyboardInterrupt

def lazy(argv):
    import a_library_that_no_one_has
"""


@pytest.fixture(autouse=True)
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation with some commands of our own."""
    (tmp_path / "installed_commands.py").write_text(MODULE, "utf-8")
    (tmp_path / "heavy_commands.py").write_text("import a_library_that_no_one_has.sub\n", "utf-8")
    (tmp_path / "broken_commands.py").write_text("import hedgerow.no_such_module\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    names = {
        name: f"installed_commands:{name}" for name in ("echo", "bad", "unreachable", "misconfigured", "interrupted")
    }
    names |= {"echo twice": "installed_commands:twice"}
    names |= {"dev": "installed_commands:lazy", "worker": "heavy_commands:main", "broken": "broken_commands:main"}
    entries = EntryPoints(EntryPoint(name, value, GROUP) for name, value in names.items())
    monkeypatch.setattr(console, "entry_points", lambda group: entries.select(group=group))
    yield
    for module in ("installed_commands", "heavy_commands", "broken_commands"):
        sys.modules.pop(module, None)


def test_a_command_gets_its_arguments_and_its_result_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["echo", "a", "--b"]) == 0
    assert capsys.readouterr().out == "a --b\n"
    assert main(["echo", "fail"]) == 1


def test_a_command_of_two_words_goes_before_the_one_of_its_first_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["echo", "twice", "a"]) == 0
    assert main(["echo", "./twice"]) == 0
    assert capsys.readouterr().out == "a a\n./twice\n"


@pytest.mark.parametrize(
    ("name", "exit_code"), [("bad", 2), ("misconfigured", 2), ("unreachable", 3), ("interrupted", 130)]
)
def test_errors_become_exit_codes_without_a_traceback(
    name: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name]) == exit_code
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_command_is_answered_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wroker"]) == 2
    assert "Did you mean 'worker'?" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "extra"), [("worker", "worker"), ("dev", "local")])
def test_a_missing_library_names_the_extra_whether_it_is_imported_early_or_late(
    name: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name]) == 4
    message = capsys.readouterr().err
    assert "'a_library_that_no_one_has'" in message
    assert f'pip install "hedgerow[{extra}]"' in message


def test_a_defect_of_our_own_is_not_taken_for_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError):
        main(["broken"])


def test_the_help_lists_every_command_without_importing_any(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["--help"], ["help"]):
        assert main(argv) == 0
        listed = capsys.readouterr().out
        assert all(f"  {name} " in listed and command.summary in listed for name, command in COMMANDS.items())
        assert "echo" in listed
    assert "installed_commands" not in sys.modules


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hedgerow 0.")


def test_every_command_that_we_install_is_in_the_table_and_the_other_way_round() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["entry-points"][GROUP]) == set(COMMANDS)
