"""Whether a parameter receives one value or many partitions' values depends on what its mapping can select."""

from __future__ import annotations

import pytest

from hedgerow.partitions.model import All, ByDim, Keys, Last, Mapping, Same, Window
from hedgerow.protocol.orders import Input
from hedgerow.protocol.references import Reference
from hedgerow.runner.inputs import is_several


def given(*partitions: str | None, missing: tuple[str, ...] = ()) -> Input:
    return Input("a", tuple(Reference("x", "json", partition) for partition in partitions), missing)


NOTHING = given()
PLAIN = given(None)
PLAIN_MISSING = given(missing=("",))
ONE = given("2024-01-01")
ONE_MISSING = given(missing=("2024-01-01",))
TWO = given("2024-01-01", "2024-01-02")
HALF = given("2024-01-01", missing=("2024-01-02",))


@pytest.mark.parametrize(
    ("mapping", "partition", "inputs", "expected"),
    [
        # Nothing to choose from: the upstream has no partitions.
        (None, None, PLAIN, False),
        (None, "2024-01-01", PLAIN, False),
        (Same(), "2024-01-01", PLAIN, False),
        (All(), None, PLAIN, False),
        (None, None, PLAIN_MISSING, False),
        (All(), None, PLAIN_MISSING, False),
        # Everything, even if it is one or none today.
        (None, None, ONE, True),
        (None, None, ONE_MISSING, True),
        (None, None, NOTHING, True),
        (All(), "x", ONE, True),
        (All(), "x", NOTHING, True),
        # The partition of equal key, or those that overlap.
        (None, "2024-01-01", ONE, False),
        (Same(), "2024-01-01", ONE, False),
        (Same(), "2024-01-01", ONE_MISSING, False),
        (None, "2024-01", TWO, True),
        (Same(), "2024-01", HALF, True),
        # By what the mapping can select, not by what is there.
        (Last(), "x", ONE, False),
        (Last(3), "x", ONE, True),
        (Last(3), "x", NOTHING, True),
        (Window(-1, -1), "x", ONE, False),
        (Window(-2, 0), "x", ONE, True),
        (Keys((("x", ("a",)),)), "x", ONE, False),
        (Keys((("x", ("a",)), ("y", ("a", "b")))), "x", ONE, True),
        (ByDim((("time", Same()),)), "x", ONE, False),
        (ByDim((("time", Same()),)), "x", TWO, True),
        (ByDim((("time", Same()), ("country", All()))), "x", ONE, True),
    ],
)
def test_one_value_or_several(mapping: Mapping | None, partition: str | None, inputs: Input, expected: bool) -> None:
    assert is_several(mapping, partition, inputs) is expected
