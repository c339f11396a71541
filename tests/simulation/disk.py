"""The disk of one machine: the journals of its workers, which outlive them, and what a disk does wrong."""

from __future__ import annotations

from random import Random


class SimDisk:
    """`full`: nothing more can be written (ENOSPC). `broken`: reading and writing fail (EIO). A machine's workers share it."""

    full: bool
    broken: bool

    def __init__(self, rng: Random) -> None:
        raise NotImplementedError
