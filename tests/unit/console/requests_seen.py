"""A route and a trace that are made up, for the pages about single requests."""

from __future__ import annotations

from observability.model.kept import KeptLog, KeptSpan, KeptTrace
from observability.read.detail import (
    BlockedView,
    CohortAnatomy,
    Heatmap,
    RouteColumns,
    RouteDetail,
    StatusCount,
)
from observability.read.view import Latency

NOW = 1_795_378_651.0
AT = 1_795_378_600
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"

USUAL = CohortAnatomy(
    "p50",
    400,
    0.011,
    0.0156,
    0.0135,
    (
        ("loop", 0.0002),
        ("hash_wait", 0.0),
        ("hash", 0.0095),
        ("pool_wait", 0.0001),
        ("sql", 0.0016),
        ("redis", 0.0006),
        ("rest", 0.0015),
    ),
)
SLOW = CohortAnatomy(
    "p99",
    5,
    1.0,
    1.41,
    1.24,
    (
        ("loop", 0.001),
        ("hash_wait", 0.0),
        ("hash", 0.01),
        ("pool_wait", 1.18),
        ("sql", 0.03),
        ("redis", 0.003),
        ("rest", 0.016),
    ),
)
BLOCKS = (
    BlockedView(
        NOW - 20,
        0.4,
        "export (app/report.py:12)",
        ("export (app/report.py:12)",),
        (("POST /auth/login", 3),),
        "i",
        "w1",
    ),
    BlockedView(
        NOW - 30, 0.2, "export (app/report.py:12)", ("shorter",), (("POST /auth/login", 1), ("GET /x", 1)), "i", "w1"
    ),
    BlockedView(NOW - 25, 3.0, "unknown", (), (("POST /auth/login", 9),), "i", "w1"),
)
ROUTE = RouteDetail(
    method="POST",
    route="/auth/login",
    seconds=300,
    rate=2.7,
    errors=3,
    error_rate=3 / 812,
    latency=Latency(812, 0.0402, 0.1261, 1.239),
    target=0.2,
    judgement="met",
    statuses=(StatusCount(200, "", 789), StatusCount(401, "bad-credentials", 20), StatusCount(503, "hashing-busy", 3)),
    columns=RouteColumns(at=(AT - 10, AT), rate=(2.6, 2.8), error_rate=(0.0, 0.0), p50=(0.04, 0.04), p95=(0.1, 0.12)),
    heatmap=Heatmap(10, (AT - 20, AT - 10, AT), (0.0884, 0.125, 0.177, 0.25), ((7, 0, 1), None, (0, 3, 0))),
    anatomy=(USUAL, SLOW),
    blocked=BLOCKS,
    request_bytes=93.0,
    response_bytes=525.0,
)
KEPT = KeptTrace(
    1,
    TRACE_ID,
    "00f067aa0ba902b7",
    "b7ad6b7169203331",
    "POST",
    "/auth/login",
    200,
    "",
    "slow",
    NOW - 5,
    1.0,
    (0.0, 0.0, 0.1, 0.8, 0.05, 0.0),
    spans=(
        KeptSpan("a1", "00f067aa0ba902b7", "pool wait", "internal", "pool_wait", 0.0, 0.8),
        KeptSpan(
            "a2",
            "00f067aa0ba902b7",
            "user_by_email",
            "client",
            "sql",
            0.8,
            0.05,
            attributes=(("db.query.text", "SELECT <1>"),),
        ),
        KeptSpan("a3", "a2", "inner", "internal", "", 0.81, 0.01),
    ),
    logs=(KeptLog(0.79, "WARNING", "app.passwords", "the pool was <slow>"),),
    dropped=2,
    client_wait=0.25,
    instance="host:8000",
    worker="w1",
    attributes=(("url.path", "/auth/login"),),
)
