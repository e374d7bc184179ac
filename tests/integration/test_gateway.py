"""The nginx recipe of docs/gateway.md, word for word but for the ports, in a real nginx before a real service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.embedded.port import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from running import Service

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "docs" / "gateway.md"
PLACES = (os.environ.get("PATH", ""), "/usr/sbin", str(ROOT / "build" / "nginx" / "usr" / "sbin"))
STRANGER = "00000000-0000-0000-0000-000000000000"


def configured(folder: Path, ports: dict[int, int]) -> Path:
    """Take the recipe out of the documentation and give it ports and a place of its own; return its path."""
    recipe = RECIPE.read_text().partition("```nginx\n")[2].partition("```")[0]
    for written, actual in ports.items():
        assert f"127.0.0.1:{written};" in recipe
        recipe = recipe.replace(f"127.0.0.1:{written};", f"127.0.0.1:{actual};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {temporary}\n{recipe} }}\n"
    )
    return path


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the application: answer with the headers of the request, or with 500 at /broken."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    target, *lines = head.strip().split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    body = json.dumps([[name.lower(), value] for name, _, value in pairs]).encode()
    status = "500 Broken" if "/broken" in target else "200 OK"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def nginx(folder: Path, port: int, ports: dict[int, int]) -> AsyncIterator[None]:
    """Run nginx in the foreground until the block ends."""
    program = shutil.which("nginx", path=os.pathsep.join(PLACES))
    assert program, "install nginx (Debian: apt-get install nginx-light)"
    place = configured(folder, ports)
    process = await asyncio.create_subprocess_exec(
        *(program, "-e", "stderr", "-p", str(folder), "-c", str(place)),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr
        for _ in range(1200):
            assert process.returncode is None, (await process.stderr.read()).decode()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.fixture
async def gateway(service: Service, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Put nginx between a client and an application, with the service to ask."""
    application = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = free_port()
    ports = {8000: service.port, 9000: application.sockets[0].getsockname()[1], 8080: port}
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with nginx(folder, port, ports), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client
    application.close()
    await application.wait_closed()


def sent(answer: httpx.Response, name: str) -> list[Any]:
    """Return what the application was sent in a header."""
    return [value for header, value in answer.json() if header.replace("_", "-") == name]


async def test_a_valid_token_passes_with_the_users_id_in_place_of_a_forged_one(
    service: Service, gateway: httpx.AsyncClient
) -> None:
    """The application learns who it is from the service alone, however a client spells the header, and gets no token."""
    bearer = await service.person()
    check = await service.client.get("/auth/check", headers=bearer)
    forged = [("X-User-Id", STRANGER), ("x-user-id", STRANGER), ("X_User_Id", STRANGER), ("X-Session-Id", STRANGER)]
    for headers in ([*bearer.items()], [*bearer.items(), *forged]):
        answer = await gateway.post("/orders?id=1", headers=headers, json={"one": 1})
        assert answer.status_code == 200
        assert sent(answer, "x-user-id") == [check.headers["x-user-id"]]
        assert sent(answer, "x-session-id") == [check.headers["x-session-id"]]
        assert sent(answer, "authorization") == []


async def test_without_a_valid_token_nothing_passes(service: Service, gateway: httpx.AsyncClient) -> None:
    """The answer is 401 with a challenge; a logout counts from the next request on, so nothing is cached."""
    bearer = await service.person()
    assert (await gateway.get("/", headers=bearer)).status_code == 200
    await service.client.post("/auth/logout", headers=bearer)
    for headers in (bearer, {}, {"Authorization": "Bearer gw_x"}, {"X-User-Id": STRANGER}):
        answer = await gateway.get("/", headers=headers)
        assert answer.status_code == 401
        assert answer.headers.get_list("www-authenticate") == ["Bearer"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["code"] == "not-authenticated"


async def test_nobody_passes_while_the_service_is_away(service: Service, tmp_path: Path) -> None:
    """No answer is no: 503 with a time to come back, never the application."""
    application = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = free_port()
    ports = {8000: free_port(), 9000: application.sockets[0].getsockname()[1], 8080: port}
    bearer = await service.person()
    async with (
        nginx(tmp_path, port, ports),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        for headers in ({}, bearer):
            answer = await client.get("/", headers=headers)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["code"] == "check-unavailable"
    application.close()
    await application.wait_closed()


async def test_the_applications_own_failure_is_passed_on(service: Service, gateway: httpx.AsyncClient) -> None:
    """A 500 of the application is not mistaken for a check that failed."""
    answer = await gateway.get("/broken", headers=await service.person())
    assert answer.status_code == 500
    assert sent(answer, "x-user-id") != []


async def test_the_check_cannot_be_called_from_outside(gateway: httpx.AsyncClient) -> None:
    """It is the gateway's own question."""
    assert (await gateway.get("/_check")).status_code == 404
