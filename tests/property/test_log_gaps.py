"""Whatever a live tail loses on its way, what is shown and what is counted as missing make up the whole log."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.protocol.logs import Gap, TailEntry, decode_gap, decode_tail_entry
from hedgerow_scheduler.api.log_text import Shown, ended, show
from hedgerow_workers import log_tail
from hedgerow_workers.log_tail import Tail

# What happens next: lines are printed; the worker sends, and the broker takes it, takes it twice, refuses it, or takes it and then
# forgets it; the broker trims the oldest entry; the reader looks, and is answered with so many bytes at most.
PRINTED = st.tuples(st.just("print"), st.integers(1, 30))
SENT = st.tuples(st.just("send"), st.sampled_from(["taken", "taken", "twice", "refused", "forgotten"]))
TRIMMED = st.tuples(st.just("trim"), st.just(0))
LOOKED = st.tuples(st.just("look"), st.sampled_from([20, 100, 10_000]))
HISTORIES = st.lists(st.one_of(PRINTED, SENT, SENT, TRIMMED, LOOKED), max_size=60)


class World:
    """A log, its tail, what the broker has of it, and a reader who goes on where he stopped."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.log.touch()
        self.tail = Tail(log)
        self.stream: list[TailEntry] = []
        self.printed = 0
        self.seen = 0
        self.dropped = 0

    def print(self, count: int) -> None:
        with self.log.open("a") as file:
            for _ in range(count):
                file.write(f"{self.printed} {'x' * (self.printed * 7 % 25)}\n")
                self.printed += 1

    def send(self, how: str) -> None:
        entry = self.tail.next(self.drop)
        if entry is None:
            return
        if how == "refused":
            self.tail.broker_was_away = True
            return
        assert decode_tail_entry(entry.fields()) == entry
        self.stream += [entry] * {"taken": 1, "twice": 2, "forgotten": 0}[how]
        self.tail.sent(entry)

    def trim(self, _: int) -> None:
        del self.stream[:1]

    def look(self, limit: int) -> None:
        shown = show(self.stream, self.seen, limit, whole=True)
        self.judge(shown, self.seen)
        self.seen = shown.end

    def judge(self, shown: Shown, offset: int) -> None:
        """Every line from byte `offset` to the end of what is shown is shown, or counted as missing at its place."""
        whole = self.log.read_bytes()
        number, size, gaps = whole[:offset].count(b"\n"), 0, list(shown.gaps)
        for line in shown.text.splitlines(keepends=True):
            if gaps and line == gaps[0].marker:
                gap = gaps.pop(0)
                size += gap.size_bytes
                number = whole[: offset + size].count(b"\n")
                assert gap.lines in (0, whole[offset + size - gap.size_bytes : offset + size].count(b"\n"))
                assert gap.lines or offset
            else:
                assert line.startswith(b"%d " % number)
                size += len(line)
                number += 1
        assert gaps == []
        assert offset + size == shown.end
        assert shown.end_line in (number, None)

    def drop(self, why: str, lines: int) -> None:
        assert why in ("broker", "rate")
        self.dropped += lines


@given(HISTORIES)
def test_every_line_is_shown_or_counted_where_it_is_missing(history: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_tail, "CHUNK_BYTES", 40)
        patch.setattr(log_tail, "BEHIND_BYTES", 100)
        world = World(Path(folder) / "log")
        for what, how in history:
            getattr(world, what)(how)
        world.look(10_000)
        fresh = show(world.stream, 0, 10_000, whole=True)
        world.judge(fresh, 0)
        skipped = sum(gap.lines for gap in fresh.gaps if gap.why in ("broker", "rate"))
        assert skipped <= world.dropped

        # Nothing of it could be kept: what the tail does not have is missing at its end.
        whole = world.log.read_bytes()
        if whole:
            world.judge(ended(fresh, Gap("storage", world.printed, len(whole))), 0)


@given(st.sampled_from(["cap", "broker", "storage"]), st.integers(0, 10**12), st.integers(0, 10**15))
def test_a_gap_travels_in_the_place_of_a_url(why: str, lines: int, size: int) -> None:
    gap = Gap(why, lines, size)  # type: ignore[arg-type]
    assert decode_gap(gap.encode()) == gap


@given(st.text())
def test_no_other_text_is_taken_for_a_gap(text: str) -> None:
    assert decode_gap(text) is None
    gap = decode_gap(f"dropped:{text}")
    assert gap is None or gap.encode() == f"dropped:{text}"
