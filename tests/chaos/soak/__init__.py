"""The soak: a platform at full load for long, of which everything that may grow is measured, with a few faults in between."""
