"""Paired, repeatable measurements. `make bench` runs them all; docs/benchmarks.md says how they are made."""
