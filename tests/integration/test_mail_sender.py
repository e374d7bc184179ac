"""The one sender of the fleet, against a real mail server that is down, refuses, hangs up, or outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import stat
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from mailing import Folder, Postbox, token_of, until, until_found
from running import EMAIL

from app.embedded.port import free_port
from app.mailer.assembly import LOCK, make_sender
from app.mailer.sender import Pace
from app.repositories.ids import new_id
from app.security.mail_tokens import digest_of
from app.settings import Settings
from app.storage.leader import Leader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from app.mailer.letters import Letter
    from app.mailer.post import Delivery
    from app.storage.database import Statement

    Sql = asyncpg.Connection[Any]

QUICK = Pace(pause=0.05, candidacy=0.05, first_wait=0.1, longest_wait=0.4, attempts=50)


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[Sql]:
    """Look into the database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def settings(database_url: str, data_dir: Path) -> Settings:
    """Point a sender at a port where a mail server may be."""
    url = f"smtp://127.0.0.1:{free_port()}"
    return Settings(database_url=database_url, data_dir=data_dir, secret="s" * 43, smtp_url=url)


def port_of(settings: Settings) -> int:
    """Return that port."""
    return int((settings.smtp_url or "").rpartition(":")[2])


@contextlib.asynccontextmanager
async def sending(settings: Settings, pace: Pace = QUICK) -> AsyncIterator[None]:
    """Run a sender."""
    sender = make_sender(settings, lambda: datetime.now(UTC), pace)
    sender.start()
    try:
        yield
    finally:
        await sender.stop(60)


async def put(sql: Sql, *recipients: str, kind: str = "password-changed") -> None:
    """Put mails into the outbox, one for each recipient in order."""
    rows = [(new_id(), recipient, kind, datetime.now(UTC)) for recipient in recipients]
    await sql.executemany("INSERT INTO outbox (id, recipient, kind, attempts, due_at) VALUES ($1, $2, $3, 0, $4)", rows)


async def account(sql: Sql, address: str = EMAIL) -> None:
    """Make an account."""
    await sql.execute(
        "INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, $2, 'x', 'user', now())",
        new_id(),
        address,
    )


async def left(sql: Sql) -> int:
    """Count what is still in the outbox."""
    return int(await sql.fetchval("SELECT count(*) FROM outbox"))


async def emptied(sql: Sql) -> None:
    """Wait until nothing is."""
    await until_found(lambda: sql.fetchval("SELECT count(*) = 0 FROM outbox"))


async def test_a_batch_leaves_over_one_connection(settings: Settings, sql: Sql) -> None:
    """A hundred mails cost one connection, and each arrives once."""
    people = [f"p{number}@example.org" for number in range(100)]
    await put(sql, *people)
    box = Postbox()
    async with box.serving(port_of(settings)), sending(settings):
        await emptied(sql)
    assert sorted(box.recipients) == sorted(people)
    assert box.connections == 1


