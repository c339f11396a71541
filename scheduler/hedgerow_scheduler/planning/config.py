"""Whether the config of a run request fits what a computation takes, as far as the JSON schema in the manifest can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow.suggestion import did_you_mean

# A manifest is a team's, and this runs in the scheduler: however odd a schema is, looking at it must end soon.
MAX_VISITS = 100_000
DEEPEST = 50
MAX_SHOWN = 40

Mistake = tuple[str, str]  # what is wrong; what to do

_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("above", lambda value, bound: value > bound),
    "exclusiveMaximum": ("below", lambda value, bound: value < bound),
}


def config_problems(computation: Computation, key: str, value: Any) -> tuple[Problem, ...]:
    """HR-Q007 for each mistake in `value` as the computation's config, given under its asset `key`; empty when it may fit.

    Judged are unknown and missing fields, types, allowed values and bounds of numbers. The rest (formats, patterns, lengths) is
    left to the runner, which refuses with HR-X201 what passes here.
    """
    schema = computation.config_schema
    if schema is None:
        if not value:
            return ()
        return (Problem("HR-Q007", f"Asset '{key}' takes no config, but one was given.", "Leave out its config."),)
    try:
        found = list(_Judge(schema).mistakes(schema, {} if value is None else value, key))
    except Exception:  # not a schema as `hedgerow.configuration` makes them, so nothing can be said
        return ()
    return tuple(Problem("HR-Q007", f"The config does not fit: {what}.", remedy) for what, remedy in found)


class _Judge:
    """Compares values with parts of one schema; after MAX_VISITS it finds nothing more."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._visits = 0

    def mistakes(self, schema: Any, value: Any, path: str, depth: int = 0) -> Iterator[Mistake]:
        """The mistakes in `value`, which stands at `path`."""
        self._visits += 1
        if self._visits > MAX_VISITS or depth > DEEPEST or not isinstance(schema, dict):
            return
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            yield from self.mistakes(self._root["$defs"][name], value, path, depth + 1)
        elif "anyOf" in schema:
            choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
            if len(choices) == 1 and value is not None:
                yield from self.mistakes(choices[0], value, path, depth + 1)
            elif all(any(self.mistakes(choice, value, path, depth + 1)) for choice in schema["anyOf"]):
                yield f"'{path}' is {_shown(value)}", f"It takes {self._name(schema)}."
        elif "enum" in schema:
            if not any(type(value) is type(one) and value == one for one in schema["enum"]):
                texts = [str(one) for one in schema["enum"]]
                yield f"'{path}' is {_shown(value)}", did_you_mean(str(value), texts, "it takes")
        elif "type" in schema:
            yield from self._of_type(schema, value, path, depth)

    def _of_type(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> Iterator[Mistake]:
        kind = schema["type"]
        # A text with a format may be a number as well: decimals, say.
        special = "format" in schema and isinstance(value, int | float)
        if not special and not _TYPES[kind](value):
            yield f"'{path}' is {_shown(value)}", f"It takes {_WORDS[kind]}."
        elif kind == "object":
            yield from self._in_object(schema, value, path, depth)
        elif kind == "array":
            first = schema.get("prefixItems", [])
            for number, entry in enumerate(value):
                within = first[number] if number < len(first) else schema.get("items")
                yield from self.mistakes(within, entry, f"{path}[{number}]", depth + 1)
        elif kind in ("integer", "number"):
            for word, (text, holds) in _BOUNDS.items():
                if word in schema and not holds(value, schema[word]):
                    yield f"'{path}' is {_shown(value)}", f"It must be {text} {schema[word]}."

    def _in_object(
        self, schema: Mapping[str, Any], value: Mapping[str, Any], path: str, depth: int
    ) -> Iterator[Mistake]:
        fields, others = schema.get("properties"), schema.get("additionalProperties")
        for name, entry in value.items():
            if fields is not None and name in fields:
                yield from self.mistakes(fields[name], entry, f"{path}.{name}", depth + 1)
            elif isinstance(others, dict):
                yield from self.mistakes(others, entry, f"{path}.{name}", depth + 1)
            elif fields is not None:  # a misspelt setting must not pass in silence
                remedy = did_you_mean(name, sorted(fields), "its fields are") or "It has no fields."
                yield f"'{path}' has no field '{name[:MAX_SHOWN]}'", remedy
        for name in schema.get("required", ()):
            if name not in value:
                yield f"'{path}' lacks the field '{name}'", f"It takes {self._name(fields[name])}." if fields else ""

    def _name(self, schema: Any) -> str:
        """What a schema takes, in words."""
        if "$ref" in schema:
            schema = self._root["$defs"][str(schema["$ref"]).removeprefix("#/$defs/")]
        if "discriminator" in schema:
            word, choices = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
            return f"an object whose '{word}' is {' or '.join(choices)}"
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self._name(choice) for choice in schema["anyOf"]))
        if "enum" in schema:
            return " or ".join(str(one) for one in schema["enum"])
        return _WORDS.get(schema.get("type", ""), "any value")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
