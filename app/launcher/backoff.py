"""How long to wait before something that died is started again."""

from __future__ import annotations

FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
STEADY_AFTER = 10.0


class Backoff:
    """Waits that double. What lived for `STEADY_AFTER` seconds is forgiven its past: its next start is immediate."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, lived: float) -> float:
        """Return the seconds to wait after something that lived for `lived` seconds has died."""
        if lived >= STEADY_AFTER:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (self._failures - 2)))