async def test_mail_waits_for_a_server_that_is_down(
    settings: Settings, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost while nobody listens, the log says so once, and all arrives when the server is back."""
    await put(sql, "a@example.org", "b@example.org")
    box = Postbox()
    async with sending(settings):
        await until_found(lambda: sql.fetchval("SELECT min(attempts) >= 3 FROM outbox"))
        async with box.serving(port_of(settings)):
            await emptied(sql)
    assert sorted(box.recipients) == ["a@example.org", "b@example.org"]
    told = [record.getMessage() for record in caplog.records]
    assert sum("no mail can leave now" in line for line in told) == 1
    assert sum("mail leaves again" in line for line in told) == 1


@pytest.mark.parametrize("way", ["refused", "hangs_up_on"])
async def test_a_dead_recipient_keeps_nobody_from_their_mail(settings: Settings, sql: Sql, way: str) -> None:
    """Whether the server refuses one or hangs up on it, those behind it get theirs in the same batch."""
    box = Postbox()
    getattr(box, way).add("dead@example.org")
    await put(sql, "a@example.org", "dead@example.org", "b@example.org")
    async with box.serving(port_of(settings)), sending(settings, Pace(pause=0.05, candidacy=0.05)):
        await until(lambda: len(box.received) == 2)
        await asyncio.sleep(0.2)
    assert box.recipients == ["a@example.org", "b@example.org"]
    row = await sql.fetchrow("SELECT recipient, attempts, due_at > now() + interval '5 seconds' AS later FROM outbox")
    assert row is not None
    assert tuple(row) == ("dead@example.org", 1, True)


async def test_a_mail_is_given_up_after_its_last_attempt(
    settings: Settings, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written down by id; neither its recipient nor the server's words are."""
    box = Postbox(refused={"dead@example.org"})
    await put(sql, "dead@example.org")
    mail_id = await sql.fetchval("SELECT id FROM outbox")
    pace = Pace(pause=0.05, candidacy=0.05, first_wait=0.05, longest_wait=0.1, attempts=3)
    async with box.serving(port_of(settings)), sending(settings, pace):
        await emptied(sql)
    ours = [record.getMessage() for record in caplog.records if record.name == "gatewatch"]
    assert ours[-1] == f"mail {mail_id} (password-changed) was given up after 3 attempts"
    assert not [line for line in ours if "dead@" in line or "no such user" in line]


async def test_a_mail_that_cannot_be_written_keeps_nobody_from_theirs(
    settings: Settings, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    """A kind that another version knows waits for its next attempts, and is given up in the end like any other."""
    await put(sql, "a@example.org", kind="from-the-future")
    await put(sql, "b@example.org")
    box = Postbox()
    pace = Pace(pause=0.05, candidacy=0.05, first_wait=0.05, longest_wait=0.1, attempts=3)
    async with box.serving(port_of(settings)), sending(settings, pace):
        await emptied(sql)
    assert box.recipients == ["b@example.org"]
    told = [record.getMessage() for record in caplog.records if record.name == "gatewatch"]
    assert len([line for line in told if "(from-the-future) cannot be written" in line]) == 3
    assert "(from-the-future) was given up" in told[-1]


async def test_a_mail_that_has_no_point_any_more_is_not_sent(settings: Settings, sql: Sql) -> None:
    """No account, an address that is verified already: nothing is issued, nothing arrives, nothing stays."""
    await account(sql)
    await sql.execute("UPDATE users SET email_verified_at = now()")
    await put(sql, EMAIL, "nobody@example.org", kind="verify")
    await put(sql, "nobody@example.org", kind="reset")
    box = Postbox()
    async with box.serving(port_of(settings)), sending(settings):
        await emptied(sql)
    assert (box.received, await sql.fetchval("SELECT count(*) FROM email_tokens")) == ([], 0)


async def test_nobody_is_flooded_with_word_of_others_attempts(settings: Settings, sql: Sql) -> None:
    """Whoever registers a taken address again and again has its owner told a few times an hour, and no other mail is lost by it."""
    await put(sql, *[EMAIL] * 30, kind="account-exists")
    await put(sql, EMAIL, *["bob@example.org"] * 2)
    await put(sql, "bob@example.org", kind="account-exists")
    settings = dataclasses.replace(settings, limit_mails_to_address=(4, 3600))
    box = Postbox()
    async with box.serving(port_of(settings)), sending(settings):
        await emptied(sql)
    assert box.recipients.count(EMAIL) == 4 + 1
    assert box.recipients.count("bob@example.org") == 3


async def test_a_server_that_asks_for_a_password_gets_it(settings: Settings, sql: Sql) -> None:
    """Name and password of the URL log in; with a wrong one nothing is sent, and nothing lost."""
    box = Postbox(user=b"ann@x", password=b"open/sesame")
    host = f"127.0.0.1:{port_of(settings)}"
    await put(sql, "a@example.org")
    async with box.serving(port_of(settings)):
        async with sending(dataclasses.replace(settings, smtp_url=f"smtp://ann%40x:wrong@{host}")):
            await until_found(lambda: sql.fetchval("SELECT attempts >= 2 FROM outbox"))
        assert box.received == []
        async with sending(dataclasses.replace(settings, smtp_url=f"smtp://ann%40x:open%2Fsesame@{host}")):
            await emptied(sql)
    assert box.recipients == ["a@example.org"]


async def test_two_senders_never_send_the_same_mail(settings: Settings, sql: Sql) -> None:
    """While both run, one leads: every mail arrives exactly once."""
    people = [f"p{number}@example.org" for number in range(250)]
    await put(sql, *people)
    box = Postbox()
    async with box.serving(port_of(settings)), sending(settings), sending(settings), sending(settings):
        await emptied(sql)
        held = await sql.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert sorted(box.recipients) == sorted(people)
    assert held == 1


HOLDER = """
import asyncio, sys
from app.mailer.assembly import LOCK
from app.storage.leader import Leader

async def hold():
    leader = await Leader.elect(sys.argv[1], LOCK)
    print("leads" if leader else "does not", flush=True)
    await asyncio.sleep(60)

asyncio.run(hold())
"""


async def test_when_the_leader_is_killed_another_sender_takes_over(settings: Settings, sql: Sql) -> None:
    """A lock dies with its holder: nobody sends while it lives, and somebody does soon after a SIGKILL."""
    assert settings.database_url
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, settings.database_url, stdout=asyncio.subprocess.PIPE
    )
    assert leader.stdout
    assert await leader.stdout.readline() == b"leads\n"
    await put(sql, "a@example.org")
    box = Postbox()
    try:
        async with box.serving(port_of(settings)), sending(settings):
            await asyncio.sleep(0.5)
            assert (box.received, await left(sql)) == ([], 1)
            leader.kill()
            await emptied(sql)
    finally:
        with contextlib.suppress(ProcessLookupError):
            leader.kill()
        await leader.wait()
    assert box.recipients == ["a@example.org"]


async def test_a_leader_whose_session_is_cut_leads_again(settings: Settings, sql: Sql) -> None:
    """PostgreSQL ending the session costs a moment, not the sender."""
    box = Postbox()
    async with box.serving(port_of(settings)), sending(settings):
        for number in range(2):
            await put(sql, f"p{number}@example.org")
            await emptied(sql)
            await sql.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert box.recipients == ["p0@example.org", "p1@example.org"]


async def test_what_was_accepted_is_not_sent_again_by_the_next(settings: Settings, sql: Sql) -> None:
    """A sender that is stopped in the middle of a batch notes what it got rid of; the next sends the rest."""
    people = [f"p{number}@example.org" for number in range(20)]
    await put(sql, *people)
    box = Postbox(slow=0.03)
    async with box.serving(port_of(settings)):
        async with sending(settings):
            await until(lambda: len(box.received) >= 3)
        assert 0 < await left(sql) < 20
        box.slow = 0
        async with sending(settings):
            await emptied(sql)
    # The one on its way when the sender stopped may have been taken without our hearing of it: at least once.
    assert set(box.recipients) == set(people)
    assert len(box.recipients) <= 21


class Deaf:
    """A way for mail to leave that loses a cancellation, as `wait_for` may in Python 3.11."""

    def __init__(self) -> None:
        self.taken: list[Letter] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Delivery]:
        """Be open."""
        yield self._deliver

    async def _deliver(self, letter: Letter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
        self.taken.append(letter)


async def test_a_sender_stops_even_when_its_cancellation_is_lost(settings: Settings, sql: Sql) -> None:
    """It ends after the mail that was on its way, notes what left, and keeps the rest."""
    await put(sql, *(f"p{number}@example.org" for number in range(20)))
    sender, way = make_sender(settings, lambda: datetime.now(UTC), QUICK), Deaf()
    sender._post = way
    sender.start()
    await until(lambda: way.taken)
    await sender.stop(60)
    assert 1 <= len(way.taken) <= 3
    assert await left(sql) == 20 - len(way.taken)


async def test_a_repeated_mail_carries_the_same_link(settings: Settings, sql: Sql) -> None:
    """An attempt that failed does not make another token, so whichever copy arrives works."""
    await account(sql)
    box = Postbox(refused={EMAIL})
    await put(sql, EMAIL, kind="reset")
    async with box.serving(port_of(settings)), sending(settings):
        await until_found(lambda: sql.fetchval("SELECT attempts >= 2 FROM outbox"))
        first = await sql.fetchval("SELECT token_hash FROM email_tokens")
        box.refused.clear()
        await emptied(sql)
    assert digest_of(token_of(box.received[0])) == first


async def test_an_instance_with_another_secret_sends_a_link_that_works(settings: Settings, sql: Sql) -> None:
    """It cannot derive the first token, so it issues one of its own in its place."""
    await account(sql)
    box = Postbox(refused={EMAIL})
    await put(sql, EMAIL, kind="reset")
    other = Settings(database_url=settings.database_url, secret="t" * 43, smtp_url=settings.smtp_url)
    async with box.serving(port_of(settings)):
        async with sending(settings):
            await until_found(lambda: sql.fetchval("SELECT email_token_id FROM outbox"))
        box.refused.clear()
        async with sending(other):
            await emptied(sql)
    hashes = await sql.fetch("SELECT token_hash FROM email_tokens")
    assert [row["token_hash"] for row in hashes] == [digest_of(token_of(box.received[0]))]


async def test_who_asks_twice_at_once_gets_one_mail(settings: Settings, sql: Sql) -> None:
    """Of equal requests in a batch the newest is answered, with the token that works."""
    await account(sql)
    await put(sql, EMAIL, EMAIL, EMAIL, kind="reset")
    box = Postbox()
    async with box.serving(port_of(settings)), sending(settings):
        await emptied(sql)
    assert box.recipients == [EMAIL]
    [row] = await sql.fetch("SELECT token_hash FROM email_tokens")
    assert digest_of(token_of(box.received[0])) == row["token_hash"]


async def test_an_idle_sender_asks_once_a_second(settings: Settings, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to do, one query a second is all it costs."""
    del sql
    asked: list[str] = []
    fetch = Leader.fetch

    async def counted(self: Leader, statement: Statement, *values: Any) -> list[dict[str, Any]]:
        asked.append(statement.name)
        return await fetch(self, statement, *values)

    monkeypatch.setattr(Leader, "fetch", counted)
    async with sending(settings, Pace()):
        await until(lambda: asked)
        begun, before = time.monotonic(), len(asked)
        await asyncio.sleep(2.5)
        assert len(asked) - before <= time.monotonic() - begun + 1


async def test_without_a_server_mails_are_private_files(database_url: str, data_dir: Path, sql: Sql) -> None:
    """Each is whole, for its owner's eyes alone, in a folder for the same eyes, and nothing else is left there."""
    settings = Settings(database_url=database_url, data_dir=data_dir, secret="s" * 43)
    await put(sql, "a@example.org", "b@example.org")
    async with sending(settings):
        await emptied(sql)
    folder = data_dir / "mail"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600, 0o600]
    assert {path.suffix for path in folder.iterdir()} == {".eml"}
    assert len(Folder(folder).all("a@example.org", "was changed")) == 1


async def test_only_one_session_can_lead(database_url: str) -> None:
    """The second candidate is told no and leaves no session behind; after the first has closed it is told yes."""
    first = await Leader.elect(database_url, LOCK)
    assert first is not None
    assert await Leader.elect(database_url, LOCK) is None
    await first.close()
    second = await Leader.elect(database_url, LOCK)
    assert second is not None
    assert second.holds
    await second.close()
    assert not second.holds
