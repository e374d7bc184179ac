"""The rate limits of a worker, put together from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.security.limits import Limit, MemoryBuckets
from app.services.limits import Limits, LimitService
from app.storage.limits import RedisBuckets

if TYPE_CHECKING:
    from app.settings import Settings
    from app.storage.cache import Cache


def open_limits(settings: Settings, cache: Cache) -> LimitService | None:
    """Return the limits that the settings ask for; None when they are switched off."""
    if not settings.rate_limits:
        return None
    limits = Limits(
        logins=Limit(*settings.limit_logins),
        registrations=Limit(*settings.limit_registrations),
        mails=Limit(*settings.limit_mails),
        checks=Limit(*settings.limit_checks),
        guesses=Limit(*settings.limit_guesses),
        guesses_in_all=Limit(*settings.limit_guesses_in_all),
        registrations_of_address=Limit(*settings.limit_registrations_of_address),
        mails_to_address=Limit(*settings.limit_mails_to_address),
    )
    return LimitService(RedisBuckets(cache), MemoryBuckets(), limits)
