"""Chaos on real processes: a whole platform under load, faults drawn from a seed, and a judge who trusts only what really ran."""
