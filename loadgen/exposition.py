"""What a service tells Prometheus, read as far as a load run wants it: a few figures of each of its processes."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.service_figures import Figures

WORKER = "worker"
"""The label that tells the processes of one service apart; without it there is one, whose name is empty."""

_FIGURES = {
    "process_cpu_time_seconds_total": "cpu",
    "process_cpu_seconds_total": "cpu",
    "process_memory_usage_bytes": "memory",
    "process_resident_memory_bytes": "memory",
    "process_open_file_descriptor_count": "open_files",
    "process_unix_file_descriptor_count": "open_files",
    "process_open_fds": "open_files",
    "gatewatch_eventloop_tasks": "tasks",
    "gatewatch_eventloop_lag_seconds_sum": "lag_seconds",
    "gatewatch_eventloop_lag_seconds_count": "lags",
    "db_client_connection_max": "pool_size",
    "db_client_connection_pending_requests": "pool_waiting",
    "db_client_connection_timeouts_total": "pool_timeouts",
    "gatewatch_hash_queue_length": "hash_queue",
    "gatewatch_hash_queue_limit": "hash_limit",
    "gatewatch_hash_queue_refused_total": "hash_refused",
    "gatewatch_hash_queue_wait_time_seconds_sum": "hash_wait_seconds",
    "gatewatch_hash_queue_wait_time_seconds_count": "hash_waits",
}
"""Names as OpenTelemetry's metrics have them in Prometheus, and as Prometheus's own client libraries name them."""

_USED = ("db_client_connection_count", "db_client_connection_state", "used", "pool_used")
"""A figure that only one value of a label holds."""

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?[ \t]+([^ \t]+)(?:[ \t].*)?", re.ASCII)
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', re.ASCII)
_WANTED = tuple({*_FIGURES, _USED[0]})


def read_exposition(text: str) -> dict[str, Figures]:
    """Return the figures of each process, by its name, from Prometheus's text format; lines that are none are passed over.

    Values of one figure that differ in other labels (pools, modes of the CPU) are added up.
    """
    found: dict[str, Figures] = {}
    for worker, figure, value in _samples(text):
        figures = found.setdefault(worker, {})
        figures[figure] = figures.get(figure, 0.0) + value
    return found


def _samples(text: str) -> Iterator[tuple[str, str, float]]:
    for line in text.splitlines():
        if not line.startswith(_WANTED):
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            continue
        name, inside, said = match.groups()
        labels = dict(_LABEL.findall(inside or ""))
        figure = _FIGURES.get(name) or (_USED[3] if name == _USED[0] and labels.get(_USED[1]) == _USED[2] else "")
        value = _number(said)
        if figure and math.isfinite(value):
            yield labels.get(WORKER, ""), figure, value


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        return math.nan
