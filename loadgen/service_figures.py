"""Figures of the service during a run, as the result holds them."""

from __future__ import annotations

from typing import Literal

import msgspec

Steadiness = Literal["PASS", "FAIL", "TOO FEW"]
Figures = dict[str, float]
"""One process's figures: bytes, seconds, counts; some run since its start, some are levels. What it does not tell is missing."""


class ServiceSample(msgspec.Struct, frozen=True):
    """The figures of each process of the service, by its name, ``at`` seconds after the start."""

    at: float
    workers: dict[str, Figures]


class ServiceFigures(msgspec.Struct, frozen=True):
    """What was seen of the service while the run lasted, every so many seconds; ``fault`` is the last thing that went wrong."""

    url: str
    every: float
    samples: tuple[ServiceSample, ...] = ()
    fault: str = ""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a figure of the service grew, in ``unit`` an hour, with the interval that holds the truth with 95 % confidence.

    ``allowed`` is the most it may. ``says`` is the whole in words. Without numbers there was too little to go by.
    """

    figure: str
    unit: str
    allowed: float
    verdict: Steadiness
    says: str
    worker: str = ""
    per_hour: float | None = None
    low: float | None = None
    high: float | None = None
