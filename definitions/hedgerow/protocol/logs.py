"""The log of an attempt on its way to people: entries of its live tail, and what is said where lines are missing.

The runner, the worker and the API may each have to leave lines out. Whoever does counts them, and what is shown has a line in
their place: nothing is missing in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

Why: TypeAlias = Literal[
    "cap",  # the stream of the live tail is capped, or was lost whole
    "broker",  # the worker passed over them: it could not reach the broker
    "rate",  # the worker passed over them: more was printed than is sent
    "forgotten",  # the broker took them and lost them
    "answer",  # the API left them out of a long answer
    "unwritten",  # the runner could not write them
    "unopened",  # the runner could not open the log file
    "storage",  # storage did not take the log
    "late",  # storage has not got the log, or not yet
    "lost",  # the worker was lost with what it had
]

_BECAUSE: dict[str, str] = {
    "cap": "the live tail holds them no longer",
    "broker": "the broker could not be reached",
    "rate": "more is printed than is shown live",
    "forgotten": "the broker has lost them",
    "answer": "one answer holds no more",
    "unwritten": "the log file did not take them",
    "unopened": "the log file could not be opened",
    "storage": "storage did not take the log",
    "late": "storage has not got the log, or not yet",
    "lost": "contact with the worker was lost",
}
_PREFIX = "dropped:"
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


class Gap(msgspec.Struct, frozen=True):
    """A place where lines of a log are missing. `lines` 0: parts of a line, or nobody knows how many; `size_bytes` 0: nor how much."""

    why: Why
    lines: int = 0
    size_bytes: int = 0

    def __str__(self) -> str:
        """The line that stands in their place, without its end.

        >>> print(Gap("broker", 1234, 56789), Gap("rate", 0, 70_000), Gap("lost"), sep="\\n")
        … 1,234 lines dropped here: the broker could not be reached
        … 70,000 bytes dropped here: more is printed than is shown live
        … lines may be missing here: contact with the worker was lost
        """
        if self.lines:
            what = f"{self.lines:,} line{'' if self.lines == 1 else 's'} dropped here"
        elif self.size_bytes:
            what = f"{self.size_bytes:,} bytes dropped here"
        else:
            what = "lines may be missing here"
        return f"… {what}: {_BECAUSE[self.why]}"

    @property
    def marker(self) -> bytes:
        """The same as it is written into a log."""
        return f"{self}\n".encode()

    def encode(self) -> str:
        """As it travels: in the field `log` of an attempt's last event instead of a URL, and in entries of the live tail.

        >>> Gap("storage", 12, 340).encode()
        'dropped:storage:12:340'
        """
        return f"{_PREFIX}{self.why}:{self.lines}:{self.size_bytes}"


def decode_gap(text: str) -> Gap | None:
    """What `Gap.encode` made; None for anything else, such as the URL of a log.

    >>> decode_gap("dropped:storage:12:340"), decode_gap("s3://lake/_logs/a.log"), decode_gap("dropped:joke:1:1")
    (Gap(why='storage', lines=12, size_bytes=340), None, None)
    """
    if not text.startswith(_PREFIX):
        return None
    why, *numbers = text.removeprefix(_PREFIX).split(":")
    if (
        why not in get_args(Why)
        or len(numbers) != 2
        or not all(each.isdecimal() and len(each) < 19 for each in numbers)
    ):
        return None
    return Gap(why, int(numbers[0]), int(numbers[1]))  # type: ignore[arg-type]


class TailEntry(msgspec.Struct, frozen=True):
    """Text of a log from byte `offset` on, which is in its line `line`, from 0; None: the worker that sent it did not say.

    `skipped` is what the worker passed over just before it.
    """

    offset: int
    text: bytes
    line: int | None = None
    skipped: Gap | None = None

    @property
    def end(self) -> int:
        """The byte after it."""
        return self.offset + len(self.text)

    @property
    def end_line(self) -> int | None:
        """The line, from 0, in which the byte after it is."""
        return None if self.line is None else self.line + self.text.count(b"\n")

    def fields(self) -> dict[bytes, bytes]:
        """The fields of its entry in the stream.

        >>> TailEntry(20, b"three\\n", 2).fields()
        {b'b': b'three\\n', b'o': b'20', b'n': b'2'}
        """
        fields = {_TEXT: self.text, _OFFSET: b"%d" % self.offset}
        if self.line is not None:
            fields[_LINE] = b"%d" % self.line
        if self.skipped is not None:
            fields[_SKIPPED] = self.skipped.encode().encode()
        return fields


_TEXT, _OFFSET, _LINE, _SKIPPED = b"b", b"o", b"n", b"d"


def decode_tail_entry(fields: Mapping[bytes, bytes]) -> TailEntry:
    """What `TailEntry.fields` made; ValueError when its numbers are none.

    >>> entry = TailEntry(20, b"three\\n", 2, Gap("rate", 1, 10))
    >>> decode_tail_entry(entry.fields()) == entry
    True
    """
    line = fields.get(_LINE)
    return TailEntry(
        int(fields.get(_OFFSET, b"0")),
        fields.get(_TEXT, b""),
        int(line) if line is not None else None,
        decode_gap(fields.get(_SKIPPED, b"").decode("utf-8", "replace")),
    )
