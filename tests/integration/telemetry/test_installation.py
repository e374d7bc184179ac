"""Telemetry of an application that is not ours, in a process of its own under Sanic's own runners."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs import PATIENCE, program
from prometheus_client.parser import text_string_to_metric_families
from receiving import plain, receiving

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

ROOT = Path(__file__).parents[3]
DURATION = "http_server_request_duration_seconds"
EXPORTED = "http.server.request.duration"

INSTRUMENTED = """
import sys
from sanic import Sanic, text
from observability import SanicInstrumentor

SanicInstrumentor().instrument(service="by hand", metrics="on", server_timing=True)
app = Sanic("instrumented")

@app.get("/hello/<name>")
async def hello(_, name):
    return text(name)

if __name__ == "__main__":
    app.run("127.0.0.1", int(sys.argv[1]), single_process=True)
"""


async def scraped(client: httpx.AsyncClient, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the families of /metrics as soon as they are enough."""
    async with asyncio.timeout(PATIENCE):
        while True:
            page = (await client.get("/metrics")).raise_for_status().text
            families = {family.name: family for family in text_string_to_metric_families(page)}
            if enough(families):
                return families
            await asyncio.sleep(0.1)


def count(families: dict[str, Any], route: str) -> float:
    """Return how many requests of a route all workers counted."""
    samples = families[DURATION].samples if DURATION in families else ()
    found = [s for s in samples if s.name == f"{DURATION}_count" and s.labels.get("http_route") == route]
    return sum(float(s.value) for s in found)


async def test_the_example_in_two_workers(redis_server: Any) -> None:
    """Whichever worker of Sanic's manager answers tells of both, counts are exact, and the console is there."""
    example = ROOT / "examples/todo/app.py"
    async with program(example, WORKERS="2", REDIS_URL=redis_server.url) as client:
        assert (await client.post("/items", json={"text": "water the plants"})).status_code == 201
        for _ in range(20):
            # A connection of its own each, so that both workers are asked.
            await client.get("/items", headers={"Connection": "close"})
        families = await scraped(
            client,
            lambda f: (
                count(f, "/items") == 21
                and len(f["process_start_time_seconds"].samples) == 2
                and f["gatewatch_metrics_complete"].samples[0].value
            ),
        )
        bounds = {s.labels["le"] for s in families[DURATION].samples if "le" in s.labels}
        assert {"0.02", "0.05"} <= bounds  # the targets of its slo.toml
        console = await client.get("/console/login?token=a-token-only-for-trying-it", follow_redirects=True)
        assert "Todo" in console.text
        assert "/items" in console.text


async def test_the_example_in_one_worker_sends_what_it_is_told_to() -> None:
    """OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and the endpoint are honoured; without Redis it tells of itself."""
    with receiving() as sink:
        environment = {
            "OTEL_SERVICE_NAME": "chores",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=my%20house",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        async with program(ROOT / "examples/todo/app.py", **environment) as client:
            assert (await client.get("/items/7")).status_code == 500
            families = await scraped(client, lambda f: count(f, "/items/{number}") == 1)
            assert families["gatewatch_metrics_complete"].samples[0].value == 0
            assert families["target_info"].samples[0].labels["service_name"] == "chores"
            async with asyncio.timeout(PATIENCE):
                while "GET /items/{number}" not in {s.name for _, s in sink.spans()} or EXPORTED not in sink.metrics():  # noqa: ASYNC110 - the sink lives in another thread
                    await asyncio.sleep(0.05)
        resource, span = next(s for s in sink.spans() if s[1].name == "GET /items/{number}")
        assert plain(span.attributes)["error.type"] == "500"
        assert resource["deployment.environment.name"] == "my house"
        assert re.fullmatch(r".+:\d+/[0-9a-f]{12}", resource["service.instance.id"])


async def test_an_instrumented_program_in_a_single_process(tmp_path: Path) -> None:
    """The instrumentor installs on applications made after it; single_process serves them as the manager does.

    With Server-Timing, as it was asked for.
    """
    file = tmp_path / "served.py"
    file.write_text(INSTRUMENTED)
    async with program(file) as client:
        hello, missing = await client.get("/hello/ann"), await client.get("/nothing")
        assert hello.text == "ann"
        for answer in (hello, missing):
            assert re.fullmatch(r"total;dur=\d+\.\d{3}", answer.headers["Server-Timing"])
        families = await scraped(client, lambda f: count(f, "/hello/{name}") == 1)
        assert families["target_info"].samples[0].labels["service_name"] == "by hand"


async def test_disabled_telemetry_leaves_a_program_alone() -> None:
    """OTEL_SDK_DISABLED=true: requests are answered, and there is nothing at /metrics."""
    async with program(ROOT / "examples/todo/app.py", OTEL_SDK_DISABLED="true") as client:
        assert (await client.get("/items")).json() == []
        assert (await client.get("/metrics")).status_code == 404
