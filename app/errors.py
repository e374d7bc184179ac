"""Every error of the application, as one tree.

::

    GatewatchError
    +-- Rejected                 the caller's doing
    |   +-- InvalidRequest       a body or header that cannot be read
    |   +-- UnsupportedMediaType a body of another type than JSON
    |   +-- InvalidFields        a body whose fields break a rule
    |   +-- NotAuthenticated     no session, or one that is over
    |   +-- CredentialsRejected  e-mail and password do not match an account
    |   +-- EmailTaken           the address has an account already
    |   +-- EmailNotVerified     login needs a verified address, and this one is not yet
    |   +-- TokenRejected        a token from a mail that is wrong, spent, expired or replaced
    |   +-- Forbidden            the caller is known, and may not do this
    |   +-- NotFound             there is no such thing, or none that the caller may know of
    +-- RateLimited              the caller asks too often
    +-- MigrationFailed          the database cannot be brought to the present schema
    +-- Unavailable              ours, and worth another try later
        +-- HashingBusy          more passwords are waiting than can be hashed in time
        +-- DatabaseUnavailable  PostgreSQL is away, too slow or read-only
        |   +-- DatabaseUnfit    it is there, but without our schema or without our rights
        +-- PoolExhausted        no connection became free in time
        +-- CacheUnavailable     Redis is away or too slow
        +-- InvalidationPending  the write stands; caches will follow
        +-- StillRunning         it took too long and was given up; whether it was done is not known

A ``code`` is part of the API and never changes. Which HTTP status it becomes is decided in ``handlers.problems``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class GatewatchError(Exception):
    """The root. ``code`` names the error for programs, the message for people."""

    code: ClassVar[str] = "internal"


class Rejected(GatewatchError):
    """The request cannot be granted as it stands; trying again without a change is useless."""

    code = "rejected"


class InvalidRequest(Rejected):
    """A body or header that cannot be read at all."""

    code = "invalid-request"


class UnsupportedMediaType(Rejected):
    """A body of another type than JSON."""

    code = "unsupported-media-type"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field and what is wrong with it. ``field`` is empty when the body as a whole is meant."""

    field: str
    detail: str


class InvalidFields(Rejected):
    """A readable body that breaks a rule; ``errors`` names the fields."""

    code = "invalid-fields"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(
            "; ".join(f"{error.field}: {error.detail}" if error.field else error.detail for error in errors)
        )
        self.errors = errors


class NotAuthenticated(Rejected):
    """There is no session behind the request, or it is over."""

    code = "not-authenticated"


class CredentialsRejected(Rejected):
    """The e-mail address and password do not match an account; which of the two is not said."""

    code = "credentials-rejected"


class EmailTaken(Rejected):
    """The address belongs to an account already."""

    code = "email-taken"


class Forbidden(Rejected):
    """We know who asks, and they may not do this."""

    code = "forbidden"


class NotFound(Rejected):
    """What is named does not exist, or is none of the caller's business, which is the same to them."""

    code = "not-found"


class EmailNotVerified(Rejected):
    """The password is right, but login is for those who have verified their address."""

    code = "email-not-verified"


class TokenRejected(Rejected):
    """A token from a mail that is wrong, spent, expired or replaced by a newer one; which of these is not said."""

    code = "token-rejected"


class RateLimited(GatewatchError):
    """The caller asks too often: more than ``quota`` times in ``window`` seconds under the limit named ``policy``.

    ``wait`` is given in microseconds; ``retry_after`` is in whole seconds, never too few.
    """

    code = "rate-limited"

    def __init__(self, policy: str, *, quota: int, window: int, wait: int) -> None:
        super().__init__(f"at most {quota} such requests in {window} s are answered; wait before the next one")
        self.policy = policy
        self.quota = quota
        self.window = window
        self.retry_after = -(-wait // 1_000_000)


class MigrationFailed(GatewatchError):
    """The database cannot be brought to the present schema; the message says why and what to do."""

    code = "migration-failed"


class Unavailable(GatewatchError):
    """Nothing is wrong with the request; it may be tried again after ``retry_after`` seconds."""

    code = "unavailable"
    retry_after: int = 1


class HashingBusy(Unavailable):
    """A password would be hashed too late, or too many are waiting already."""

    code = "hashing-busy"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabaseUnavailable(Unavailable):
    """PostgreSQL is away, too slow, full or read-only."""

    code = "database-unavailable"


class DatabaseUnfit(DatabaseUnavailable):
    """PostgreSQL is there, but lacks the present schema or does not let us use it; a person has to do something."""


class PoolExhausted(Unavailable):
    """No database connection became free within the time that a request may wait."""

    code = "pool-exhausted"


class CacheUnavailable(Unavailable):
    """Redis is away, too slow, or has failed so often that it is left alone for a moment."""

    code = "cache-unavailable"


class InvalidationPending(Unavailable):
    """The write stands in PostgreSQL but caches could not be told yet; someone keeps trying."""

    code = "invalidation-pending"


class StillRunning(Unavailable):
    """The work outlived the time a write may take and was given up; whether it was done is not known."""

    code = "outcome-unknown"
