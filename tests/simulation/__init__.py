"""A whole platform in one thread, on a virtual clock, with seeded faults."""
