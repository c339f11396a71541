"""The run-time configuration of a function: which annotations are one, its JSON schema, and checking what a run gives."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from hedgerow.errors import ExecutionError, Problem


def is_config_type(annotation: Any) -> bool:
    """Whether a parameter so annotated receives the configuration: a dataclass or a `msgspec.Struct` (so also `hr.Config`)."""
    return isinstance(annotation, type) and (
        dataclasses.is_dataclass(annotation) or issubclass(annotation, msgspec.Struct)
    )


def config_schema(annotation: Any) -> dict[str, Any]:
    """The JSON schema of a config type; `TypeError` when one of its fields has no JSON form."""
    schema: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(annotation), order="sorted"))
    return schema


def convert_config(parameter: tuple[str, Any, bool] | None, raw: Any, what: str) -> Any:
    """The config object for a function, from raw JSON, plain data or a ready object.

    `parameter` is (name, type, has a default), None when the function takes no config. Nothing given means the defaults: an
    empty object, or None when the parameter has a default of its own. `ExecutionError` HR-X201 names the field that is wrong,
    HR-X202 says that the function takes no config.
    """
    if isinstance(raw, bytes | bytearray | memoryview | msgspec.Raw):
        try:
            raw = msgspec.json.decode(bytes(raw) or b"null")
        except msgspec.MsgspecError as error:
            raise _refused("HR-X201", f"{what}: the config is no JSON: {error}.", "Give a JSON object.") from error
    if parameter is None:
        if raw:
            raise _refused("HR-X202", f"{what} takes no config, but one was given.", "Leave out its config.")
        return None
    _, wanted, has_default = parameter
    if isinstance(raw, wanted):
        return raw
    if raw is None and has_default:
        return None
    given = {} if raw is None else raw
    _refuse_unknown_fields(wanted, given, what)
    try:
        return msgspec.convert(given, wanted, str_keys=True)  # JSON has no other keys, whatever their type is to be
    except msgspec.ValidationError as error:
        raise _refused(
            "HR-X201",
            f"{what}: the config does not fit {wanted.__qualname__}: {error}.",
            f"Its fields are: {_fields(wanted)}.",
        ) from error


def _refuse_unknown_fields(wanted: Any, given: Any, what: str) -> None:
    # msgspec ignores unknown fields of dataclasses and of plain structs; a misspelt setting must not pass in silence.
    if not isinstance(given, dict):
        return
    known = _field_names(wanted)
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        from hedgerow.arguments import suggestion

        raise _refused(
            "HR-X201",
            f"{what}: the config {wanted.__qualname__} has no field {unknown[0]!r}.",
            f"{suggestion(unknown[0], known)}Its fields are: {_fields(wanted)}.",
        )


def _field_names(wanted: Any) -> list[str]:
    if issubclass(wanted, msgspec.Struct):
        return list(wanted.__struct_encode_fields__)
    return [field.name for field in dataclasses.fields(wanted)]


def _fields(wanted: Any) -> str:
    return ", ".join(_field_names(wanted)) or "none"


def _refused(code: str, message: str, remedy: str) -> ExecutionError:
    return ExecutionError(Problem(code, message, remedy))
