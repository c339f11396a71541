"""Loading stored values as the type that the reader's annotation asks for."""

from __future__ import annotations

import dataclasses
import pickle
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from hedgerow.errors import StorageError
from hedgerow.io import IO
from hedgerow.protocol.references import Reference
from hedgerow.storage import files, frames
from hedgerow.storage.formats import BYTES, JSON, PARQUET, PICKLE, TEXT
from hedgerow.storage.writing import CUSTOM_PREFIX

_EMPTY = (None, Any, object)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads which asset: `asset` for errors, whether it is the reader's own team's (`same_team`: only then is a pickle
    opened, since opening one runs its author's code), the location's ios, and a folder for local copies."""

    asset: str
    same_team: bool = False
    ios: Mapping[str, IO] = field(default_factory=dict)
    scratch: files.Scratch = field(default_factory=files.Scratch)


def load(references: Sequence[Reference], annotation: Any, reader: Reader, *, several: bool = False) -> Any:
    """The value of `references` as `annotation` asks (None: the natural type of the format, see docs/reference/storage.md).

    `several` says that the reader's mapping selects any number of partitions, even if it is one now: a table annotation
    receives all rows in one table, `list[X]` a list and `dict[str, X]` a dict from partition key, in the order of
    `references`. Without `several` there is at most one reference; none gives None. A `dict` of tables is always by
    partition. Raises `StorageError` HR-S002, 004, 005, 006, 008, 010, 011, 013.
    """
    wanted = _without_none(annotation)
    item = _item_of_dict(wanted)
    if not several and len(references) <= 1 and not (item is not None and frames.kind_of(item) is not None):
        return _one(references[0], wanted, reader) if references else None
    if get_origin(wanted) is dict or wanted is dict:
        return {
            ref.partition or "": value for ref, value in zip(references, _each(references, item, reader), strict=True)
        }
    if get_origin(wanted) is list or wanted is list:
        return _each(references, (get_args(wanted) or (None,))[0], reader)
    if not references:
        return [] if wanted in _EMPTY else None
    if wanted in _EMPTY:
        values = _each(references, None, reader)
        return frames.concatenate(values) if all(frames.kind_of(type(value)) for value in values) else values
    if frames.kind_of(wanted) is None:
        raise StorageError.of(
            "HR-S008",
            f"Several partitions of '{reader.asset}' can't be put together as one {_name(wanted)}.",
            f"Annotate the parameter with list[{_name(wanted)}] or dict[str, {_name(wanted)}].",
        )
    return frames.concatenate(_each(references, wanted, reader))


def _each(references: Sequence[Reference], annotation: Any, reader: Reader) -> list[Any]:
    wanted = _without_none(annotation)
    if len(references) > 1 and wanted is not Path:
        remote = [ref for ref in references if _is_remote(ref)]
        fetched = dict(zip((ref.uri for ref in remote), files.read_all([ref.uri for ref in remote]), strict=True))
        return [_one(ref, wanted, reader, fetched.get(ref.uri)) for ref in references]
    return [_one(ref, wanted, reader) for ref in references]


def _is_remote(reference: Reference) -> bool:
    return not reference.format.startswith(CUSTOM_PREFIX) and files.local_path(reference.uri) is None


def _one(reference: Reference, wanted: Any, reader: Reader, fetched: bytes | None = None) -> Any:
    if reference.format.startswith(CUSTOM_PREFIX):
        return _load_with_io(reference, wanted, reader)
    if reference.format == PICKLE and not reader.same_team:
        raise StorageError.of(
            "HR-S004",
            f"Asset '{reader.asset}' is another team's and stored as a pickle, which only its own team may open.",
            "Ask the owning team to return a table, dict, list, str, bytes or Path; opening a pickle runs its author's code.",
        )
    if wanted is Path:
        return Path(files.local_copy(reference.uri, reader.scratch))
    if reference.format == PARQUET and wanted is not bytes:
        kind = frames.natural_kind() if wanted in _EMPTY else frames.kind_of(wanted)
        if kind is None:
            raise _wrong_type(reference, wanted, reader, "a table type of pandas, polars or pyarrow, bytes or Path")
        if fetched is None and files.local_path(reference.uri) is None:
            fetched = files.read(reference.uri)
        source = fetched if fetched is not None else files.local_copy(reference.uri, reader.scratch)
        return frames.read(kind, source, reference.uri)
    data = fetched if fetched is not None else files.read(reference.uri)
    return data if wanted is bytes else _decode(reference, data, wanted, reader)


def _decode(reference: Reference, data: bytes, wanted: Any, reader: Reader) -> Any:
    try:
        if reference.format == JSON:
            return _as_json_type(reference, msgspec.json.decode(data), wanted, reader)
        if reference.format == PICKLE:
            return pickle.loads(data)
        if reference.format == TEXT or (reference.format == BYTES and wanted is str):
            if wanted in _EMPTY or wanted is str:
                return data.decode()
            raise _wrong_type(reference, wanted, reader, "str, bytes or Path")
        if reference.format == BYTES:
            if wanted in _EMPTY:
                return data
            raise _wrong_type(reference, wanted, reader, "bytes, str or Path")
    except StorageError:
        raise
    except Exception as error:
        raise StorageError.of(
            "HR-S013",
            f"{reference.uri} can't be read as {reference.format}: {type(error).__name__}: {error}.",
            "Materialize the upstream asset again; a pickle also needs the same versions of its libraries.",
        ) from error
    raise _wrong_type(reference, wanted, reader, f"nothing: this version does not know the format '{reference.format}'")


def _as_json_type(reference: Reference, value: Any, wanted: Any, reader: Reader) -> Any:
    plain = get_origin(wanted) or wanted
    if wanted in _EMPTY or not isinstance(plain, type):
        return value
    if dataclasses.is_dataclass(plain) or issubclass(plain, msgspec.Struct):
        return msgspec.convert(value, wanted)
    if plain is float and type(value) is int:
        return float(value)
    if plain in (dict, list, int, float, bool, str) and type(value) is not plain:
        raise _wrong_type(reference, wanted, reader, f"{type(value).__name__}, bytes or Path")
    if frames.kind_of(plain) is not None:
        raise _wrong_type(reference, wanted, reader, f"{type(value).__name__}, bytes or Path")
    return value


def _load_with_io(reference: Reference, wanted: Any, reader: Reader) -> Any:
    name = reference.format[len(CUSTOM_PREFIX) :]
    io = reader.ios.get(name)
    if io is None:
        known = ", ".join(sorted(reader.ios)) or "none"
        raise StorageError.of(
            "HR-S011",
            f"Asset '{reader.asset}' was stored by the io '{name}', which this location does not define (it has: {known}).",
            f"Define an io named '{name}' whose load() can read it, or depend on the asset by deps= instead of a parameter.",
        )
    try:
        return io.load(reference, wanted)
    except Exception as error:
        raise StorageError.of(
            "HR-S010",
            f"The io '{name}' failed to load asset '{reader.asset}': {type(error).__name__}: {error}.",
            "The traceback shows where in the io; the step can be tried again.",
        ) from error


def _without_none(annotation: Any) -> Any:
    """`X` of `X | None` and of `Annotated[X, ...]`; any other union may be anything, hence None."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return members[0] if len(members) == 1 else None
    return annotation


def _item_of_dict(annotation: Any) -> Any:
    arguments = get_args(annotation)
    return arguments[1] if get_origin(annotation) is dict and len(arguments) == 2 else None


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)


def _wrong_type(reference: Reference, wanted: Any, reader: Reader, possible: str) -> Exception:
    return StorageError.of(
        "HR-S005",
        f"Asset '{reader.asset}' is stored as {reference.format} and can't be loaded as {_name(wanted)}.",
        f"Annotate the parameter with {possible}.",
    )
