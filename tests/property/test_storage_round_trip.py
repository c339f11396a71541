"""Whatever a step returns is what its readers get: of the same value and the same types, or the step fails."""

from __future__ import annotations

import tempfile
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.io import Target
from hedgerow.storage import Reader, load, location, write

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates(date(1, 1, 1))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """The types inside a value, as a value that can be compared."""
    if isinstance(value, dict):
        return [(type(key), shape(inner)) for key, inner in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [shape(inner) for inner in value]
    return type(value)


@given(VALUES.filter(lambda value: value is not None))
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write(value, Target("a", None, "1", "r", location(folder, "a", None, "1")))
        assert written is not None
        loaded = load([written.reference], None, Reader("a", same_team=True))
    assert loaded == value
    assert shape(loaded) == shape(value)
