"""Whole runs against services that count, redirect, refuse, encrypt, and talk nonsense."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from loadgen.columns import read_columns
from loadgen.errors import PartError, PrepareError, TargetError
from loadgen.history import read_runs
from loadgen.results import Result
from loadgen.samples import read_samples
from loadgen.target import Target, reach, tls_context
from observability.model import Histogram, RouteTarget, Slo

if TYPE_CHECKING:
    from pathlib import Path


async def test_processes_together_send_the_plan_once(serve: Any, order: Any, tmp_path: Path) -> None:
    """Two processes start at one instant, take turns, and their counts are the service's own, exactly, second by second."""
    async with serve() as service:
        runner = order(service.target, processes=2, seconds=1.5, request={"root": {"path": "/{n}"}})
        result = await runner.run()
    assert result.status.completed == result.status.sent == result.status.planned == 300
    assert sum(service.answered.values()) == 300
    assert len({path for _, path, _, _ in service.seen}) == 300
    assert [use.number for use in result.processes] == [0, 1]
    assert len({use.pid for use in result.processes}) == 2
    (endpoint,) = result.endpoints
    assert {block.at: sum(block.outcomes.values()) for block in endpoint.blocks} == {0: 200, 1: 100}
    assert sum(moment.planned for moment in result.moments) == 300
    assert sum(moment.completed for moment in result.moments) == 300
    merged = Histogram.of(*(block.response for block in endpoint.blocks)).freeze()
    assert merged.counts == endpoint.response.counts
    columns = read_columns(tmp_path, "run-1")
    assert columns is not None
    assert columns.planned[:2] == (200, 100)
    assert sum(ended or 0 for ended in columns.completed) == 300


async def test_every_request_carries_a_trace_and_the_slowest_are_named(serve: Any, order: Any) -> None:
    """Trace ids are well-formed and differ; those of the slowest requests are ones that the service saw."""
    async with serve() as service:
        result = await order(service.target, sampled=1.0).run()
    ids = {trace.split("-")[1] for trace in service.traces}
    assert len(ids) == 200
    assert {(len(trace), trace[:3], trace[-3:]) for trace in service.traces} == {(55, "00-", "-01")}
    (endpoint,) = result.endpoints
    assert len(endpoint.slowest) == 10
    assert {slow.trace_id for slow in endpoint.slowest} <= ids
    assert all(slow.asked for slow in endpoint.slowest)
    assert endpoint.slowest[0].response == max(slow.response for slow in endpoint.slowest)


async def test_the_service_is_told_how_long_a_request_waited(serve: Any, order: Any) -> None:
    """With one connection to a slow service the queue grows: each request says how long it was in it, as the report does.

    A few that waited longest ask for their traces to be kept, although the scenario asks for none.
    """
    async with serve() as service:
        service.instant = lambda now: now + 0.02
        result = await order(service.target, rate_per_minute=6_000, seconds=0.5, connections=1).run()
    told = {headers["traceparent"].split("-")[1]: headers["tracestate"] for *_, headers, _ in service.seen}
    assert all(re.fullmatch("gatewatch=w:[0-9]{8}", state) for state in told.values())
    waits = {trace: int(state[-8:]) / 1e6 for trace, state in told.items()}
    assert max(waits.values()) > 0.2
    slowest = result.endpoints[0].slowest
    for slow in slowest:
        assert 0 <= slow.wait - waits[slow.trace_id] < 0.1
    marked = {trace.split("-")[1] for trace in service.traces if trace.endswith("-01")}
    assert 2 <= len(marked) < len(told) / 2
    assert {slow.trace_id for slow in slowest if slow.asked} == marked & {slow.trace_id for slow in slowest} != set()


async def test_a_trace_state_of_ones_own_is_left_alone(serve: Any, order: Any) -> None:
    """A request that names a tracestate carries that one, and a traceparent all the same."""
    async with serve() as service:
        await order(service.target, request={"root": {"path": "/", "headers": {"TraceState": "mine={n}"}}}).run()
    states = {headers["tracestate"] for *_, headers, _ in service.seen}
    assert len(states) == 200
    assert all(state.startswith("mine=") for state in states)
    assert all(service.traces)


