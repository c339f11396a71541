"""Reads a TOML file into structs, strictly, and finds every mistake in it with its line.

tomllib forgets where an entry stood, so the lines are found by a scan of the text: headers and keys, which is all that
a settings file of ours needs. An entry inside an inline table is reported at the line of the table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from hedgerow.errors import Problem
from hedgerow.identifiers import is_name
from hedgerow.suggestion import did_you_mean

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]")
_ENTRY = re.compile(rf"\s*({_DOTTED})\s*=")
_AT = re.compile(r"\(at line (\d+), column \d+\)")

_WORDS = {
    " | null": "",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}

Table = TypeVar("Table", bound=msgspec.Struct)
Path_ = tuple[str, ...]


class Document:
    """A parsed file: `data` as tomllib gives it, and every mistake found so far in `problems`, in order."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.data: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self._lines = _line_index(text)
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = _AT.search(str(error))
            line = int(at[1]) if at else max(1, text.count("\n"))
            reason = _AT.sub("", str(error)).replace(" (at end of document)", "").strip()
            self.problems.append(
                Problem(
                    "HR-C001",
                    f"{file} is not valid TOML: {reason}.",
                    "Correct the line; text values stand in quotes.",
                    file,
                    line,
                )
            )

    def line(self, path: Path_) -> int:
        """The line on which the entry at `path` stands, or that of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    def problem(self, code: str, path: Path_, message: str, remedy: str) -> None:
        """Notes a mistake at the entry `path`."""
        self.problems.append(Problem(code, message, remedy, self.file, self.line(path)))

    def decode(self, struct: type[Table]) -> Table | None:
        """The whole file as a `struct`; None when there are mistakes, which are then in `problems`."""
        before = len(self.problems)
        value = self._table(struct, self.data, ())
        return value if before == len(self.problems) == 0 else None

    def _table(self, struct: type[Table], table: Any, path: Path_) -> Table | None:
        if not isinstance(table, dict):
            self.problem(
                "HR-C002",
                path,
                f"'{_shown(path)}' must be a table.",
                f"Write it as [{_shown(path)}] with its entries below.",
            )
            return None
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        for unknown in [name for name in table if name not in fields]:
            inside = f"[{_shown(path)}]" if path else self.file
            self.problem(
                "HR-C002",
                (*path, unknown),
                f"{inside} has an unknown entry '{unknown}'.",
                did_you_mean(unknown, fields, "known are"),
            )
        values: dict[str, Any] = {}
        for name, field in fields.items():
            if name in table:
                values[field.name] = self._value(field.type, table[name], (*path, name))
            elif field.required:
                self.problem(
                    "HR-C004",
                    path,
                    f"'{_shown((*path, name))}' is missing in {self.file}.",
                    hint(field.type) or f"Add it under [{_shown(path)}].",
                )
        # A value that could not be read is None here; `decode` gives nothing out when there was any problem.
        return (
            struct(**values) if all(field.name in values or not field.required for field in fields.values()) else None
        )

    def _value(self, annotation: Any, value: Any, path: Path_) -> Any:
        plain = _plain(annotation)
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
            return self._table(plain, value, path)
        if get_origin(plain) is dict and isinstance(value, dict):
            return {
                name: self._value(get_args(plain)[1], entry, (*path, name))
                for name, entry in value.items()
                if self._named(name, path)
            }
        try:
            return convert(annotation, value)
        except ValueError as error:
            code = next((meta.extra["code"] for meta in _metas(annotation) if meta.extra), "HR-C002")
            self.problem(code, path, f"'{_shown(path)}' is wrong: {error}.", hint(annotation))
            return None

    def _named(self, name: str, path: Path_) -> bool:
        if is_name(name):
            return True
        self.problem("HR-C005", (*path, name), f"'{name}' in [{_shown(path)}] is not a name.", NAME_RULE)
        return False


NAME_RULE = "A name starts with a small letter and goes on with small letters, digits, _ or -, at most 63 in all."


def read_document(path: Path, shown: str) -> Document | Problem:
    """The document at `path`, called `shown` in messages, or why it can't be read."""
    try:
        return Document(shown, path.read_text("utf-8"))
    except FileNotFoundError:
        return Problem(
            "HR-C003",
            f"There is no {shown} in {path.parent}.",
            f"Give the directory that holds {shown}, or write one there.",
        )
    except (OSError, UnicodeDecodeError) as error:
        return Problem(
            "HR-C001", f"{shown} in {path.parent} can't be read: {error}.", "It must be a readable text file in UTF-8."
        )


def entry(
    description: str, example: Any, check: Callable[[Any], object] | None = None, code: str = "HR-C002", **bounds: int
) -> msgspec.Meta:
    """The declaration of an entry: what it is for, an example, its bounds (`ge`, `gt`, `min_length`, ...).

    `check` raises `ValueError` with a sentence for a value that won't do; `code` is then the mistake's.
    """
    declaration: dict[str, Any] = {"description": description, "examples": [example], **bounds}
    return msgspec.Meta(**declaration, extra=None if check is None else {"check": check, "code": code})


def check_name(text: str) -> None:
    """`ValueError` unless `text` is a name."""
    if not is_name(text):
        raise ValueError(f"'{text}' is not a name, which {NAME_RULE[7:-1]}")


def convert(annotation: Any, value: Any, *, strict: bool = True) -> Any:
    """`value` as the type of an entry, or `ValueError` with a sentence; with `strict` False a text may stand for a number."""
    try:
        converted = msgspec.convert(value, annotation, strict=strict)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(str(error))) from None
    for meta in _metas(annotation):
        if meta.extra and converted is not None:
            meta.extra["check"](converted)
    return converted


def describe(annotation: Any) -> tuple[str, Any]:
    """What an entry is for and an example of it, as declared; `("", None)` when nothing is."""
    meta = next((meta for meta in _metas(annotation) if meta.description), None)
    return (meta.description or "", (meta.examples or [None])[0]) if meta is not None else ("", None)


def hint(annotation: Any) -> str:
    """The remedy for a value that won't do: what the entry is for, and an example."""
    description, example = describe(annotation)
    return f"{description} Example: {msgspec.json.encode(example).decode()}." if description else ""


def _metas(annotation: Any) -> list[msgspec.Meta]:
    if get_origin(annotation) is Annotated:
        first, *rest = get_args(annotation)
        return [*_metas(first), *(meta for meta in rest if isinstance(meta, msgspec.Meta))]
    if get_origin(annotation) in (Union, UnionType):
        return [meta for part in get_args(annotation) for meta in _metas(part)]
    return []


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _in_words(error: str) -> str:
    for json_type, words in _WORDS.items():
        error = error.replace(json_type, words)
    return error.replace("Expected ", "expected ").replace("`", "").replace(" - at ", ", at ")


def _shown(path: Path_) -> str:
    return ".".join(path)


def _line_index(text: str) -> Mapping[Path_, int]:
    lines: dict[Path_, int] = {}
    table: Path_ = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _split(header[1])
            found = table
        elif entry := _ENTRY.match(line):
            found = (*table, *_split(entry[1]))
        else:
            continue
        for length in range(1, len(found) + 1):
            lines.setdefault(found[:length], number)
    return lines


def _split(dotted: str) -> Path_:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
