"""Which format a value is stored in, chosen by its type: parquet, json, text, bytes, pickle."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hedgerow.errors import StorageError
from hedgerow.manifest.model import Column
from hedgerow.storage import files, frames

PARQUET, JSON, TEXT, BYTES, PICKLE = "parquet", "json", "text", "bytes", "pickle"
SUFFIXES = {PARQUET: "parquet", JSON: "json", TEXT: "txt", BYTES: "bin", PICKLE: "pkl"}
# A returned file keeps its suffix; of these suffixes the format is known as well.
_FORMAT_OF_SUFFIX = {"parquet": PARQUET, "json": JSON, "txt": TEXT}
_MAX_SUFFIX = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value ready to be stored. `rows` is None for what is no table, and for a lazy one (`lazy` is then set)."""

    format: str
    suffix: str
    content: files.Content
    columns: tuple[Column, ...] = ()
    rows: int | None = None
    lazy: bool = False


def encode(value: Any, asset: str) -> Encoded:
    """How `value` of `asset` is to be stored.

    A dict or list (and bool, int, float) becomes json if json holds it exactly, so that it comes back equal; one with
    other keys than text, tuples, dates or NaN inside is pickled, like any other type. Raises `StorageError` HR-S001,
    HR-S003 or HR-S009.
    """
    type_ = type(value)
    kind = frames.kind_of(type_)
    if kind is not None:
        return Encoded(
            PARQUET,
            SUFFIXES[PARQUET],
            frames.writer(kind, value),
            frames.columns_of(kind, value),
            frames.rows_of(kind, value),
            kind == "lazy",
        )
    if isinstance(value, (dict, list, bool, int, float)):
        body = _exact_json(value)
        if body is not None:
            return Encoded(JSON, SUFFIXES[JSON], body)
    elif isinstance(value, str):
        try:
            return Encoded(TEXT, SUFFIXES[TEXT], value.encode())
        except UnicodeEncodeError:
            pass  # lone surrogates: only pickle keeps them
    elif isinstance(value, (bytes, bytearray, memoryview)):
        return Encoded(BYTES, SUFFIXES[BYTES], bytes(value))
    elif isinstance(value, Path):
        return _file(value, asset)
    return Encoded(PICKLE, SUFFIXES[PICKLE], _pickle(value, asset))


def _exact_json(value: Any) -> bytes | None:
    item = getattr(value, "item", None)  # a float64 of numpy is a float, but msgspec asks for the plain one
    try:
        plain = item() if item is not None and isinstance(value, float) else value
        body = msgspec.json.encode(plain)
        decoded = msgspec.json.decode(body)
        # By type as well: past 64 bits an int comes back as a float that may well be equal.
        if isinstance(plain, type(decoded)) and bool(decoded == plain):
            return body
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        pass
    return None


def _file(path: Path, asset: str) -> Encoded:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file that exists"
        raise StorageError.of(
            "HR-S009",
            f"Asset '{asset}' returned the path {path}, which is {what}.",
            "Return the path of one file; put several files into an archive first.",
        )
    suffix = path.suffix[1:]
    if not (suffix.isascii() and suffix.isalnum() and len(suffix) <= _MAX_SUFFIX):
        suffix = SUFFIXES[BYTES]
    return Encoded(_FORMAT_OF_SUFFIX.get(suffix, BYTES), suffix, files.copy_of(path))


def _pickle(value: Any, asset: str) -> bytes:
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        raise StorageError.of(
            "HR-S003",
            f"Asset '{asset}' returned a {name}, which has no format of its own and can't be pickled: {error}.",
            "Return a table, dict, list, str, bytes or the Path of a file; or give the asset an io that stores this type.",
        ) from error
