"""Who may ask how often. docs/limits.md says why these limits and no others."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.errors import CacheUnavailable, RateLimited
from app.security.addresses import normalise
from app.security.clients import client_of, neighbourhood_of
from app.security.limits import Demand, Level, Limit, MemoryBuckets, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

_KNOWN = Limit(1, 3600)
"""How long a client is known by an account that it logged in to."""

_ALARMED_SHARE = 5
"""While an account is under attack, a network that it does not know has a fifth of the usual guesses."""


class Buckets(Protocol):
    """Buckets that all instances share."""

    async def take(self, demands: Sequence[Demand]) -> list[tuple[int, int, int]]:
        """Take one from each bucket that binds, or nothing from any when one of them is used up."""

    async def give_back(self, demands: Sequence[Demand]) -> None:
        """Put one back into each bucket, and set markers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one kind each."""

    logins: Limit
    registrations: Limit
    mails: Limit
    checks: Limit
    guesses: Limit
    guesses_in_all: Limit
    registrations_of_address: Limit
    mails_to_address: Limit


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that was let in, how its client stands under its limit, and what may be given back.

    Of ``quota`` in ``window`` seconds, ``left`` are left, and in ``reset`` seconds all will be.
    """

    quota: int
    window: int
    left: int
    reset: int
    refundable: tuple[Demand, ...]
    shared: bool


class LimitService:
    """Lets requests in, or raises RateLimited. Without Redis each process counts for itself."""

    def __init__(self, shared: Buckets, own: MemoryBuckets, limits: Limits) -> None:
        self._shared = shared
        self._own = own
        self.limits = limits

    async def login(self, client: str, email: str | None) -> Admission:
        """Let a login in: many from one client, few that fail for one account."""
        demands = [_by_client(client, "login", self.limits.logins)]
        if email is None:
            return await self._admit(demands)
        account = _by_account(email, "login")
        mine, around = client_of(client), neighbourhood_of(client)
        return await self._admit(
            demands,
            [
                _demand(f"{account}:known:{mine}", _KNOWN, "marker"),
                _demand(account, self.limits.guesses_in_all, "alarm"),
                _demand(f"{account}:{mine}", self.limits.guesses, "known"),
                _demand(f"{account}:{around}", self.limits.guesses, "stranger"),
            ],
        )

    async def registration(self, client: str, email: str | None) -> Admission:
        """Let a registration in: many from one client, some of one address from one network."""
        demands = [_by_client(client, "register", self.limits.registrations)]
        if email is not None:
            key = f"{_by_account(email, 'register')}:{neighbourhood_of(client)}"
            demands.append(_demand(key, self.limits.registrations_of_address))
        return await self._admit(demands)

    async def mail(self, endpoint: str, client: str, email: str | None) -> Admission:
        """Let a request for a mail in: some from one client, few of a kind to one address, whoever asks.

        Whoever uses them up for somebody else has had that many mails sent to them, and each does what was asked. Each
        kind has its own: who is verified is sent nothing for a resend, and must not lose the way to a new password by it.
        """
        demands = [_by_client(client, endpoint, self.limits.mails)]
        if email is not None:
            demands.append(_demand(_by_account(email, endpoint), self.limits.mails_to_address))
        return await self._admit(demands)

    async def redemption(self, endpoint: str, client: str) -> Admission:
        """Let a token that came by mail in: some from one client. It cannot be guessed."""
        return await self._admit([_by_client(client, endpoint, self.limits.mails)])

    async def password_change(self, client: str, digest: bytes | None) -> Admission:
        """Let a password change in: some from one client, few that fail for one session."""
        demands = [_by_client(client, "password", self.limits.mails)]
        if digest is None:
            return await self._admit(demands)
        return await self._admit(demands, [_demand(f"rate_limit:session:{digest.hex()}:password", self.limits.guesses)])

    async def give_back(self, admission: Admission, *, welcome: bool) -> None:
        """Undo the counting of a request that proved to be no guess. ``welcome`` makes its client a known one."""
        demands = [demand for demand in admission.refundable if welcome or demand.role != "marker"]
        if not demands:
            return
        if not admission.shared:
            self._own.give_back(demands)
            return
        try:
            await self._shared.give_back(demands)
        except CacheUnavailable:
            return  # one guess too many was counted; it drains

    async def _admit(self, lasting: list[Demand], refundable: Sequence[Demand] = ()) -> Admission:
        demands = [*lasting, *refundable]
        shared = True
        try:
            levels = [Level(*level) for level in await self._shared.take(demands)]
        except CacheUnavailable:
            shared = False
            levels = self._own.take(demands)
        for demand, level in zip(demands, levels, strict=True):
            if level.wait:
                raise _refusal("client" if demand is demands[0] else "account", demand, level)
        charged = tuple(
            demand
            for demand, level in zip(demands[len(lasting) :], levels[len(lasting) :], strict=True)
            if level.filled or demand.role == "marker"
        )
        client, level = demands[0], levels[0]
        return Admission(
            quota=client.depth // client.interval,
            window=_window(client.depth),
            left=(client.depth - level.filled) // client.interval,
            reset=_seconds(level.filled),
            refundable=charged,
            shared=shared,
        )


def _demand(key: str, limit: Limit, role: Role = "all") -> Demand:
    return Demand(key, role, limit.interval, limit.depth, limit.interval * max(1, limit.quota // _ALARMED_SHARE))


def _by_client(client: str, endpoint: str, limit: Limit) -> Demand:
    return _demand(f"rate_limit:{client_of(client) or 'unknown'}:{endpoint}", limit)


def _by_account(email: str, endpoint: str) -> str:
    return f"rate_limit:account:{hashlib.sha256(_spelling(email).encode()).hexdigest()}:{endpoint}"


def _spelling(email: str) -> str:
    """Spell an address as accounts do; what is no address is limited all the same, so that nothing tells them apart."""
    try:
        return normalise(email)
    except ValueError:
        return email


def _refusal(policy: str, demand: Demand, level: Level) -> RateLimited:
    return RateLimited(policy, quota=level.depth // demand.interval, window=_window(level.depth), wait=level.wait)


def _window(depth: int) -> int:
    return max(1, round(depth / 1_000_000))


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)
