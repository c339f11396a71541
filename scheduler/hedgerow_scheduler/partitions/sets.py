"""Sets of numbers taken apart and put together: runs, slices of equal width, and one set placed many times.

Every set that is given is only read, so that callers may hold on to theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyroaring import BitMap


def runs(of: BitMap) -> Iterator[tuple[int, int]]:
    """The runs of consecutive numbers, each as its first and its last, in order."""
    if not of:
        return
    first, last = of.min(), of.max()
    if len(of) == last - first + 1:
        yield first, last
        return
    gaps = of.flip(first, last + 2)  # so that the number after the last is a gap as well
    while True:
        after = gaps.next_set_bit(first)
        yield first, after - 1
        if after > last:
            return
        first = of.next_set_bit(after)


def slices(
    of: BitMap, width: int, alike_until: Callable[[int], int] | None = None
) -> Iterator[tuple[int, int, BitMap]]:
    """The set cut into slices of `width` numbers: the first and last slice of a run of full ones (or twice the same one), and what each holds, counted from its beginning.

    Empty slices are left out. Slices that are not full are merged with those after it up to the one that `alike_until` tells.
    """
    if not of:
        return
    at, last = of.min(), of.max()
    gaps = of.flip(at, last + 2)
    while True:
        number = at // width
        begin = number * width
        full_until = gaps.next_set_bit(at) // width
        if at == begin and full_until > number:
            yield number, full_until - 1, BitMap(range(width))
            following = full_until * width
        else:
            end = alike_until(number) if alike_until is not None else number
            following = min(end * width, last) + width
            some = (of & BitMap(range(begin, following))).shift(-begin)
            yield number, number, folded(some, width) if end > number else some
        if following > last:
            return
        at = of.next_set_bit(following)


def folded(of: BitMap, width: int) -> BitMap:
    """The union of all slices of `width` numbers, by halves."""
    count = of.max() // width + 1 if of else 1
    while count > 1:
        half = (count + 1) // 2
        moved = of.shift(-half * width)
        of = of & BitMap(range(half * width))
        of |= moved
        count = half
    return of


def place(content: BitMap, at: BitMap, width: int) -> BitMap:
    """The union of `content` moved to each of the slices `at`."""
    found = BitMap()
    if not content:
        return found
    is_full = len(content) == width and content.max() == width - 1
    for first, last in runs(at):
        if is_full:
            found.add_range(first * width, (last + 1) * width)
        else:
            found |= repeated(content, last - first + 1, width).shift(first * width)
    return found


def repeated(content: BitMap, count: int, width: int) -> BitMap:
    """The union of `content` moved by 0, 1, ... `count` - 1 widths, doubling what there is."""
    found, done = content, 1
    while done < count:
        step = min(done, count - done)
        found = found | found.shift(step * width)
        done += step
    return found
