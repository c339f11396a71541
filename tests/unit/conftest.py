"""Hypothesis without a deadline per example: the machine may be busy, and pytest-timeout guards against hanging."""

from hypothesis import settings

settings.register_profile("hedgerow", deadline=None)
settings.load_profile("hedgerow")
