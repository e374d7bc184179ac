"""The API as a client meets it."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from running import EMAIL, PASSWORD, Service

from app.security.tokens import PREFIX

if TYPE_CHECKING:
    from app.embedded import Server


async def test_a_person_can_register_log_in_look_change_and_leave(service: Service) -> None:
    """The whole life of a session, with the status codes that the design promises."""
    answer = await service.client.post(
        "/auth/register", json={"email": "  Ann@Example.ORG ", "password": PASSWORD, "name": "Ann"}
    )
    assert answer.status_code == 201
    user = answer.json()
    assert user["email"] == EMAIL
    assert user["profile"]["name"] == "Ann"
    assert "password" not in answer.text

    answer = await service.client.post("/auth/login", json={"email": "ANN@example.org", "password": PASSWORD})
    assert answer.status_code == 200
    login = answer.json()
    assert set(login) == {"token", "expires_at", "session_id", "user"}
    bearer = {"Authorization": f"Bearer {login['token']}"}

    answer = await service.client.get("/auth/check", headers=bearer)
    assert answer.status_code == 204
    assert answer.headers["x-user-id"] == user["id"]
    assert answer.headers["x-session-id"] == login["session_id"]
    assert answer.headers["cache-control"] == "no-store"

    answer = await service.client.put("/users/profile", headers=bearer, json={"bio": "Hello", "name": None})
    assert answer.status_code == 200
    assert answer.json()["bio"] == "Hello"
    assert answer.json()["name"] is None
    me = (await service.client.get("/auth/me", headers=bearer)).json()
    assert me["profile"]["bio"] == "Hello"

    assert (await service.client.post("/auth/logout", headers=bearer)).status_code == 204
    for method, path in (("GET", "/auth/check"), ("GET", "/auth/me"), ("POST", "/auth/logout")):
        assert (await service.client.request(method, path, headers=bearer)).status_code == 401


async def test_only_hashes_of_passwords_and_tokens_are_stored(service: Service, redis: Server) -> None:
    """Neither a password nor any part of a token that opens anything is in the database or in Redis."""
    bearer = await service.person()
    token = bearer["Authorization"].removeprefix("Bearer ")
    secret = urlsafe_b64decode(token.removeprefix(PREFIX))[16:]
    await service.client.get("/auth/me", headers=bearer)
    [user] = await service.sql.fetch("SELECT * FROM users")
    [session] = await service.sql.fetch("SELECT * FROM sessions")
    assert session["token_hash"] == hashlib.sha256(secret).digest()
    assert user["password_hash"].startswith("$argon2id$v=19$m=7168,t=5,p=1$")
    async with Redis.from_url(redis.url) as opened:
        admin: Any = opened  # its hints leave open what it decodes
        cached: list[bytes] = await admin.keys()
        assert f"session:{hashlib.sha256(secret).hexdigest()}".encode() in cached
        cached += [await admin.get(key) for key in cached if await admin.type(key) == b"string"]
    stored = b" ".join([str(dict(user)).encode(), str(dict(session)).encode(), *cached])
    for spelling in (token.encode(), secret, secret.hex().encode(), str(secret)[2:-1].encode(), PASSWORD.encode()):
        assert spelling not in stored


BAD_BODIES: list[tuple[str, str, bytes, int, str, list[str]]] = [
    ("POST", "/auth/register", b"{", 400, "invalid-request", []),
    ("POST", "/auth/register", b"", 400, "invalid-request", []),
    ("POST", "/auth/register", b"\xff\xfe", 400, "invalid-request", []),
    ("POST", "/auth/register", b'"\\ud800"', 400, "invalid-request", []),
    ("POST", "/auth/register", b"[" * 20_000, 422, "invalid-fields", [""]),
    ("POST", "/auth/register", b"[]", 422, "invalid-fields", [""]),
    ("POST", "/auth/register", b'{"email":"x@example.org"}', 422, "invalid-fields", ["password"]),
    ("POST", "/auth/register", b'{"email":1,"password":"longenough"}', 422, "invalid-fields", ["email"]),
    ("POST", "/auth/register", b'{"email":"x@example.org","password":"longenough","role":"admin"}', 422, "invalid-fields", ["role"]),
    ("POST", "/auth/register", b'{"email":"nobody","password":"short","name":""}', 422, "invalid-fields", ["email", "password", "name"]),
    ("POST", "/auth/register", b'{"email":"x@example.org","password":"' + b"x" * 257 + b'"}', 422, "invalid-fields", ["password"]),
    ("POST", "/auth/register", b'{"email":"' + b"x" * 300 + b'@example.org","password":"longenough"}', 422, "invalid-fields", ["email"]),
    ("POST", "/auth/register", b'{"email":"x\\u0000@example.org","password":"longenough"}', 422, "invalid-fields", ["email"]),
    ("POST", "/auth/register", b'{"email":"x@example.org","password":"longenough","name":"a\\u0000b"}', 422, "invalid-fields", ["name"]),
    ("POST", "/auth/login", b'{"email":"x@example.org"}', 422, "invalid-fields", ["password"]),
    ("PUT", "/users/profile", b"{}", 422, "invalid-fields", [""]),
    ("PUT", "/users/profile", b'{"bio":"a\\u0000b"}', 422, "invalid-fields", ["bio"]),
    ("PUT", "/users/profile", b'{"avatar_url":"javascript:alert(1)"}', 422, "invalid-fields", ["avatar_url"]),
    ("PUT", "/users/profile", b'{"timezone":"Mars/Olympus","locale":"x"}', 422, "invalid-fields", ["locale", "timezone"]),
    ("PUT", "/users/profile", b'{"name":"' + b"x" * 101 + b'"}', 422, "invalid-fields", ["name"]),
    ("PUT", "/users/profile", b'{"id":"x"}', 422, "invalid-fields", ["id"]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "fields"), BAD_BODIES)
async def test_a_bad_body_gets_a_precise_problem_and_changes_nothing(
    service: Service, method: str, path: str, body: bytes, status: int, code: str, fields: list[str]
) -> None:
    """Each broken body is a 4xx with a stable code that names the fields, and no row is written."""
    headers = await service.person()
    before = await service.rows()
    answer = await service.client.request(
        method, path, headers={**headers, "Content-Type": "application/json"}, content=body
    )
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert len(problem["trace_id"]) == 32
    assert [error["field"] for error in problem.get("errors", [])] == fields
    assert await service.rows() == before


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type_is_refused(service: Service, content_type: str) -> None:
    """Only application/json is read."""
    answer = await service.client.post("/auth/login", headers={"Content-Type": content_type}, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


async def test_a_body_that_is_too_large_is_refused(service: Service) -> None:
    """More than 64 KiB are not read."""
    answer = await service.client.post(
        "/auth/login", headers={"Content-Type": "application/json"}, content=b" " * (64 * 1024 + 1)
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "payload-too-large")


BAD_TOKENS = [
    "",
    "Bearer",
    "Bearer gw_",
    "Bearer gw_" + "A" * 64,
    "Bearer gw_" + "!" * 64,
    "Basic YTpi",
    "Bearer " + "x" * 4000,
]


@pytest.mark.parametrize("authorization", BAD_TOKENS)
async def test_a_bad_token_is_not_authenticated(service: Service, authorization: str) -> None:
    """Whatever is wrong with it, the answer is 401 with a challenge."""
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in (
        ("GET", "/auth/check"),
        ("GET", "/auth/me"),
        ("POST", "/auth/logout"),
        ("PUT", "/users/profile"),
    ):
        answer = await service.client.request(method, path, headers=headers, json={"bio": "x"})
        assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_opens_nobody_elses_account(service: Service) -> None:
    """A secret under another user's id is no token, and leaves nothing behind in the other's cache."""
    ann, bob = await service.person("ann@example.org"), await service.person("bob@example.org")
    mixed = {"Authorization": with_user_of(bob["Authorization"], ann["Authorization"])}
    for _ in range(2):
        assert (await service.client.get("/auth/me", headers=mixed)).status_code == 401
        assert (await service.client.get("/auth/check", headers=mixed)).status_code == 401
        assert (await service.client.get("/auth/me", headers=bob)).json()["email"] == "bob@example.org"
        assert (await service.client.get("/auth/me", headers=ann)).json()["email"] == "ann@example.org"


def with_user_of(first: str, second: str) -> str:
    """Put the user id of one token before the secret of another."""
    scheme = "Bearer gw_"
    ids, secret = (urlsafe_b64decode(text.removeprefix(scheme)) for text in (first, second))
    return scheme + urlsafe_b64encode(ids[:16] + secret[16:]).decode()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/auth/check/", 401, "not-authenticated"),
        ("DELETE", "/auth/me", 405, "method-not-allowed"),
        ("FROB", "/auth/me", 405, "method-not-allowed"),
        ("GET", "/auth/login", 405, "method-not-allowed"),
        ("GET", "/%00%ff", 404, "not-found"),
    ],
)
async def test_an_unknown_path_or_method_is_a_problem_too(
    service: Service, method: str, path: str, status: int, code: str
) -> None:
    """What no route answers is a 4xx with a code; 405 names the methods that would do."""
    answer = await service.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_wrong_password_and_unknown_account_are_told_apart_by_nothing(service: Service) -> None:
    """Status, body and headers are the same, but for the trace id."""
    await service.register()
    answers = [
        await service.client.post("/auth/login", json={"email": email, "password": "not the password"})
        for email in (EMAIL, "nobody@example.org", "no address at all")
    ]
    seen: list[dict[str, Any]] = [{**answer.json(), "trace_id": ""} for answer in answers]
    assert seen[0]["code"] == "credentials-rejected"
    assert seen[0] == seen[1] == seen[2]
    assert {answer.status_code for answer in answers} == {401}
    assert len({tuple(answer.headers.keys()) for answer in answers}) == 1


async def test_an_address_is_registered_once(service: Service) -> None:
    """However it is written, the second registration is refused and changes nothing."""
    await service.register()
    answer = await service.client.post("/auth/register", json={"email": "ANN@EXAMPLE.org", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (409, "email-taken")
    assert (await service.rows())["users"] == 1


async def test_a_callers_trace_id_comes_back_in_a_problem(service: Service) -> None:
    """A W3C traceparent names the trace that the problem belongs to."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await service.client.get("/auth/me", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.json()["trace_id"] == trace


async def test_health_says_what_it_depends_on(service: Service) -> None:
    """Live is a fact; ready names each part."""
    assert (await service.client.get("/health/live")).json() == {"status": "ok"}
    answer = await service.client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "parts": {"postgresql": "ok", "redis": "ok"}}
    service.parts.services.health.state = "draining"
    assert (await service.client.get("/health/ready")).status_code == 503
