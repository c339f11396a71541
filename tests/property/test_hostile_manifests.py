"""Whatever a stranger's manifest says: it is refused with a reason, or harmless to the leader's term and to other teams."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mutated import Mutant, mutants
from support.trial import VALID, WHOLE, tried

from hedgerow.manifest import model

MUTANTS = tuple(mutants(WHOLE, of_each=1))


def readable(mutant: Mutant) -> bytes | None:
    """The JSON of a mutant, if it is that of a manifest at all: otherwise it is quarantined unseen."""
    body = mutant.body()
    try:
        model.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return body


def test_the_manifest_that_is_mutated_is_a_good_one() -> None:
    assert tried(VALID) == ""
    assert tried(VALID, former=VALID) == ""
    assert len(MUTANTS) > 10_000


@settings(max_examples=40)
@given(st.sampled_from(MUTANTS), st.booleans())
def test_a_mutant_is_refused_with_a_reason_or_ends_no_term(mutant: Mutant, replaces: bool) -> None:
    if (body := readable(mutant)) is not None:
        tried(body, VALID if replaces else None)


# Each of these has ended terms, at once or when it came due.
ENDED_TERMS = [
    "conditions/0/every_ms: 9223372036854775808",
    "conditions/0/every_ms: 9007199254740992",
    "conditions/0/timeout_ms: 9223372036854775807",
    "conditions/0/timeout_ms: 9007199254740992",
    "reactions/0/timeout_ms: -1000000000000000000000000000000",
    "reactions/0/timeout_ms: 9007199254740992",
    "reactions/0/retry/delay_ms: -9223372036854775808",
    "computations/3/deps/0/mapping/start: -2147483648",
    "computations/6/deps/2/mapping/count: -1",
]


@pytest.mark.parametrize("which", ENDED_TERMS)
def test_what_has_ended_terms_is_refused_with_a_reason(which: str) -> None:
    (mutant,) = (each for each in MUTANTS if str(each) == which)
    body = readable(mutant)
    assert body is not None
    assert "HR-D025" in tried(body)
