"""The automatic code version: it follows the meaning of a function's source, not its looks."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from hedgerow.manifest.fingerprint import code_version

_numbers = count()

BASE = "def f(x):\n    return x + 1\n"


def compiled(source: str) -> Callable[..., Any]:
    """The function `f` of a source that inspect can find."""
    name = f"<source {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names: dict[str, Any] = {"deco": lambda **_: lambda f: f}
    exec(compile(source, name, "exec"), names)
    found: Callable[..., Any] = names["f"]
    return found


@pytest.mark.parametrize(
    "same",
    [
        "def f(x):\n    # why\n    return (x\n        + 1)\n",
        'def f(x):\n    """What."""\n    return x + 1\n',
        "@deco(group='x')\ndef f(x):\n    return x + 1\n",
    ],
)
def test_layout_comments_docstrings_and_decorators_do_not_count(same: str) -> None:
    assert code_version(compiled(same)) == code_version(compiled(BASE))


@pytest.mark.parametrize(
    "other",
    ["def f(x):\n    return x + 2\n", "def f(x, y=1):\n    return x + 1\n", "async def f(x):\n    return x + 1\n"],
)
def test_a_change_of_meaning_counts(other: str) -> None:
    assert code_version(compiled(other)) != code_version(compiled(BASE))


def test_without_source_the_compiled_code_counts() -> None:
    one, two, other = (eval(f"lambda x: {text}") for text in ("x + 1", "x + 1", "x + 2"))
    assert code_version(one) == code_version(two) != code_version(other)
