"""What a step changes of the keys of dynamic partitions, gathered until it has succeeded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from hedgerow.errors import ExecutionError
from hedgerow.partitions.key_sets import MAX_KEY_BYTES, is_dynamic_key
from hedgerow.suggestion import did_you_mean

MAX_AT_ONCE = 20_000  # keys that one step changes
MAX_PART_BYTES = 64 * 1024  # of one message


class KeyChanges:
    """The keys that are to be added to sets, or removed from them. `names` are the sets that may be changed; None: any."""

    def __init__(self, names: Collection[str] | None = None) -> None:
        self._names = names
        self._changed: dict[str, dict[str, bool]] = {}

    def note(self, name: str, keys: Iterable[str], is_added: bool) -> None:
        """Notes keys to be added or removed; of one that is noted twice, the last counts. `ExecutionError` HR-X214."""
        if self._names is not None and name not in self._names:
            remedy = (
                did_you_mean(str(name), self._names, "it uses") or f"Give an asset partitions=hr.dynamic({name!r})."
            )
            raise ExecutionError.of("HR-X214", f"This code location uses no set of partitions named {name!r}.", remedy)
        changed = self._changed.setdefault(name, {})
        for key in keys:
            if not is_dynamic_key(key):
                raise ExecutionError.of(
                    "HR-X214",
                    f"{str(key)[:300]!r} can't be a key of '{name}'.",
                    f"A key is a text of printable characters without '|', of at most {MAX_KEY_BYTES} bytes.",
                )
            changed.pop(key, None)
            changed[key] = is_added
            if len(changed) > MAX_AT_ONCE:
                raise ExecutionError.of(
                    "HR-X214",
                    f"Over {MAX_AT_ONCE:,} keys of '{name}' are changed at once.",
                    "Change fewer in one step or evaluation; only those that are new need to be added.",
                )

    def added(self) -> dict[str, tuple[str, ...]]:
        """The keys to be added, by set."""
        return self._chosen(True)

    def removed(self) -> dict[str, tuple[str, ...]]:
        """The keys to be removed, by set."""
        return self._chosen(False)

    def parts(self) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """The changes as sets with keys to be added and to be removed, each small enough for a message."""
        for name, changed in self._changed.items():
            part: list[tuple[str, bool]] = []
            size = 0
            for key, is_added in changed.items():
                part.append((key, is_added))
                size += len(key.encode("utf-8", "replace")) + 4
                if size >= MAX_PART_BYTES:
                    yield name, *_parted(part)
                    part, size = [], 0
            if part:
                yield name, *_parted(part)

    def _chosen(self, wanted: bool) -> dict[str, tuple[str, ...]]:
        chosen = {
            name: tuple(key for key, is_added in changed.items() if is_added is wanted)
            for name, changed in self._changed.items()
        }
        return {name: keys for name, keys in chosen.items() if keys}


def _parted(part: list[tuple[str, bool]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    added = tuple(key for key, is_added in part if is_added)
    return added, tuple(key for key, is_added in part if not is_added)
