"""What was asked of the service in one history, when, and what came back."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.now(UTC) - timedelta(microseconds=time.perf_counter_ns() // 1000)

NEVER = float("inf")


def now() -> datetime:
    """Return the time by the one clock that both the workers and the judge go by; it never steps."""
    return moment(seconds())


def seconds() -> float:
    """Return the same in seconds, to the microsecond."""
    return time.perf_counter_ns() // 1000 / 1e6


def moment(at: float) -> datetime:
    """Say seconds of that clock as a time."""
    return _EPOCH + timedelta(microseconds=round(at * 1e6))


class Outcome(enum.Enum):
    """How a call was answered."""

    DONE = "done"
    REFUSED = "refused"
    """The token or the password is not good."""
    NOTHING = "nothing to do"
    """The token is good, but there was no such session to end, or the password was not the present one."""
    PENDING = "pending"
    """The change is stored, but caches could not be told."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, or something done to the stores; moments in seconds."""

    what: str
    worker: int
    began: float
    ended: float
    outcome: Outcome = Outcome.DONE
    session: int | None = None
    """Whose token it carried; of a login, which session it opened."""
    target: int | None = None
    """Which session it was to end."""
    version: int = 0
    """Which profile was written or read; 0 is the one that an account begins with."""
    password: int = 0
    """With which password a login came, or which one a change set; 0 is the first."""
    ends: float = NEVER
    """Of a login: when the session is over if nothing happens."""
    idle: bool = False
    """Of a login: that end is one of idleness, which use moves."""

    def line(self, origin: float) -> str:
        """Describe it in one line; moments in milliseconds after the origin."""
        words = [f"worker {self.worker}" if self.worker >= 0 else "stores", self.what]
        words += [f"of session {self.session}"] if self.session is not None else []
        words += [f"on session {self.target}"] if self.target is not None else []
        words += [f"version {self.version}"] if self.what in {"me", "update"} else []
        words += [f"password {self.password}"] if self.what in {"login", "password"} else []
        words += [f"ends {(self.ends - origin) * 1000:.3f}"] if self.ends != NEVER else []
        return (
            f"{(self.began - origin) * 1000:10.3f} .. {(self.ended - origin) * 1000:10.3f}  "
            f"{' '.join(words)}: {self.outcome.value}"
        )
