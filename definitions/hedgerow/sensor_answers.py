"""Making a sensor's return uniform: whatever it is, it becomes an answer that can be recorded, or is refused as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec

from hedgerow.assets import AssetDefinition
from hedgerow.errors import ExecutionError, Problem
from hedgerow.jobs import JobDefinition
from hedgerow.key_changes import KeyChanges
from hedgerow.manifest.bounds import MAX_RUN_TAGS, MAX_TAG_TEXT
from hedgerow.metadata import MetadataError, normalise
from hedgerow.protocol.sensing import (
    MAX_ANSWER_BYTES,
    MAX_CURSOR_BYTES,
    MAX_DEDUPE_KEY,
    MAX_RUNS,
    MAX_RUNS_WITH_KEYS,
    ChangedKeys,
    RequestedRun,
    SensorAnswer,
)
from hedgerow.result import Skip
from hedgerow.sensing import RunRequest, SensorResult
from hedgerow.sizes import size_text

MAX_DATA_VERSION = 255
MAY_RETURN = "Return or yield hr.RunRequest, or return hr.SensorResult(runs=[...], cursor=...), hr.skip(why) or None."
FEWER = "Ask for fewer, and let the cursor say where the next evaluation goes on."


def answer_of(what: str, returned: object, moved: str | None = None, changed: KeyChanges | None = None) -> SensorAnswer:
    """The answer that a sensor's return stands for; `moved` is the cursor given to the context, `changed` the keys of partitions.

    A result may be None, `hr.skip`, a run request, a result, or several of these, of which the last cursor counts.
    ExecutionError: HR-X230 (neither of these), HR-X231 (the cursor), HR-X232 (too many or too large), HR-X233 (a request).
    """
    runs: list[RequestedRun] = []
    skipped, cursors = "", [moved]
    for item in _items(returned):
        if isinstance(item, Skip):
            skipped = skipped or _text(what, "why of hr.skip", item.why)
        elif isinstance(item, SensorResult):
            skipped = skipped or _text(what, "skipped", item.skipped)
            runs += [_run(what, one, len(runs) + number) for number, one in enumerate(_listed(what, item.runs), 1)]
            cursors.append(item.cursor)
        else:
            runs.append(_run(what, item, len(runs) + 1))
        if len(runs) > MAX_RUNS:
            raise _refused("HR-X232", f"{what} asks for more than {MAX_RUNS:,} runs in one evaluation.", FEWER)
    cursor = next((one for one in reversed(cursors) if one is not None), None)
    keys = tuple(ChangedKeys(*part) for part in changed.parts()) if changed is not None else ()
    if keys and len(runs) > MAX_RUNS_WITH_KEYS:
        says = f"{what} asks for more than {MAX_RUNS_WITH_KEYS} runs together with changes of partitions."
        raise _refused(
            "HR-X232", says, "Add the partitions in one evaluation and launch their runs over the next ones."
        )
    answer = SensorAnswer(tuple(runs), _cursor(what, cursor), "" if runs else skipped, keys)
    if (size := len(msgspec.json.encode(answer))) > MAX_ANSWER_BYTES:
        says = f"{what} answers with {size_text(size)}; it may answer with {size_text(MAX_ANSWER_BYTES)}."
        raise _refused("HR-X232", says, FEWER)
    return answer


def observation_of(what: str, returned: object) -> SensorAnswer:
    """The answer that the return of a probe stands for: the data version it saw, or nothing. ExecutionError HR-X230."""
    if returned is None:
        return SensorAnswer()
    if isinstance(returned, Skip):
        return SensorAnswer(skipped=_text(what, "why of hr.skip", returned.why))
    if not isinstance(returned, str) or not 0 < len(returned) <= MAX_DATA_VERSION or not _can_be_kept(returned):
        remedy = f"Return the data version as a text of 1 to {MAX_DATA_VERSION} characters, or hr.skip(why)."
        raise _refused("HR-X230", f"{what} returned {_shown(returned)}, a {type(returned).__name__}.", remedy)
    return SensorAnswer(cursor=returned)


def _items(returned: object) -> Iterable[object]:
    if returned is None:
        return ()
    if isinstance(returned, list | tuple):
        return returned
    if hasattr(returned, "__next__"):  # what was yielded, which need not end
        return islice(returned, MAX_RUNS + 2)  # type: ignore[call-overload, no-any-return]
    return (returned,)


def _listed(what: str, runs: object) -> Iterable[object]:
    if isinstance(runs, str | bytes | Mapping) or not isinstance(runs, Iterable):
        raise _refused("HR-X230", f"{what} returned runs={_shown(runs)}.", "Give a list of hr.RunRequest.")
    return islice(runs, MAX_RUNS + 1)


def _run(what: str, request: object, number: int) -> RequestedRun:
    if not isinstance(request, RunRequest):
        raise _refused("HR-X230", f"{what} returned {_shown(request)}, a {type(request).__name__}.", MAY_RETURN)
    it = f"{what}, run request {number}"
    partitions = _texts(it, "partitions", request.partitions)
    if request.partition is not None:
        if partitions:
            raise _refused("HR-X233", f"{it} has both partition and partitions.", "Give one of them.")
        partitions = (_text(it, "partition", request.partition),)
    key = "" if request.dedupe_key is None else _text(it, "dedupe_key", request.dedupe_key)
    if request.dedupe_key is not None and not 0 < len(key) <= MAX_DEDUPE_KEY:
        remedy = f"Give 1 to {MAX_DEDUPE_KEY} characters, such as a file's name or the digest of what is new."
        raise _refused("HR-X233", f"{it} has a dedupe_key of {len(key):,} characters.", remedy)
    return RequestedRun(_selection(it, request), partitions, _config(it, request.config), _tags(it, request.tags), key)


def _selection(it: str, request: RunRequest) -> tuple[str, ...]:
    named = [
        one.keys if isinstance(one, AssetDefinition) else (one,) for one in _sequence(it, "assets", request.assets)
    ]
    assets = _texts(it, "assets", [key for keys in named for key in keys])
    chosen = request.selection
    if chosen is None:
        return assets
    if assets:
        raise _refused("HR-X233", f"{it} has both assets and selection.", "Give one of them.")
    if isinstance(chosen, JobDefinition):
        return (f"job:{chosen.name}",)
    if isinstance(chosen, AssetDefinition):
        return tuple(chosen.keys)
    if not _text(it, "selection", chosen).strip():
        raise _refused("HR-X233", f"{it} has an empty selection.", 'Give a job, or a text such as "group:sales".')
    return (chosen,)


def _config(it: str, config: object) -> dict[str, Any]:
    try:
        return normalise(config)  # type: ignore[arg-type]
    except MetadataError as error:
        says = str(error).removeprefix("metadata ")
        remedy = "Give a small mapping from asset keys to config."
        raise _refused("HR-X233", f"{it}: config {says}.", remedy) from error


def _tags(it: str, tags: object) -> dict[str, str]:
    given: Mapping[object, object] = tags if isinstance(tags, Mapping) and len(tags) <= MAX_RUN_TAGS else {None: None}
    if not all(isinstance(part, str) and 0 < len(part) <= MAX_TAG_TEXT for tag in given.items() for part in tag):
        remedy = f"Give a mapping of at most {MAX_RUN_TAGS} tags, names and values of 1 to {MAX_TAG_TEXT} characters."
        raise _refused("HR-X233", f"{it} has tags={_shown(tags)}.", remedy)
    return {_text(it, "tags", name): _text(it, "tags", value) for name, value in given.items()}


def _cursor(what: str, cursor: object) -> str | None:
    if cursor is None:
        return None
    if not isinstance(cursor, str):
        remedy = "A cursor is a text: write str(...) or json.dumps(...)."
        raise _refused("HR-X231", f"{what} returned the cursor {_shown(cursor)}, a {type(cursor).__name__}.", remedy)
    size = len(cursor.encode("utf-8", "surrogatepass"))
    if size > MAX_CURSOR_BYTES:
        remedy = "Keep only where to go on: a time, an id or a name. What was seen belongs into dedupe keys."
        says = f"{what} returned a cursor of {size_text(size)}; it may have {size_text(MAX_CURSOR_BYTES)}."
        raise _refused("HR-X231", says, remedy)
    if not _can_be_kept(cursor):
        raise _refused("HR-X231", f"{what} returned a cursor with characters that no database holds.", PLAIN)
    return cursor


PLAIN = "Leave out NUL and halves of surrogate pairs; bytes may be written as hexadecimal digits."


def _sequence(it: str, label: str, value: object) -> list[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise _refused("HR-X233", f"{it} has {label}={_shown(value)}.", 'Give a list, such as ["a", "b"].')


def _texts(it: str, label: str, value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(it, label, one) for one in _sequence(it, label, value)))


def _text(it: str, label: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refused("HR-X233", f"{it}: {label} holds {_shown(value)}, a {type(value).__name__}.", "Give a text.")
    if not _can_be_kept(value):
        raise _refused("HR-X233", f"{it}: {label} holds characters that no database holds.", PLAIN)
    return value


def _can_be_kept(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _refused(code: str, message: str, remedy: str) -> ExecutionError:
    return ExecutionError(Problem(code, message, remedy))
