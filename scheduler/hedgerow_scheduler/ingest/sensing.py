"""Reading what a sensor answered: the team's runner has judged it, and a stranger who wrote it is met all the same."""

from __future__ import annotations

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.bounds import MAX_RUN_TAGS, MAX_TAG_TEXT
from hedgerow.partitions.key_sets import is_dynamic_key
from hedgerow.protocol.sensing import (
    MAX_ANSWER_BYTES,
    MAX_CURSOR_BYTES,
    MAX_DEDUPE_KEY,
    MAX_RUNS,
    MAX_RUNS_WITH_KEYS,
    RequestedRun,
    SensorAnswer,
)
from hedgerow_scheduler.ingest.bounds import MAX_DEPTH, depth

_decoder = msgspec.json.Decoder(SensorAnswer)


def read_answer(place: str, result: bytes, is_probe: bool = False) -> SensorAnswer | Problem:
    """The answer that an evaluation of sensor `place` (`team/name`) gave, or HR-Q344 with what is wrong with it."""
    why = _oversize(result)
    if why is None:
        try:
            answer = _decoder.decode(result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = f"is none: {error}"
        else:
            why = _defect(answer) or ("asks for more than a probe may" if is_probe and _asks(answer) else None)
            if why is None:
                return answer
    remedy = "Use the same version of hedgerow in the team's environment as on the platform."
    return Problem("HR-Q344", f"The answer of sensor '{place}' {why}.", remedy)


def _asks(answer: SensorAnswer) -> bool:
    return bool(answer.runs or answer.keys or answer.cursor == "")


def _oversize(result: bytes) -> str | None:
    if len(result) > MAX_ANSWER_BYTES:
        return "is too large"
    return "is nested too deeply" if depth(result) > MAX_DEPTH else None


def _defect(answer: SensorAnswer) -> str | None:
    if answer.cursor is not None and len(answer.cursor.encode()) > MAX_CURSOR_BYTES:
        return "has too large a cursor"
    if len(answer.runs) > MAX_RUNS:
        return "asks for too many runs"
    if _has_nul(answer.cursor or ""):
        return "has a cursor that can't be stored"
    if answer.keys and len(answer.runs) > MAX_RUNS_WITH_KEYS:
        return "asks for too many runs beside changes of partitions"
    if not all(is_dynamic_key(key) for part in answer.keys for key in (*part.added, *part.removed)):
        return "names a partition that can't be one"
    return next((why for run in answer.runs if (why := _run_defect(run)) is not None), None)


def _run_defect(run: RequestedRun) -> str | None:
    if len(run.dedupe_key) > MAX_DEDUPE_KEY or _has_nul(run.dedupe_key):
        return "has a dedupe key that can't be stored"
    if len(run.tags) > MAX_RUN_TAGS or not all(
        0 < len(part) <= MAX_TAG_TEXT for tag in run.tags.items() for part in tag
    ):
        return "has tags that are too many, too long or empty"
    return None


def _has_nul(text: str) -> bool:
    return "\0" in text
