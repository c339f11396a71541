"""Mutants of a manifest: each is the same but for one thing, which is nonsense of some kind."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from hedgerow.manifest import model

Path = tuple[str | int, ...]
HUGE = 10**30
INTEGERS: tuple[Any, ...] = (
    0, -1, 1, 2, 59, 32_768, 100_000, 2**31 - 1, 2**31, 2**53, 315_576_000_000, 315_619_200_000, 2**62, 2**63 - 1, 2**63, 2**64, HUGE, -(2**31), -(2**63),
    -HUGE, 1.5,
)  # fmt: skip
FLOATS: tuple[Any, ...] = (0, -1.0, 5e-324, 1e-9, 1e308, -1e308, 0.1, 1e6, 2**64)
TEXTS: tuple[Any, ...] = (
    "", " ", "\0", "a\0b", "\ud800", "x" * 64, "x" * 256, "y" * 70_000, "\U0001f994" * 90, "é\n\t", "\u202e\u200b",
    "raw/x", "raw", "evil", "evil/plain", "evil/whole", "evil/daily", "nobody/has", "evil//x", "/", "..", "../../etc/passwd", "a b", "A", "a=b", "a|b", "*",
    "**", "?", "[", "[!", "+", "+*+", "!*", "!evil/plain", "9999999+evil/daily+9999999", "job:nightly", "job:outer", "job:nobody", "group:", "tag:a=b",
    "owner:", "team:raw", ":", "so:", "(", ",", ",,,", "*,*,*,*", "UTC", "Europe/Oslo", "Nowhere/Nothing", "Etc/GMT+14", "localtime", "posixrules", "../UTC",
    "UTC\0", "Pacific/Apia", "America/Sao_Paulo", "Africa/Monrovia", "Asia", "0 0 29 2 *", "0 0 30 2 *", "* * * * *", "0 0 * * *", "@daily", "* * * * * *", "*/0 * * * *",
    "0 0 1 1 1-7", "0 0 L * *", "0 0 29 2 0#5", "59 23 31 12 *", "1 2  3\t4 5", "hour", "day", "week", "month", "minute", "0001-01-01", "1900-01-01", "1969-12-31",
    "1000-01", "2000-01-01", "2026-02-30", "9999-12-31", "9998-01-01", "9999-12", "0001-01-01T00", "9999-12-31T23", "2026-01-01T00:00", "2100-01-01", "2024-01",
    "inf", "nan", "partition", "partition.country", "config", "config.", "tags.a", "tags.", "config.a.b.c", "dynamic", "time", "country", "customers",
    "0", "-1", "1e400", "'; drop table steps; --", "%s %(rows)s", "\\u0000", "{}",
)  # fmt: skip
TYPES: tuple[Any, ...] = (None, True, [], {}, "x", 1, [[]], {"x": 1}, {"type": "x"})
TAGS = {
    "condition": (
        "missing", "in_progress", "failed", "code_changed", "check_failed", "late", "in_latest_window", "updated", "data_changed", "started", "requested",
        "will_be_requested", "first_seen", "custom", "cron_tick", "and", "or", "not", "since", "became_true", "debounce", "at_most", "except_during",
        "any_dep", "all_deps", "labeled",
    ),
    "partitions": ("time", "static", "dynamic", "product"),
    "mapping": ("same", "all", "last", "window", "keys", "by_dim"),
    "freshness": ("within", "by"),
}  # fmt: skip


class Mutant(NamedTuple):
    """What is to be made of a manifest: where and what, as words, and how."""

    whole: Any
    path: Path
    what: str
    change: Callable[[Any, Any], None]

    def __str__(self) -> str:
        return f"{'/'.join(map(str, self.path))}: {self.what}"

    def body(self) -> bytes:
        """Its JSON."""
        root = target = copy.copy(self.whole)
        for step in self.path[:-1]:
            target[step] = copy.copy(target[step])
            target = target[step]
        last = self.path[-1]
        if not isinstance(last, int) or last < len(target):
            target[last] = copy.copy(target[last])
        self.change(target, last)
        return encoded(root)


def plain(value: Any) -> Any:
    """A manifest as JSON data, with what is left out because it is the default."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        found = {config.tag_field: config.tag} if config.tag is not None else {}
        return found | {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def encoded(data: Any) -> bytes:
    """The JSON of a manifest as an attacker sends it: keys sorted, half surrogate pairs spelled out."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def mutants(manifest: model.Manifest, of_each: int = 2) -> Iterator[Mutant]:
    """All mutants, in order of the places; of places that differ only in which item of a list they are in, the first `of_each`."""
    whole = plain(manifest)
    seen: Counter[tuple[str, ...]] = Counter()
    for path, value in _places(whole, ()):
        kind = _kind(whole, path)
        seen[kind] += 1
        if seen[kind] > of_each or not path:
            continue
        for what, change in _changes(path, value):
            yield Mutant(whole, path, what, change)


def _kind(whole: Any, path: Path) -> tuple[str, ...]:
    """What place it is, whichever item of a list it is in; of what is tagged, of which tag."""
    found, here = [], whole
    for step in path:
        here = here[step]
        tag = here.get("type", "") if isinstance(here, dict) else ""
        found.append(f"{'*' if isinstance(step, int) else step}{tag}")
    return tuple(found[-4:])


def _places(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield from _places(child, (*path, step))


def _changes(path: Path, value: Any) -> Iterator[tuple[str, Callable[[Any, Any], None]]]:
    for other in _values(value):
        if other != value or type(other) is not type(value):
            yield f"{_shown(other)}", lambda parent, step, other=other: parent.__setitem__(step, copy.deepcopy(other))
    yield "left out", lambda parent, step: parent.pop(step)
    if isinstance(path[-1], int):
        yield "twice", lambda parent, step: parent.insert(step, copy.deepcopy(parent[step]))
        yield "50 times", lambda parent, step: parent.extend(copy.deepcopy(parent[step]) for _ in range(50))
        yield "to the front", lambda parent, step: parent.insert(0, parent.pop(step))
    if isinstance(value, list):
        yield "none", lambda parent, step: parent[step].clear()
        yield "reversed", lambda parent, step: parent[step].reverse()
    if isinstance(value, dict) and "type" not in value:
        yield (
            "with odd names",
            lambda parent, step: parent[step].update({"": "", "\0": "\0", "x" * 300: "y" * 300, "é": "\ud83d"}),
        )
        yield (
            "with many names",
            lambda parent, step: parent[step].update({f"k{number}": "v" for number in range(2_000)}),
        )


def _values(value: Any) -> Iterator[Any]:
    yield from TYPES
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from INTEGERS
    elif isinstance(value, float):
        yield from (*FLOATS, *INTEGERS)
    elif isinstance(value, str):
        yield from TEXTS
    elif value is None:
        yield from (*TEXTS, *INTEGERS)
    elif isinstance(value, dict) and "type" in value:
        yield from _retagged(value)


def _retagged(value: dict[str, Any]) -> Iterator[Any]:
    """The same with another tag and whatever that may need; a condition in deep and wide ones."""
    for tags in TAGS.values():
        if value["type"] in tags:
            more = {
                "of": value,
                "reset": value,
                "quiet_ms": 1,
                "count": 1,
                "per_ms": 1,
                "lasting_ms": 1,
                "name": "cheap",
                "label": "l",
                "cron": {"type": "cron", "expression": "0 0 29 2 *"},
                "start": "2024-01-01",
                "end": None,
                "keys": ["no", "se"],
                "cadence": "day",
                "dims": [value],
                "pairs": [],
                "within_ms": 1,
                "since_ms": 1,
            }
            for tag in tags:
                yield value | {"type": tag}
                if tag in ("window", "last"):
                    yield from (
                        {"type": tag, "start": at, "end": at, "count": at}
                        for at in (-(2**63), -100_000, -400, 0, 400, 100_000, 2**63, 10**30)
                    )
                yield {
                    **more,
                    "type": tag,
                    **(
                        {"of": [value, value]}
                        if tag in ("and", "or")
                        else {"dims": [{"type": "static", "keys": ["a"]}] * 2}
                        if tag == "product"
                        else {"keys": [], "but": []}
                        if tag in ("any_dep", "all_deps")
                        else {"start": -1, "end": 10**6}
                        if tag == "window"
                        else {}
                    ),
                }
    if value["type"] in TAGS["condition"]:
        deep: Any = value
        for _ in range(60):
            deep = {"type": "not", "of": deep}
        yield deep
        yield {"type": "or", "of": [value] * 100}
        yield {"type": "and", "of": []}


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)})"
