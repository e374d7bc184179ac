"""GET /metrics of the service itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.settings import DEFAULT_SLO
from observability.model import load_slo

if TYPE_CHECKING:
    from running import Serve, Service


async def test_every_target_is_a_bound(service: Service) -> None:
    """The p95 of each target, and twice it, is a bound of the durations of requests."""
    await service.client.get("/health/live")
    page = (await service.client.get("/metrics")).text
    durations = next(
        f for f in text_string_to_metric_families(page) if f.name == "http_server_request_duration_seconds"
    )
    bounds = {float(s.labels["le"]) for s in durations.samples if "le" in s.labels}
    targets = {target.p95 for target in load_slo(DEFAULT_SLO).route}
    assert targets | {2 * target for target in targets} <= bounds


@pytest.mark.parametrize(("readers", "direct", "proxied"), [("local", 200, 404), ("on", 200, 200), ("off", 404, 404)])
async def test_the_setting_says_who_may_read(serve: Serve, readers: str, direct: int, proxied: int) -> None:
    """To whom it is not for there is nothing there."""
    async with serve(metrics=readers) as service:
        assert (await service.client.get("/metrics")).status_code == direct
        answer = await service.client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
        assert answer.status_code == proxied
