"""Every operation of the API, described once; a test compares this table with the routes that are served.

To document a route, add an ``Operation`` to ``OPERATIONS`` and, if it brings new types, a value of each to
``openapi_examples``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app import errors
from app.handlers.bodies import Credentials, Mailbox, MailToken, PasswordChange, PasswordReset, Registration
from app.listings import DevicePage, UserPage
from app.services.health import Readiness
from app.values import Login, Profile, ProfileChange, User

if TYPE_CHECKING:
    from app.errors import GatewatchError

READS: tuple[type[GatewatchError], ...] = (errors.DatabaseUnavailable, errors.PoolExhausted)
"""What may keep a read from the database from being answered."""

WRITES = (*READS, errors.StillRunning)
INVALIDATES = (*WRITES, errors.InvalidationPending)
"""What may befall a write; the second kind makes something stale that may be cached."""

HASHES = (errors.HashingBusy,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a client must know of one operation.

    ``path`` and ``query`` name parameters that ``openapi.PARAMETERS`` describes; ``example`` is an answer, where that
    of its type is not telling. ``errors`` are those of its own: what follows from ``signed_in``, ``body``, ``query`` and
    rate limits, and what Sanic may answer to anything, is added to them.
    """

    name: str
    method: str
    path: str
    group: str
    summary: str
    details: str = ""
    signed_in: bool = False
    body: Any = None
    query: tuple[str, ...] = ()
    success: int = 200
    answer: Any = None
    example: Any = None
    headers: tuple[str, ...] = ()
    errors: tuple[type[GatewatchError], ...] = ()
    not_ready: Any = None
    """The type of a 503 that is no problem document."""


OPERATIONS = (
    Operation(
        name="register",
        method="POST",
        path="/auth/register",
        group="Accounts",
        summary="Open an account",
        details="The address is trimmed, lower-cased and IDNA-normalised.",
        body=Registration,
        success=201,
        answer=User,
        errors=(errors.EmailTaken, *HASHES, *WRITES),
    ),
    Operation(
        name="verifyEmail",
        method="POST",
        path="/auth/verify-email",
        group="Accounts",
        summary="Verify an address with the token that was sent to it",
        body=MailToken,
        success=204,
        errors=(errors.TokenRejected, *INVALIDATES),
    ),
    Operation(
        name="resendVerification",
        method="POST",
        path="/auth/verify-email/resend",
        group="Accounts",
        summary="Ask for another verification mail",
        details="The answer is the same whether the address has an account or not.",
        body=Mailbox,
        success=202,
        answer=dict[str, str],
        example={"status": "accepted"},
        errors=WRITES,
    ),
    Operation(
        name="changePassword",
        method="POST",
        path="/auth/password",
        group="Accounts",
        summary="Change your password",
        details="Your other sessions end.",
        signed_in=True,
        body=PasswordChange,
        success=204,
        errors=(*HASHES, *INVALIDATES),
    ),
    Operation(
        name="forgotPassword",
        method="POST",
        path="/auth/password/forgot",
        group="Accounts",
        summary="Ask for a mail with which to set a new password",
        details="The answer is the same whether the address has an account or not.",
        body=Mailbox,
        success=202,
        answer=dict[str, str],
        example={"status": "accepted"},
        errors=WRITES,
    ),
    Operation(
        name="resetPassword",
        method="POST",
        path="/auth/password/reset",
        group="Accounts",
        summary="Set a new password with the token that was sent",
        details="All sessions of the account end.",
        body=PasswordReset,
        success=204,
        errors=(errors.TokenRejected, *HASHES, *INVALIDATES),
    ),
    Operation(
        name="login",
        method="POST",
        path="/auth/login",
        group="Sessions",
        summary="Open a session",
        details=(
            "The token is shown once: only its digest is kept. An unknown address and a wrong password are told apart "
            "neither by the answer nor by its time."
        ),
        body=Credentials,
        answer=Login,
        errors=(errors.CredentialsRejected, errors.EmailNotVerified, *HASHES, *WRITES),
    ),
    Operation(
        name="check",
        method="GET",
        path="/auth/check",
        group="Sessions",
        summary="Ask whether a session is valid",
        details="For gateways: the answer is in the status and the headers.",
        signed_in=True,
        success=204,
        headers=("X-User-Id", "X-Session-Id"),
        errors=READS,
    ),
    Operation(
        name="me",
        method="GET",
        path="/auth/me",
        group="Sessions",
        summary="See whose session it is",
        signed_in=True,
        answer=User,
        errors=READS,
    ),
    Operation(
        name="logout",
        method="POST",
        path="/auth/logout",
        group="Sessions",
        summary="End this session",
        details="No request with this token that starts after the answer succeeds.",
        signed_in=True,
        success=204,
        errors=INVALIDATES,
    ),
    Operation(
        name="listSessions",
        method="GET",
        path="/auth/sessions",
        group="Sessions",
        summary="See where you are logged in",
        details="Oldest first; `next_cursor` is null on the last page.",
        signed_in=True,
        query=("cursor", "limit"),
        answer=DevicePage,
        errors=READS,
    ),
    Operation(
        name="revokeSession",
        method="DELETE",
        path="/auth/sessions/{session_id}",
        group="Sessions",
        summary="End one of your sessions",
        signed_in=True,
        success=204,
        errors=(errors.NotFound, *INVALIDATES),
    ),
    Operation(
        name="revokeOtherSessions",
        method="DELETE",
        path="/auth/sessions",
        group="Sessions",
        summary="End all your sessions but this one",
        signed_in=True,
        success=204,
        errors=INVALIDATES,
    ),
    Operation(
        name="updateProfile",
        method="PUT",
        path="/users/profile",
        group="Profiles",
        summary="Change what you say of yourself",
        details="At least one field is needed.",
        signed_in=True,
        body=ProfileChange,
        answer=Profile,
        errors=INVALIDATES,
    ),
    Operation(
        name="listUsers",
        method="GET",
        path="/users",
        group="Administration",
        summary="See all users",
        details="For administrators. Oldest first; `next_cursor` is null on the last page.",
        signed_in=True,
        query=("cursor", "limit"),
        answer=UserPage,
        errors=(errors.Forbidden, *READS),
    ),
    Operation(
        name="live",
        method="GET",
        path="/health/live",
        group="Health",
        summary="Ask whether the process answers",
        answer=dict[str, str],
    ),
    Operation(
        name="ready",
        method="GET",
        path="/health/ready",
        group="Health",
        summary="Ask whether to send requests here",
        details="`degraded` is still worth sending requests to: what is cached is served.",
        answer=Readiness,
        not_ready=Readiness,
    ),
)
