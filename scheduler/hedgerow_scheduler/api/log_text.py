"""What people see of a live tail: its entries in order, each once, and a line wherever some of the log is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hedgerow.protocol.logs import Gap, TailEntry, Why


class Shown(msgspec.Struct, frozen=True):
    """`text` is of the log's bytes from `begin` to `end`, which is in line `end_line` if that is known, but for `gaps`; it names these."""

    text: bytes
    begin: int
    end: int
    end_line: int | None
    gaps: tuple[Gap, ...]


class _Piece(msgspec.Struct, frozen=True):
    """Text that begins at byte `begin`, in line `line`, and what is missing just before it."""

    gaps: tuple[Gap, ...]
    begin: int
    line: int | None
    text: bytes


def show(entries: Iterable[TailEntry], offset: int, limit: int, *, whole: bool) -> Shown:
    """What a reader is shown who asks for what comes from byte `offset` on: of more than about `limit` bytes the newest.

    `whole` says that the stream holds no older entry which belongs to that.

    >>> entries = [TailEntry(8, b"four\\n", 3), TailEntry(13, b"five\\n", 4)]
    >>> print(show(entries, 0, 100, whole=True).text.decode(), end="")
    … 3 lines dropped here: the live tail holds them no longer
    four
    five
    """
    pieces = _pieces(entries, offset, "cap" if whole else "answer")
    first, size = pieces[0] if pieces else None, sum(len(each.text) for each in pieces)
    kept = 0
    while size > limit and kept < len(pieces) - 1:
        size -= len(pieces[kept].text)
        kept += 1
    if kept and first is not None:
        head = pieces[kept]
        begin, line, before = (first.begin, first.line, first.gaps) if whole else (offset, nothing(offset).end_line, ())
        gap = Gap("answer", _lines(line, head.line), head.begin - begin)
        pieces = [msgspec.structs.replace(head, gaps=(*before, gap)), *pieces[kept + 1 :]]
    return _joined(pieces, offset)


def nothing(offset: int) -> Shown:
    """What is shown to a reader who has seen everything before byte `offset` when there is no more."""
    return Shown(b"", offset, offset, 0 if offset == 0 else None, ())


def ended(shown: Shown, whole_log: Gap) -> Shown:
    """The same, and then what is missing to the end of a log of which nothing was kept: as much as `whole_log` says.

    >>> print(ended(Shown(b"one\\n", 0, 4, 1, ()), Gap("storage", 3, 14)).text.decode(), end="")
    one
    … 2 lines dropped here: storage did not take the log
    """
    end, line = whole_log.size_bytes, whole_log.lines
    if 0 < end <= shown.end:
        return shown
    gap = Gap(whole_log.why, _lines(shown.end_line, line) if line else 0, max(0, end - shown.end))
    return Shown(
        _with_marker(shown.text, gap), shown.begin, max(end, shown.end), line or shown.end_line, (*shown.gaps, gap)
    )


def _pieces(entries: Iterable[TailEntry], offset: int, why: Why) -> list[_Piece]:
    pieces: list[_Piece] = []
    position, line = offset, nothing(offset).end_line
    for entry in entries:
        # An entry may have been sent twice: the worker can't know whether a broker that does not answer has it.
        if entry.end > position:
            cut = max(0, position - entry.offset)
            at = None if entry.line is None else entry.line + entry.text.count(b"\n", 0, cut)
            pieces.append(_Piece(_missing(position, line, entry, why), entry.offset + cut, at, entry.text[cut:]))
            why = "forgotten"
        if entry.end >= position:
            position, line = entry.end, entry.end_line
    return pieces


def _missing(position: int, line: int | None, entry: TailEntry, why: Why) -> tuple[Gap, ...]:
    """What is missing between what was shown and an entry: what its worker skipped, and before that what is missing because of `why`."""
    size = entry.offset - position
    if size <= 0:
        return ()
    lines = _lines(line, entry.line)
    skipped = entry.skipped
    if skipped is None:
        return (Gap(why, lines, size),)
    rest = size - skipped.size_bytes
    if rest < 0:
        return (Gap(skipped.why, lines, size),)
    return (*((Gap(why, max(0, lines - skipped.lines), rest),) if rest else ()), skipped)


def _joined(pieces: Sequence[_Piece], offset: int) -> Shown:
    if not pieces:
        return nothing(offset)
    text = b""
    for piece in pieces:
        for gap in piece.gaps:
            text = _with_marker(text, gap)
        text += piece.text
    last = pieces[-1]
    end_line = None if last.line is None else last.line + last.text.count(b"\n")
    gaps = tuple(gap for piece in pieces for gap in piece.gaps)
    return Shown(text, pieces[0].begin, last.begin + len(last.text), end_line, gaps)


def _with_marker(text: bytes, gap: Gap) -> bytes:
    return text + (b"\n" if text and not text.endswith(b"\n") else b"") + gap.marker


def _lines(first: int | None, last: int | None) -> int:
    """How many lines are between two places; 0 when that is not known."""
    return 0 if first is None or last is None else max(0, last - first)
