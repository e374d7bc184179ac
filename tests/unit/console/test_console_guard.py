"""What stands before every handler, asked over a socket."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from console.access import Gate
from console.ports import Access

if TYPE_CHECKING:
    from unit.console.conftest import Served

TOKEN = "a-console-token-of-26-chars"
OPEN = {"login", "paste_token", "static_file", "not_allowed_login", "not_allowed_static_digest_str_name_path_"}
"""Handlers that answer to everybody: the way in, and files that are no secret."""


async def form_token(served: Served) -> str:
    """Read the form token off the page."""
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await served.page())
    assert found is not None
    return found[1]


async def test_every_route_but_the_way_in_asks_for_a_visit(served: Served) -> None:
    """Whatever route the console has or will have, a stranger is sent to the login page or told 401."""
    for route in served.app.router.routes:
        name = route.name.rpartition(".")[2]
        if name in OPEN:
            continue
        path = "/" + re.sub(r"<[^>]+>", "any/thing", route.path).lstrip("/")
        for method in route.methods:
            answer = await served.client.request(method, path)
            if name in {"events", "session"}:
                assert answer.status_code == 401, (method, path)
            else:
                assert (answer.status_code, answer.headers["location"]) == (303, "/console/login"), (method, path)
    assert served.feed.looks == 0


async def test_unknown_paths_are_for_visitors(visited: Served) -> None:
    """A visitor is told 404 for what is not there; a stranger cannot tell it from what is."""
    assert (await visited.client.get("/console/nothing/here")).status_code == 404
    visited.client.cookies.clear()
    assert (await visited.client.get("/console/nothing/here")).status_code == 303


async def test_the_token_leaves_the_address_bar(served: Served) -> None:
    """A login URL answers with a redirect to the console and a strict, expiring cookie for its path only."""
    answer = await served.client.get("/console/login", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    cookie = answer.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=3600"):
        assert attribute in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert "Gatewatch" not in answer.text


async def test_the_token_can_be_pasted(served: Served) -> None:
    """The login page's form opens the console too."""
    assert 'name="token"' in (await served.client.get("/console/login")).text
    answer = await served.client.post("/console/login", data={"token": f" {TOKEN}\n"})
    assert answer.status_code == 303
    assert (await served.client.get("/console")).status_code == 200


@pytest.mark.parametrize("wrong", [" ", "x", TOKEN[:-1], TOKEN + "x"])
async def test_a_wrong_token_opens_nothing(served: Served, wrong: str) -> None:
    """A wrong token is answered 403 with the form and without a cookie, and is not said back."""
    for answer in (
        await served.client.get("/console/login", params={"token": wrong}),
        await served.client.post("/console/login", data={"token": wrong}),
    ):
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "not the token" in answer.text
        assert f'"{wrong}"' not in answer.text


async def test_a_link_from_elsewhere_still_finds_its_visit(visited: Served) -> None:
    """A browser that left its strict cookie at home because of a foreign link is sent on by our own page, once."""
    visited.client.cookies.clear()
    foreign = await visited.client.get("/console/login", headers={"sec-fetch-site": "cross-site"})
    own = await visited.client.get("/console/login", headers={"sec-fetch-site": "same-origin"})
    assert 'http-equiv="refresh"' in foreign.text
    assert 'http-equiv="refresh"' not in own.text


async def test_an_expired_cookie_is_no_visit(served: Served) -> None:
    """A cookie that was signed by us but is over leads to the login page."""
    gate = Gate(Access(TOKEN, frozenset()), clock=lambda: time.time() - 13 * 3600)
    served.client.cookies.set(gate.cookie_name, gate.issue())
    assert (await served.client.get("/console")).headers["location"] == "/console/login"
    assert (await served.client.get("/console/events")).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example"])
async def test_another_host_name_is_not_answered(visited: Served, host: str) -> None:
    """A rebound name gets one sentence and no page, even with a valid cookie, static files and login included."""
    cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in visited.client.cookies.items())}
    for path in ("/console", "/console/login", "/console/events", "/console/static/x/console.css"):
        answer = await visited.client.get(path, headers={"host": host} | cookies)
        assert answer.status_code == 403, path
        assert "does not answer to that host name" in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "localhost.:80", "[::1]:8000", "127.0.0.1:1"])
