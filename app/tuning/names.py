"""What the launcher tells its workers of itself, beside the settings: names in their environment."""

from __future__ import annotations

RUN = "_GATEWATCH_RUN"
"""Names the launcher's own life: what was changed of the settings while it lasts ends with it."""

GIVEN = "_GATEWATCH_GIVEN"
"""Names the variables that were given to the launcher, and not added by it; comma-separated."""
