"""Every error code is declared once, used, and documented."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from hedgerow import errors
from hedgerow.errors import CODES

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("definitions", "workers", "scheduler") for path in sorted((ROOT / folder).rglob("*.py"))]
CODE = re.compile(r"\bHR-[A-Z]\d+\b")
WELL_FORMED = re.compile(r"HR-[CDPQSX]\d{3}")


def codes_in_strings(path: Path) -> set[str]:
    """The codes in the texts of a module."""
    texts = (node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant))
    return {code for text in texts if isinstance(text, str) for code in CODE.findall(text)}


def mentioned() -> dict[str, list[str]]:
    """Where each code is mentioned outside its declaration."""
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        if path != Path(errors.__file__):
            for code in codes_in_strings(path):
                found.setdefault(code, []).append(str(path.relative_to(ROOT)))
    return found


def test_every_code_in_the_source_is_declared() -> None:
    assert {code: where for code, where in mentioned().items() if code not in CODES} == {}


def test_every_declared_code_is_used() -> None:
    assert sorted(CODES.keys() - mentioned().keys()) == []


def test_no_code_is_declared_twice() -> None:
    tree = ast.parse(Path(errors.__file__).read_text("utf-8"))
    declared = [
        node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "CODES"
    ]
    assert isinstance(declared[0].value, ast.Dict)
    counted = Counter(ast.literal_eval(key) for key in declared[0].value.keys if key is not None)
    assert [code for code, times in counted.items() if times > 1] == []


def test_codes_are_well_formed_and_their_sentences_end_with_a_full_stop() -> None:
    assert [code for code in CODES if not WELL_FORMED.fullmatch(code)] == []
    assert [code for code, sentence in CODES.items() if not sentence.endswith(".")] == []
