"""Code locations of a few lines, loaded in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from textwrap import dedent

import pytest

from hedgerow.discovery import LoadedLocation, load_location
from hedgerow.errors import DefinitionError, Problem

_numbers = count()

Load = Callable[..., LoadedLocation]
Mistakes = Callable[..., list[Problem]]


@pytest.fixture
def location(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Writes a location whose modules are the keyword arguments; module `main` is the first argument. `X` is its package."""
    before, path = set(sys.modules), list(sys.path)

    def write(main: str = "", *, toml: str = "", **modules: str) -> Path:
        # Every package has a name of its own, because imported modules stay in the process.
        package = f"team_{next(_numbers)}"
        (tmp_path / package).mkdir()
        for name, text in {"main": main, **modules}.items():
            code = dedent(text).replace("from X", f"from {package}")
            (tmp_path / package / f"{name}.py").write_text("import hedgerow as hr\n" + code)
        names = ", ".join(f'"{package}.{name}"' for name in ("main", *modules))
        text = f'[team]\nname = "sales"\n[code]\nmodules = [{names}]\n{dedent(toml)}'
        (tmp_path / "hedgerow.toml").write_text(text)
        return tmp_path

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith("team_"):
            del sys.modules[name]


@pytest.fixture
def load(location: Callable[..., Path]) -> Load:
    """Loads a location from its code."""
    return lambda *args, **kwargs: load_location(location(*args, **kwargs))


@pytest.fixture
def mistakes(location: Callable[..., Path]) -> Mistakes:
    """The problems of a location that must not load."""

    def find(*args: str, **kwargs: str) -> list[Problem]:
        with pytest.raises(DefinitionError) as caught:
            load_location(location(*args, **kwargs))
        return list(caught.value.problems)

    return find
