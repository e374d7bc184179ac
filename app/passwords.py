"""Where the parts around passwords meet: the hasher, and the rule for new ones."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from app.security.blocklist import Blocklist
from app.security.hashes import Parameters
from app.security.hashing import HashThreads
from app.security.passwords import Passwords
from app.services.rules import PasswordRule
from app.settings import SettingsError
from observability.model import load_slo

if TYPE_CHECKING:
    from app.security.lending import Lending
    from app.settings import Settings
    from observability.record.recorder import Recorder

_blocklist = lru_cache(maxsize=1)(Blocklist.load)
"""Read once: workers that are forked where it was read have it in common."""


def hasher_of_worker(settings: Settings, recorder: Recorder, number: int, lending: Lending | None) -> Passwords:
    """Make the hasher of the worker of a number, which may borrow its siblings' threads."""
    threads = settings.hash_threads_of_worker(number)
    login = load_slo(settings.slo).target("POST", "/auth/login")
    hashing = HashThreads(
        threads=threads,
        queue=settings.hash_queue,
        meter=recorder.hashing(threads, settings.hash_queue),
        most_time=settings.hash_max_time or (login.p95 if login else math.inf),
        nice=settings.hash_nice,
        lending=lending,
    )
    return Passwords(hashing, Parameters(settings.hash_memory_kib, settings.hash_iterations))


def hasher_of_command(settings: Settings, recorder: Recorder) -> Passwords:
    """Make the hasher of a command, which has one password at most."""
    hashing = HashThreads(threads=1, queue=1, meter=recorder.hashing(1, 1))
    return Passwords(hashing, Parameters(settings.hash_memory_kib, settings.hash_iterations))


def password_rule(settings: Settings) -> PasswordRule:
    """Make the rule for new passwords; raise SettingsError when its list cannot be read."""
    if settings.password_blocklist is None:
        return PasswordRule(settings.password_min_length)
    try:
        return PasswordRule(settings.password_min_length, _blocklist(settings.password_blocklist))
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise SettingsError(f"GATEWATCH_PASSWORD_BLOCKLIST: {settings.password_blocklist}: {said}") from None
