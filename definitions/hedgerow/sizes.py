"""Amounts of memory as people write them: `"2GiB"`."""

from __future__ import annotations

import re

_UNITS = {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGT]i?B)")


def parse_size(text: str) -> int:
    """Bytes of a number and one unit of `KiB MiB GiB TiB kB MB GB TB`; `ValueError` says what is wrong.

    >>> parse_size("2GiB"), parse_size("1.5 MB")
    (2147483648, 1500000)
    >>> parse_size("2G")
    Traceback (most recent call last):
    ValueError: '2G' is no size: write a number and a unit of KiB, MiB, GiB, TiB, kB, MB, GB, TB, such as "2GiB"
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise ValueError(f'{text!r} is no size: write a number and a unit of {", ".join(_UNITS)}, such as "2GiB"')
    return round(float(match[1]) * _UNITS[match[2]])


def size_text(size_bytes: int) -> str:
    """A size for people, in binary units.

    >>> size_text(2 * 2**30), size_text(1_600_000_000), size_text(700)
    ('2 GiB', '1.49 GiB', '0.684 KiB')
    """
    unit = next((name for name in ("TiB", "GiB", "MiB") if size_bytes >= _UNITS[name]), "KiB")
    return f"{size_bytes / _UNITS[unit]:.3g} {unit}"
