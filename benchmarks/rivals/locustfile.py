"""One GET by each user again and again, at EACH requests a second, or when that is 0 without waiting."""

from __future__ import annotations

import os

from locust import FastHttpUser, constant, constant_throughput, task  # type: ignore[import-not-found]

EACH = float(os.environ["EACH"])


class Asking(FastHttpUser):  # type: ignore[misc]
    """Asks."""

    wait_time = constant_throughput(EACH) if EACH else constant(0)

    @task  # type: ignore[untyped-decorator]
    def hello(self) -> None:
        """Ask once; Locust counts another status than 2xx as failed."""
        self.client.get("/hello")
