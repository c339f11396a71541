"""The production scheduler's decisions on a virtual clock, for tests and previews of what would be launched."""
