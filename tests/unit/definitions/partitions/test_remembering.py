from collections.abc import Callable

from hedgerow.partitions.model import StaticPartitions
from hedgerow.partitions.remembering import REMEMBERED, remembered


def counting() -> tuple[list[StaticPartitions], Callable[[StaticPartitions], int]]:
    asked: list[StaticPartitions] = []

    @remembered
    def size(partitions: StaticPartitions) -> int:
        """How many keys."""
        asked.append(partitions)
        return len(partitions.keys)

    return asked, size


def test_the_same_object_is_looked_at_once_and_an_equal_one_for_itself() -> None:
    asked, size = counting()
    one, equal = StaticPartitions(("a", "b")), StaticPartitions(("a", "b"))
    assert [size(one), size(one), size(equal), size(one)] == [2, 2, 2, 2]
    assert [each is one for each in asked] == [True, False]


def test_an_object_that_no_one_else_holds_is_never_taken_for_another() -> None:
    _, size = counting()
    for keys in range(10 * REMEMBERED):
        assert size(StaticPartitions(tuple(map(str, range(keys % 7))))) == keys % 7
