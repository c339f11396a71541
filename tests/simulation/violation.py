"""What a world ends with when a rule was broken."""

from __future__ import annotations


class Violation(AssertionError):
    """Something that must never be is so."""
