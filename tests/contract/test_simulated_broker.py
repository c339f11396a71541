"""The broker of the simulation answers as the real one does, whatever it is asked."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from simulation.broker import SimBroker
from simulation.clock import VirtualClock

from hedgerow_workers.broker import Command, Line, connect

pytestmark = pytest.mark.servers

_ID = re.compile(rb"\d{13}-\d+")


def _drawn(rng: Random, ids: dict[str, list[str]]) -> Command:
    key = rng.choice(("one", "two"))
    field, value = rng.choice(("x", "y")), rng.choice(("1", "2", "3"))
    after = rng.choice(["0-0", *ids[f"s:{key}"]])
    options = rng.choice(((), ("NX",), ("NX", "GET"), ("GET",), ("PX", "100000", "NX", "GET"), ("PX", "100000")))
    return rng.choice(
        (
            ("XADD", f"s:{key}", "*", "b", str(rng.getrandbits(32))),
            ("XADD", f"s:{key}", "*", b"b", b"%d" % rng.getrandbits(32)),
            ("XREAD", "COUNT", rng.choice(("1", "3", "100")), "STREAMS", f"s:{key}", "s:one", after, "0-0"),
            ("XLEN", f"s:{key}"),
            ("XTRIM", f"s:{key}", "MINID", after),
            ("SET", f"k:{key}", value, *options),
            ("GET", f"k:{key}"),
            ("HSET", f"h:{key}", field, value),
            ("HGET", f"h:{key}", field),
            ("LPUSH", f"q:{key}", value, "9"),
            ("BLMPOP", "0.001", "2", f"q:{key}", "q:one", "RIGHT", "COUNT", rng.choice(("1", "2", "5"))),
        )
    )


def _simulated(command: Command) -> Command:
    """The same for the simulation, which leaves out words that never vary."""
    words: list[Any] = list(command)
    match words[0]:
        case "XREAD":
            return ("XREAD", words[2], *words[4:])
        case "XTRIM":
            return ("XTRIM", words[1], words[3])
        case "BLMPOP":
            return ("BLMPOP", words[-1], *words[3:5])
    return command


def _plain(answer: object) -> object:
    """An answer without the ids of entries, and with lists for whatever is a sequence."""
    if isinstance(answer, bytes) and _ID.fullmatch(answer):
        return "an id"
    if isinstance(answer, list | tuple):
        return [_plain(each) for each in answer]
    if isinstance(answer, dict):
        return [_plain(each) for pair in answer.items() for each in pair]
    return answer


@pytest.mark.parametrize("seed", range(8))
def test_both_answer_the_same(seed: int, broker_url: str) -> None:
    rng, clock = Random(seed), VirtualClock()
    line, link = Line(connect(broker_url)), SimBroker(clock, rng).link()
    # Each side is asked about its own ids; the same draw picks the same place.
    real_ids: dict[str, list[str]] = {"s:one": [], "s:two": []}
    simulated_ids: dict[str, list[str]] = {"s:one": [], "s:two": []}
    for _ in range(400):
        clock.advance(rng.choice((0.0, 0.001, 0.5)))
        draw = rng.getrandbits(32)
        command = _drawn(Random(draw), real_ids)
        (real,) = line.ask([command])
        (simulated,) = link.ask([_simulated(_drawn(Random(draw), simulated_ids))])
        assert _plain(real) == _plain(simulated), command
        if command[0] == "XADD":
            for answer, ids in ((real, real_ids), (simulated, simulated_ids)):
                ids[str(command[1])].append(answer.decode())  # type: ignore[attr-defined]
    for ids in (real_ids, simulated_ids):
        assert all(given == sorted(given, key=_order) for given in ids.values())


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))
