"""Tuning while the service serves: live settings of the fleet, plans of its queries, and trials of a change."""
