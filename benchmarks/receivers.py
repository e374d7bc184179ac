"""What a receiver in trouble does to requests: their p99 beside that with a sound one, and the noise of two sound runs.

Every request is sampled, so that there is as much to send as can be. Run as ``python -m benchmarks.receivers PORT`` it is
the receiver, which ``GET /500``, ``/slow`` and ``/sound`` put into such a state.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import uvloop

from benchmarks.driver import SECONDS, Cost, pace, rounds
from benchmarks.instance import DRIVER_CORE, SERVER_CORE, Instance, free_port, gatewatch, pinned, wait_for_answer
from benchmarks.people import asking, of_ours
from benchmarks.table import Row, ratio_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

RATE, TOKENS, CONNECTIONS = 1000, 1000, 32
DELAY = 5.0
_MIB = 2**20
_TROUBLES = {"500": "answers 500", "slow": f"takes {DELAY:g} s", "frozen": "is frozen", "killed": "is gone"}


class Receiver(BaseHTTPRequestHandler):
    """Does what it was told last."""

    protocol_version = "HTTP/1.1"
    mood = "sound"

    def do_GET(self) -> None:
        """Take a mood."""
        type(self).mood = self.path.strip("/")
        self._answer(200)

    def do_POST(self) -> None:
        """Take an export."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.mood == "slow":
            time.sleep(DELAY)
        self._answer(500 if self.mood == "500" else 200)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()


def measure() -> list[Row]:
    """Measure, and return a row for each trouble."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    port = free_port()
    export = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    with tempfile.TemporaryDirectory() as folder, gatewatch(Path(folder) / "data", (SERVER_CORE,), **export) as ours:
        return uvloop.run(_measure(ours, port))


async def _measure(ours: Instance, port: int) -> list[Row]:
    payloads = asking("/auth/check", await of_ours(ours, TOKENS))
    runs: dict[str, list[Cost]] = {name: [] for name in ("sound", "again", *_TROUBLES)}
    memory = dict.fromkeys(runs, 0.0)
    for counts in rounds():
        for name, costs in runs.items():
            with _receiver(port, name):
                cost = await pace(
                    ours.url,
                    payloads,
                    status=204,
                    pid=ours.pid,
                    connections=CONNECTIONS,
                    seconds=SECONDS,
                    rate=RATE,
                )
            memory[name] = max(memory[name], psutil.Process(ours.pid).memory_info().rss / _MIB)
            if counts:
                costs.append(cost)
    return [_row(name, runs, memory) for name in _TROUBLES]


def _row(name: str, runs: dict[str, list[Cost]], memory: dict[str, float]) -> Row:
    sound, again, troubled = ([run.p99 for run in runs[each]] for each in ("sound", "again", name))
    noise, ratio = ratio_of(again, sound), ratio_of(troubled, sound)
    return Row(
        what=f"p99 of GET /auth/check while the receiver {_TROUBLES[name]}",
        conditions=f"{RATE:,} requests/s, every one sampled; two sound runs differ by {noise['lowest']:.2f}-{noise['highest']:.2f}",
        ours=_told(troubled, memory[name]),
        rival="a sound receiver",
        theirs=_told(sound, memory["sound"]),
        target="the median within what two sound runs differ by",
        met=ratio["ratio"] <= noise["highest"],
        figures={"memory_mib": memory[name], "noise_lowest": noise["lowest"], "noise_highest": noise["highest"]},
        **ratio,
    )


def _told(seconds: Sequence[float], memory: float) -> str:
    return f"{sorted(seconds)[len(seconds) // 2] * 1000:.2f} ms, {memory:.0f} MiB"


@contextlib.contextmanager
def _receiver(port: int, mood: str) -> Iterator[None]:
    if mood == "killed":
        yield
        return
    with pinned([sys.executable, "-m", "benchmarks.receivers", str(port)], {}, (DRIVER_CORE,)) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/{mood if mood in _TROUBLES else 'sound'}", process)
        with _frozen(process) if mood == "frozen" else contextlib.nullcontext():
            yield


@contextlib.contextmanager
def _frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