async def test_the_port_and_case_of_a_host_do_not_matter(served: Served, host: str) -> None:
    """Only the name in the Host header is compared."""
    assert (await served.client.get("/console/login", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/console/load/start", "/console/load/stop", "/console/logout"])
async def test_a_change_needs_the_form_of_this_visit(visited: Served, path: str) -> None:
    """Without the form's token, or with another visit's, nothing is changed."""
    gate = Gate(Access(TOKEN, frozenset()))
    for data in ({}, {"form_token": ""}, {"form_token": gate.form_token(gate.issue())}):
        answer = await visited.client.post(path, data={"scenario": "smoke"} | data)
        assert answer.status_code == 403
    assert visited.load.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_change_from_elsewhere_is_refused(visited: Served, headers: dict[str, str]) -> None:
    """A browser that says a form came from another origin is believed, even if the form has the right token."""
    data = {"form_token": await form_token(visited), "scenario": "smoke"}
    assert (await visited.client.post("/console/load/start", data=data, headers=headers)).status_code == 403
    assert visited.load.asked == []
    answer = await visited.client.post("/console/login", data={"token": TOKEN}, headers=headers)
    assert answer.status_code == 403


async def test_a_change_from_our_own_page_is_accepted(visited: Served) -> None:
    """Our own origin and fetch metadata are accepted."""
    data = {"form_token": await form_token(visited), "scenario": "smoke"}
    own = {"origin": visited.url, "sec-fetch-site": "same-origin"}
    assert (await visited.client.post("/console/load/start", data=data, headers=own)).status_code == 303
    assert visited.load.asked == [("start", "smoke")]


@pytest.mark.parametrize("path", ["/console", "/console/session"])
async def test_looking_renews_the_visit(visited: Served, path: str) -> None:
    """A page that is loaded or watched gets a cookie for another hour; its forms stay good."""
    before = dict(visited.client.cookies)
    form = await form_token(visited)
    await asyncio.sleep(1.1)
    answer = await visited.client.get(path)
    assert "Max-Age=3600" in answer.headers["set-cookie"]
    assert dict(visited.client.cookies) != before
    data = {"form_token": form, "scenario": "smoke"}
    assert (await visited.client.post("/console/load/start", data=data)).status_code == 303


async def test_a_slash_at_the_end_leads_to_the_console(visited: Served) -> None:
    """Whoever types the path with a slash finds the page."""
    answer = await visited.client.get("/console/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"token": "x"}'),
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        ("application/x-www-form-urlencoded", b"token=\xff"),
        ("application/x-www-form-urlencoded", b"token=%ff"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 100)),
        ("", b"token=x"),
    ],
)
async def test_what_is_no_form_is_refused_in_words(
    visited: Served, caplog: pytest.LogCaptureFixture, kind: str, body: bytes
) -> None:
    """A body that is no form is answered 400, to strangers and visitors, and writes nothing to the log."""
    for path in ("/console/login", "/console/load/start", "/console/logout"):
        answer = await visited.client.post(path, content=body, headers={"content-type": kind})
        assert answer.status_code == 400, path
        assert "This form cannot be read" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert caplog.records == []
    assert visited.load.asked == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/console/login", "GET, POST"), ("DELETE", "/console", "GET"), ("GET", "/console/logout", "POST")],
)
async def test_another_method_is_refused_under_the_policy(
    visited: Served, method: str, path: str, allowed: str
) -> None:
    """A method that a path does not answer is refused by the console itself, with its headers."""
    answer = await visited.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_logging_out_takes_the_cookie(visited: Served) -> None:
    """After logging out the browser has no cookie, and the console asks for the token again."""
    answer = await visited.client.post("/console/logout", data={"form_token": await form_token(visited)})
    assert answer.headers["location"] == "/console/login"
    assert not visited.client.cookies
    assert (await visited.client.get("/console")).status_code == 303


async def test_two_hosts_are_no_host(served: Served) -> None:
    """A request with two Host headers, which no client library sends, is not answered by the console."""
    where = httpx.URL(served.url)
    reader, writer = await asyncio.open_connection(where.host, where.port)
    writer.write(b"GET /console/login HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert status.split()[1] in {b"400", b"403"}
