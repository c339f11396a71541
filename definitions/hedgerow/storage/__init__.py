"""Values on disk or behind a URL: one immutable file per attempt, in a format chosen by the value's type."""

from hedgerow.storage.files import Scratch
from hedgerow.storage.reading import Reader, load
from hedgerow.storage.writing import Written, discard, location, write

__all__ = ["Reader", "Scratch", "Written", "discard", "load", "location", "write"]