async def test_own_requests_capture_and_use_values(serve: Any, order: Any) -> None:
    """What a login gives, in its body and its headers, stands in the requests that follow; data is taken in turn."""
    requests = {
        "login": {
            "method": "POST",
            "path": "/login",
            "json": {"user": "u{user}", "many": [1, "{{as is}}"]},
            "expect": [201],
            "capture": {"token": "/session/tokens/0", "csrf": "header:X-Csrf"},
        },
        "buy": {
            "method": "PUT",
            "path": "/cities/{city}",
            "route": "/cities/{city}",
            "headers": {"Authorization": "Bearer {token}", "X-Csrf": "{csrf}"},
            "text": "{n}",
        },
    }
    async with serve() as service:

        def decide(_: str, path: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
            if path == "/login":
                return 201, b'{"session": {"tokens": ["t-1"]}}', "X-Csrf: c-2\r\n"
            known = (headers["authorization"], headers["x-csrf"]) == ("Bearer t-1", "c-2")
            return 200 if known else 401, b"", ""

        service.decide = decide
        runner = order(
            service.target,
            request=requests,
            prepare=["login"],
            mix={"buy": 1},
            data={"city": ["Oslo", "São Paulo"]},
            slo=Slo(route=(RouteTarget(name="buy", method="PUT", route="/cities/{city}", p95_ms=5000),)),
        )
        result = await runner.run()
    assert result.status.errors == 0
    assert service.answered["POST", "/login", 201] == 8
    bodies = [body for _, path, _, body in service.seen if path == "/login"]
    assert {json.dumps(body["many"]) for body in bodies} == {'[1, "{as is}"]'}
    assert {body["user"] for body in bodies} == {f"u{number}" for number in range(1, 9)}
    assert {path for _, path, _, _ in service.seen} == {"/login", "/cities/Oslo", "/cities/S%C3%A3o%20Paulo"}


async def test_a_value_that_never_came_is_told_before_the_start(serve: Any, order: Any) -> None:
    """A login that answers without what it should give ends the preparation."""
    requests = {"login": {"path": "/login", "capture": {"token": "/token"}}, "buy": {"path": "/{token}"}}
    async with serve() as service:
        with pytest.raises(PrepareError, match="answered without what it should give"):
            await order(service.target, request=requests, prepare=["login"], mix={"buy": 1}).run()
        runner = order(service.target, request=requests, mix={"buy": 1})
        shutil.rmtree(runner._folder.path)
        result = await runner.run()
    assert result.endpoints[0].failures == {"no value": 200}
    assert result.status.sent == 0


async def test_redirects_are_not_followed_and_failures_are_shown(serve: Any, order: Any) -> None:
    """A 302 is an unexpected status, a 500 a server error, a 503 shed; each kind comes with examples and their traces."""
    statuses = iter([302, 500, 503, 200] * 100)
    async with serve() as service:
        service.decide = lambda *_: (next(statuses), b"because", "Location: /elsewhere\r\n")
        result = await order(service.target).run()
    (endpoint,) = result.endpoints
    assert endpoint.statuses == {"200": 50, "302": 50, "500": 50, "503": 50}
    assert endpoint.failures == {"server error": 100, "unexpected status": 50}
    assert result.status.shed == 50
    assert {path for _, path, _, _ in service.seen} == {"/"}
    assert Counter(example.outcome for example in endpoint.examples) == {"server error": 3, "unexpected status": 3}
    assert {example.detail for example in endpoint.examples} == {"because"}
    assert {example.trace_id for example in endpoint.examples} <= {trace.split("-")[1] for trace in service.traces}


async def test_a_run_that_has_become_pointless_is_stopped(serve: Any, order: Any) -> None:
    """Everything fails: after a second the stop rule ends a run of a minute, as a FAIL that says why."""
    async with serve() as service:
        service.decide = lambda *_: (500, b"", "")
        stop = [{"figure": "error_rate", "above": 0.5, "for_s": 1}]
        result = await order(service.target, seconds=60.0, stop=stop).run()
    assert result.stopped == "stopped: error_rate 1 over 1 s, 0.5 is the most"
    assert (result.status.state, result.status.verdict) == ("done", "FAIL")
    assert 0 < result.status.completed < result.status.planned
    assert result.status.completed == sum(service.answered.values())


async def test_samples_hold_every_request(serve: Any, order: Any, tmp_path: Path) -> None:
    """The files of both processes hold as many records as requests ended, and their histogram is that of the result."""
    async with serve() as service:
        result = await order(service.target, samples=True, processes=2).run()
    folder = tmp_path / "runs" / "run-1"
    records = [record for name in result.samples for record in read_samples(folder / name)]
    assert len(records) == 200
    assert {(status, step, outcome) for *_, status, step, outcome in records} == {(200, "root", "ok")}
    assert sorted(record[0] for record in records) == pytest.approx([number / 200 for number in range(200)], abs=1e-6)
    again = Histogram()
    for _, _, _, first, last, *_ in records:
        assert 0 < first <= last
        again.record(last)
    assert again.quantile(0.5) == pytest.approx(result.endpoints[0].service.quantile(0.5), rel=0.05)


async def test_a_result_says_what_was_run_and_comes_back_whole(serve: Any, order: Any, tmp_path: Path) -> None:
    """Seed, scenario, versions, targets and processes stand in result.json, and decoding it gives the same result."""
    async with serve() as service:
        runner = order(service.target, seed=7)
        result = await runner.run()
    runner._folder.write_result(result)
    read = msgspec.json.decode((tmp_path / "runs" / "run-1" / "result.json").read_bytes(), type=Result)
    assert read == result
    environment = result.environment
    assert environment is not None
    assert (environment.seed, environment.processes, environment.connections) == (7, 1, 8)
    assert environment.scenario_hash == result.scenario.hash
    assert {"python", "uvloop", "httptools"} <= set(environment.versions)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the files of a certificate for 127.0.0.1 that vouches for itself, and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(  # noqa: S603 - a fixed command
        ("/usr/bin/openssl", "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(cert)),
        check=True,
        capture_output=True,
    )
    return str(cert), str(key)


async def test_tls_is_spoken_to_whom_it_trusts(serve: Any, order: Any, certificate: tuple[str, str]) -> None:
    """With the authority's file a run goes through, connecting included; without it nobody is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with serve(context) as service:
        result = await order(service.target, authority=certificate[0]).run()
        assert (result.status.errors, result.status.completed) == (0, 200)
        assert result.endpoints[0].connect.count == 8
        with pytest.raises(TargetError, match="no TLS that can be trusted"):
            await reach(service.target, tls_context(service.target, None))


async def test_a_server_that_talks_nonsense_is_a_report(order: Any) -> None:
    """Garbage, half answers and resets are failures of their own kinds, and the run ends as any other."""
    kinds = [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"", None]
    turn = iter(kinds * 100)

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            content = next(turn)
            if content is None:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                writer.write(content)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        result = await order(Target("127.0.0.1", server.sockets[0].getsockname()[1]), seconds=0.5).run()
    (endpoint,) = result.endpoints
    assert endpoint.failures == {"garbage": 25, "half answer": 25, "reset": 50}
    assert result.status.verdict == "FAIL"


async def test_sending_processes_do_not_outlive_who_started_them(serve: Any, tmp_path: Path) -> None:
    """The command is killed in the middle of a run: within seconds nobody sends any more."""
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nusers = 4\nrate_per_minute = 6000\nseconds = 60\n[request.root]\npath = "/"\n[mix]\nroot = 1\n'
    )
    async with serve() as service:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadgen", str(tmp_path / "mine.toml"), "--target", service.target.url),
            *("--data-dir", str(tmp_path), "--processes", "2"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.wait_for(service.arrived.wait(), 120)
        process.kill()
        await process.wait()
        async with asyncio.timeout(120):
            while service.connected:  # noqa: ASYNC110 - the service tells no event
                await asyncio.sleep(0.05)


async def test_a_sending_process_that_dies_is_told(serve: Any, order: Any, tmp_path: Path) -> None:
    """Its counts are gone with it, so there is no result, but a status that says so; the other process ends too."""
    async with serve() as service:
        runner = order(service.target, seconds=60.0, processes=2)
        running = asyncio.create_task(runner.run())
        await asyncio.wait_for(service.arrived.wait(), 120)
        processes = [held.process for held in runner._parts._held]
        os.kill(processes[0].pid, signal.SIGKILL)
        with pytest.raises(PartError, match="ended before its time, with -9"):
            await asyncio.wait_for(running, 120)
    assert all(process.returncode is not None for process in processes)
    (status,) = read_runs(tmp_path)
    assert (status.state, status.message.partition(" (")[0]) == ("failed", "a sending process")
