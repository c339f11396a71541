"""Team ml: which departures will be late."""
