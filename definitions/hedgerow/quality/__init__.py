"""Ready-made checks of tables."""

from hedgerow.quality import expect

__all__ = ["expect"]
