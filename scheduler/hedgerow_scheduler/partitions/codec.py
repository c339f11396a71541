"""Sets of partitions as they are stored: in chunks of 65,536 numbers, so that a change rewrites the chunks that it touches."""

from __future__ import annotations

from collections.abc import Mapping

from pyroaring import BitMap

from hedgerow_scheduler.partitions.sets import slices

CHUNK = 2**16


def chunks(of: BitMap) -> dict[int, bytes]:
    """The bytes of each chunk that holds any number, by the chunk's number; equal sets have equal bytes. At most 8 KiB each and a few bytes."""
    found: dict[int, bytes] = {}
    for first, last, content in slices(of, CHUNK):
        content.run_optimize()
        found.update(dict.fromkeys(range(first, last + 1), content.serialize()))
    return found


def from_chunks(stored: Mapping[int, bytes]) -> BitMap:
    """The set that was stored; ValueError for bytes that are none, or hold numbers of another chunk."""
    found = BitMap()
    for number, encoded in stored.items():
        if not encoded:
            raise ValueError(f"The stored chunk {number} of a set of partitions is empty.")
        content = BitMap.deserialize(encoded)
        if content and content.max() >= CHUNK:
            raise ValueError(f"The stored chunk {number} of a set of partitions holds numbers of another one.")
        found |= content.shift(number * CHUNK)
    return found
