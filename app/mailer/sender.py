"""The one sender of the fleet. Every worker runs one of these, and at most one of them leads."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from app.errors import GatewatchError
from app.mailer.letters import WITH_TOKEN
from app.mailer.post import NotAccepted, WayClosed
from app.repositories.ids import new_id
from app.repositories.outbox import NewToken, Outbox, QueuedMail, Source
from app.security.limits import MemoryBuckets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from app.mailer.letters import Letter, Letters
    from app.mailer.post import Delivery, Post
    from app.security.limits import Limit
    from app.security.mail_tokens import MailTokens

_log = logging.getLogger("gatewatch")


class Lead(Source, Protocol):
    """The session of the leader: no other instance has one while it holds."""

    @property
    def holds(self) -> bool:
        """Whether it is still ours."""

    async def close(self) -> None:
        """Let another lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long; times in seconds."""

    batch: int = 100
    pause: float = 1.0
    """Between two looks at an empty outbox, and after a batch that could not leave."""

    candidacy: float = 5.0
    """Between two attempts to lead: how long the fleet may be without a sender when one dies."""

    first_wait: float = 10.0
    longest_wait: float = 3600.0
    attempts: int = 20
    """With the waits above these span half a day."""

    reconnects: int = 3
    """Connections that one batch may lose before the rest of it waits for its next attempt."""


class Sender:
    """Sends what is due, a batch at a time, and is idle otherwise."""

    def __init__(
        self,
        elect: Callable[[], Awaitable[Lead | None]],
        post: Post,
        letters: Letters,
        tokens: MailTokens,
        *,
        lifetimes: Mapping[str, float],
        notices: Limit,
        clock: Callable[[], datetime],
        pace: Pace,
    ) -> None:
        """``notices`` bounds what one address is told of others' attempts to register it: nobody asked for that mail."""
        self._elect = elect
        self._post = post
        self._letters = letters
        self._tokens = tokens
        self._lifetimes = lifetimes
        self._notices, self._told = notices, MemoryBuckets()
        self._clock = clock
        self._pace = pace
        self._way_is_open = True
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, patience: float) -> None:
        """Stop after the mail that is on its way at most, and within so many seconds; let another lead."""
        # A cancellation may get lost in `wait_for` (Python 3.11), which the SMTP client uses: a word is left for later.
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=patience)

    async def _run(self) -> None:
        """Lead whenever nobody else does, for as long as the worker lives."""
        while not self._stopping:
            try:
                lead = await self._elect()
                if lead is not None:
                    await self._lead(lead)
            except GatewatchError:
                pass  # PostgreSQL is away; whoever reaches it first leads next
            except Exception:  # noqa: BLE001 - one bad round must not end all the following ones
                _log.exception("sending mail failed; it goes on")
            await asyncio.sleep(self._pace.candidacy)

    async def _lead(self, lead: Lead) -> None:
        try:
            outbox = Outbox(lead)
            while not self._stopping:
                if not await self._round(lead, outbox):
                    await asyncio.sleep(self._pace.pause)
        finally:
            await lead.close()

    async def _round(self, lead: Lead, outbox: Outbox) -> bool:
        """Send one batch. Say whether to go on at once: the batch was full and mail can leave."""
        pace = self._pace
        mails = await outbox.claim(
            self._clock(), most=pace.batch, first_wait=pace.first_wait, longest_wait=pace.longest_wait
        )
        if not mails:
            return False
        letters, pointless = await self._write(outbox, mails)
        accepted: list[UUID] = []
        try:
            await self._deliver(lead, letters, accepted)
        finally:
            # Also when we are told to stop in the middle: what was accepted is not sent again.
            done = {*pointless, *accepted}
            await outbox.done([*done, *_abandoned(mails, done, pace.attempts)])
        return self._way_is_open and len(mails) == pace.batch

    async def _write(self, outbox: Outbox, mails: Sequence[QueuedMail]) -> tuple[list[Letter], list[UUID]]:
        """Write the mails; return the letters, and which mails have no point because they ask for what nobody can have."""
        token_ids = await self._token_ids(outbox, [mail for mail in mails if mail.kind in WITH_TOKEN])
        letters: list[Letter] = []
        pointless: list[UUID] = []
        for mail in mails:
            if (mail.kind in WITH_TOKEN and mail.id not in token_ids) or self._was_told_enough(mail):
                pointless.append(mail.id)
                continue
            try:
                letters.append(self._letter(mail, token_ids.get(mail.id)))
            except Exception as error:  # noqa: BLE001 - a mail that cannot be written keeps nobody from theirs
                _log.error("mail %s (%s) cannot be written: %s", mail.id, mail.kind, type(error).__name__)
        return letters, pointless

    def _letter(self, mail: QueuedMail, token_id: UUID | None) -> Letter:
        token = self._tokens.text(token_id) if token_id else ""
        lifetime = self._lifetimes.get(mail.kind, 0)
        return self._letters.write(mail.id, mail.kind, mail.recipient, self._clock(), token=token, lifetime=lifetime)

    def _was_told_enough(self, mail: QueuedMail) -> bool:
        # Refusing the registration instead would tell that there is an account, or keep an owner from opening one.
        if mail.kind != "account-exists" or mail.attempts > 1:
            return False
        return self._told.spend(mail.recipient, self._notices.interval, self._notices.depth) > 0

    async def _token_ids(self, outbox: Outbox, mails: Sequence[QueuedMail]) -> dict[UUID, UUID]:
        """Return the token of each mail that has or gets one: a repeated attempt carries the token of the first."""
        now = self._clock()
        earlier = {mail.id: mail.email_token_id for mail in mails if mail.email_token_id is not None}
        live = await outbox.live(list(earlier.values()), now) if earlier else {}
        found = {
            mail_id: token_id
            for mail_id, token_id in earlier.items()
            if live.get(token_id) == self._tokens.digest(token_id)
        }
        # Issued by an instance with another secret: we cannot derive that one, so this mail gets one of ours.
        foreign = {mail_id for mail_id, token_id in earlier.items() if token_id in live and mail_id not in found}
        # Who asked twice at once gets one mail, with the token that works.
        newest = {(mail.recipient, mail.kind): mail for mail in mails if mail.id not in earlier or mail.id in foreign}
        asked = [self._new_token(mail, now) for mail in newest.values()]
        return {**found, **(await outbox.issue(asked) if asked else {})}

    def _new_token(self, mail: QueuedMail, now: datetime) -> NewToken:
        token_id = new_id()
        expires_at = now + timedelta(seconds=self._lifetimes[mail.kind])
        return NewToken(mail.id, token_id, self._tokens.digest(token_id), expires_at)

    async def _deliver(self, lead: Lead, letters: list[Letter], accepted: list[UUID]) -> None:
        """Send letters over one connection, or a few when the server hangs up; note in ``accepted`` which it took."""
        waiting, reason = list(reversed(letters)), ""
        for _ in range(self._pace.reconnects):
            if not waiting:
                return
            left = len(waiting)
            try:
                async with self._post.open() as deliver:
                    await self._empty(waiting, deliver, lead, accepted)
            except WayClosed as error:
                reason = str(error)
            else:
                self._note_open()
                return
            if len(waiting) == left:
                break  # it did not even open
        self._note_closed(reason)

    async def _empty(self, waiting: list[Letter], deliver: Delivery, lead: Lead, accepted: list[UUID]) -> None:
        while waiting and lead.holds and not self._stopping:
            letter = waiting.pop()
            try:
                await deliver(letter)
            except NotAccepted as error:
                _log.warning("mail %s was not accepted: %s", letter.id, error)
            else:
                accepted.append(letter.id)

    def _note_open(self) -> None:
        if not self._way_is_open:
            _log.warning("mail leaves again")
        self._way_is_open = True

    def _note_closed(self, reason: str) -> None:
        if self._way_is_open:
            _log.warning("no mail can leave now: %s; each is tried again for half a day", reason)
        self._way_is_open = False


def _abandoned(mails: Sequence[QueuedMail], done: Collection[UUID], attempts: int) -> list[UUID]:
    """Return, and write down, which mails have had all their attempts."""
    lost = [mail for mail in mails if mail.id not in done and mail.attempts >= attempts]
    for mail in lost:
        _log.error("mail %s (%s) was given up after %d attempts", mail.id, mail.kind, mail.attempts)
    return [mail.id for mail in lost]
