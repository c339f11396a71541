"""Commands as we pack them are what the client would send."""

from __future__ import annotations

import redis
from hypothesis import given
from hypothesis import strategies as st

from hedgerow_workers.broker import packed

words = st.text() | st.binary()


@given(st.lists(st.tuples(st.just("SET"), words, words), max_size=5))
def test_commands_are_packed_as_the_client_packs_them(commands: list[tuple[str | bytes, ...]]) -> None:
    assert packed(commands) == b"".join(redis.Connection().pack_commands(commands))
