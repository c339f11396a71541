"""Checking the arguments of a declaration: whatever is wrong is collected, so that a team sees all of its mistakes at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from hedgerow.durations import parse_duration
from hedgerow.errors import Problem
from hedgerow.identifiers import is_asset_key, is_name
from hedgerow.manifest.model import Column
from hedgerow.metadata import MetadataError, normalise
from hedgerow.site import Site

T = TypeVar("T")

KEY_RULE = (
    'Use lower-case letters, digits, `_` and `-`, starting with a letter; join parts by `/`, such as "raw/orders".'
)
NAME_RULE = "Use lower-case letters, digits, `_` and `-`, starting with a letter, at most 63 characters."


def suggestion(wrong: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`Did you mean 'x'? ` for the nearest of `known`, or nothing."""
    near = difflib.get_close_matches(wrong, list(known), n=1, cutoff=cutoff)
    return f"Did you mean {near[0]!r}? " if near else ""


class Arguments:
    """The arguments of one declaration, such as `asset 'orders'`, and what is wrong with them.

    Each method returns a checked value, or a harmless stand-in after noting a problem.
    """

    def __init__(self, what: str, site: Site) -> None:
        self.what = what
        self.site = site
        self.problems: list[Problem] = []

    def refuse(self, code: str, message: str, remedy: str) -> None:
        """Note a problem at this declaration."""
        self.problems.append(Problem(code, message, remedy, self.site.file, self.site.line))

    def wrong(self, label: str, value: object, remedy: str) -> None:
        """Note that the argument `label` can't be `value`."""
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        self.refuse("HR-D012", f"{self.what}: {label}={shown} is not allowed.", remedy)

    def only(self, given: Mapping[str, Any], known: Iterable[str]) -> None:
        """Note every argument whose name is not known."""
        known = sorted(known)
        for name in given:
            if name not in known:
                self.refuse(
                    "HR-D012",
                    f"{self.what}: there is no argument {name!r}.",
                    suggestion(name, known) + "Known are: " + ", ".join(known) + ".",
                )

    def key(self, value: object) -> str:
        """An asset key."""
        if isinstance(value, str) and is_asset_key(value):
            return value
        self.refuse("HR-D002", f"{self.what}: {value!r} is no asset key.", KEY_RULE)
        return ""

    def name(self, label: str, value: object, default: str = "") -> str:
        """A name of `[a-z][a-z0-9_-]*`."""
        if isinstance(value, str) and is_name(value):
            return value
        self.refuse("HR-D002", f"{self.what}: {label} {value!r} is no name.", NAME_RULE)
        return default

    def text(self, label: str, value: object, default: str = "") -> str:
        """A text."""
        if isinstance(value, str):
            return value
        self.wrong(label, value, "Give a text.")
        return default

    def flag(self, label: str, value: object, default: bool) -> bool:
        """True or False."""
        if isinstance(value, bool):
            return value
        self.wrong(label, value, "Give True or False.")
        return default

    def whole(self, label: str, value: object, default: int, least: int | None = None, most: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        lowest, highest = -math.inf if least is None else least, math.inf if most is None else most
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        upper = " on" if most is None else f" to {most:,}"
        self.wrong(
            label, value, "Give a whole number." if least is None else f"Give a whole number from {least}{upper}."
        )
        return default

    def choice(self, label: str, value: object, choices: Sequence[T], default: T) -> T:
        """One of a few values."""
        for choice in choices:
            if choice == value:
                return choice
        near = suggestion(value, [str(choice) for choice in choices]) if isinstance(value, str) else ""
        self.wrong(label, value, near + "Give one of: " + ", ".join(repr(choice) for choice in choices) + ".")
        return default

    def texts(self, label: str, value: object) -> tuple[str, ...]:
        """Several texts, as a sorted tuple without doubles."""
        if isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value):
            return tuple(sorted(set(value)))
        self.wrong(label, value, 'Give several texts, such as ["a", "b"].')
        return ()

    def text_map(self, label: str, value: object) -> dict[str, str]:
        """A mapping from text to text, sorted."""
        if isinstance(value, Mapping) and all(isinstance(part, str) for item in value.items() for part in item):
            return dict(sorted(value.items()))
        self.wrong(label, value, 'Give a mapping from text to text, such as {"tier": "gold"}.')
        return {}

    def metadata(self, value: object) -> dict[str, Any]:
        """Metadata as plain JSON data."""
        try:
            return normalise(value)  # type: ignore[arg-type]
        except MetadataError as error:
            self.refuse("HR-D010", f"{self.what}: {error}.", "Give a small mapping of texts, numbers, dates, lists.")
            return {}

    def columns(self, value: object) -> tuple[Column, ...]:
        """A column schema: `hr.Column`s, or a mapping from name to type."""
        try:
            return as_columns(value)
        except ValueError as error:
            self.wrong("columns", value, f"{error}.")
            return ()

    def duration(self, label: str, value: object, default: timedelta | None = None) -> timedelta | None:
        """A positive duration."""
        try:
            duration = parse_duration(value)  # type: ignore[arg-type]
        except ValueError as error:
            self.wrong(label, value, f"{error}.")
            return default
        if duration <= timedelta(0):
            self.wrong(label, value, 'Give a duration above zero, such as "30s".')
            return default
        return duration

    def sequence(self, label: str, value: object, read: Callable[[object], T | None]) -> tuple[T, ...]:
        """A list or tuple, each item read by `read` (None: left out, a problem was noted)."""
        if not isinstance(value, list | tuple):
            self.wrong(label, value, "Give a list.")
            return ()
        return tuple(item for item in map(read, value) if item is not None)


def as_columns(value: object) -> tuple[Column, ...]:
    """A column schema from `hr.Column`s or a mapping from name to type; `ValueError` says what else was given.

    >>> as_columns({"id": "int64"})
    (Column(name='id', type='int64', description=''),)
    """
    if isinstance(value, Mapping):
        value = [Column(name, type) for name, type in value.items()]
    rule = 'Give a list of hr.Column, or a mapping from name to type such as {"id": "int64"}'
    if not isinstance(value, list | tuple) or not all(isinstance(column, Column) for column in value):
        raise ValueError(rule)
    for column in value:
        if not all(isinstance(part, str) for part in (column.name, column.type, column.description)) or not column.name:
            raise ValueError(rule)
    return tuple(value)
