"""Former columns: those of the newest accepted output of assets whose checks compare with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from hedgerow.manifest.model import Column
from hedgerow_scheduler.lifecycle.model import Materialization

MAX_KEPT_BYTES = 64 * 2**20
_COLUMN_BYTES = 200  # of one column in memory, besides its texts


class Former(msgspec.Struct, frozen=True):
    """The columns of an accepted output, and the number it was dispatched under. No columns: there is no such output."""

    dispatch_seq: int = 0
    columns: tuple[Column, ...] = ()


class FormerColumns:
    """What is known of former columns. Looking them up takes as long as the asset has partitions, so they are read once and followed."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._known: dict[str, Former] = {}
        self._bytes, self._max_bytes = 0, max_bytes

    def of(
        self, assets: Collection[str], read: Callable[[Collection[str]], Mapping[str, Former]]
    ) -> dict[str, tuple[Column, ...]]:
        """The former columns of assets, none of those without. `read` is asked for assets that are not known, if there are some."""
        found = {asset: self._known[asset] for asset in assets if asset in self._known}
        if lacking := [asset for asset in dict.fromkeys(assets) if asset not in found]:
            told = read(lacking)
            for asset in lacking:
                found[asset] = told.get(asset, Former())
                self._keep(asset, found[asset])
        return {asset: former.columns for asset, former in found.items()}

    def accepted(self, output: Materialization) -> None:
        """An output became current: its columns count, if it has some and was dispatched after what is known."""
        known = self._known.get(output.asset)
        if known is not None and output.columns and output.dispatch_seq > known.dispatch_seq:
            self._keep(output.asset, Former(output.dispatch_seq, bare(output.columns)))

    def rejected(self, output: Materialization) -> None:
        """An output that may have been current was judged badly: if it is the one that counted, it does not any more."""
        known = self._known.get(output.asset)
        if known is not None and output.dispatch_seq == known.dispatch_seq:
            self._forget(output.asset)

    def _keep(self, asset: str, former: Former) -> None:
        self._forget(asset)
        size = _size(former)
        if self._bytes + size > self._max_bytes:
            self._known.clear()
            self._bytes = 0
        self._known[asset] = former
        self._bytes += size

    def _forget(self, asset: str) -> None:
        if (known := self._known.pop(asset, None)) is not None:
            self._bytes -= _size(known)


def bare(columns: Collection[Column]) -> tuple[Column, ...]:
    """Columns without their descriptions, which nobody compares."""
    return tuple(Column(column.name, column.type) for column in columns)


def _size(former: Former) -> int:
    return sum(_COLUMN_BYTES + len(column.name) + len(column.type) for column in former.columns)
