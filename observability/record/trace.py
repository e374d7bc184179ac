"""Trace identity: W3C Trace Context in, random identity otherwise, and the sampler of the standard variables."""

from __future__ import annotations

import logging
import os
import random
import re
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger(__name__)

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_REST = r"[_0-9a-z\-*/]"
_MEMBER = re.compile(
    rf"(?:[a-z]{_REST}{{0,255}}|[a-z0-9]{_REST}{{0,240}}@[a-z]{_REST}{{0,13}})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS = 32
_LONGEST_STATE = 512
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_STATIC_SAMPLERS: dict[str, Sampler] = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
}
_RATIO_SAMPLERS: dict[str, type[TraceIdRatioBased | ParentBasedTraceIdRatio]] = {
    "traceidratio": TraceIdRatioBased,
    "parentbased_traceidratio": ParentBasedTraceIdRatio,
}


class Trace(msgspec.Struct, frozen=True):
    """What a request belongs to: lowercase hex ids; ``parent`` is empty when nobody called with one."""

    trace_id: str
    parent: str = ""
    sampled: bool = False
    """The caller's decision; without a parent it means nothing."""


def parse_traceparent(header: str) -> Trace | None:
    """Read a ``traceparent`` header as W3C Trace Context level 1 asks; None when it must be ignored."""
    match = _TRACEPARENT.fullmatch(header.strip(" \t"))
    if match is None:
        return None
    version, trace_id, parent, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_TRACE or parent == _NO_SPAN:
        return None
    return Trace(trace_id=trace_id, parent=parent, sampled=bool(int(flags, 16) & 1))


def tracestate_of(headers: Any) -> str:
    """Return the caller's ``tracestate``, of several headers as one list; empty when it is not as W3C Trace Context level 1 has it.

    So is one that is longer than everybody must pass on: a stranger's is written to wherever traces go.
    """
    state = ",".join(headers.getall("tracestate", ()))
    members = [member for part in state.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if len(state) > _LONGEST_STATE or len(members) > _MOST_MEMBERS or len(keys) < len(members):
        return ""
    return ",".join(members) if all(map(_MEMBER.fullmatch, members)) else ""


def new_trace() -> Trace:
    """Return a random identity without a parent."""
    return Trace(trace_id=secrets.token_hex(16))


DEFAULT_RATIO = 0.01
"""Share of requests that are kept by chance when no sampler is named."""

_LOW = 1 << 64
"""The SDK's ratio samplers look at the lower half of a trace id, which is below this."""


class HeadSampling(msgspec.Struct, frozen=True):
    """What the standard variables say is to be kept whatever becomes of it.

    ``ratio`` is the share of requests without a caller's trace; with ``parents`` the caller's decision is obeyed.
    """

    ratio: float = DEFAULT_RATIO
    parents: bool = True

    @property
    def never(self) -> bool:
        """Whether nothing at all is to be traced."""
        return not self.parents and not self.ratio

    def chance(self) -> bool:
        """Decide for a request that begins a trace, before it has an id."""
        return random.random() < self.ratio  # noqa: S311 - nothing is secret about it

    def decides(self, trace: Trace) -> bool:
        """Decide for a request with an identity, as the SDK's sampler does."""
        if trace.parent and self.parents:
            return trace.sampled
        return int(trace.trace_id[16:], 16) < round(self.ratio * _LOW)

    def lucky_ids(self, count: int) -> list[bytes]:
        """Return random ids of so many traces that samplers of this ratio keep, each with the ids of two spans: 32 bytes."""
        random, bound = os.urandom(32 * count), round(self.ratio * _LOW)
        ids = [random[start : start + 32] for start in range(0, len(random), 32)]
        if bound >= _LOW:
            return ids
        # The lower half of a trace's id, at random below the bound.
        lows = (int.from_bytes(each[8:16], "big") * bound >> 64 for each in ids)
        return [each[:8] + low.to_bytes(8, "big") + each[16:] for each, low in zip(ids, lows, strict=True)]

    def new_trace(self, *, sampled: bool) -> Trace:
        """Return a random identity that samplers of this ratio decide on in the same way."""
        bound = round(self.ratio * _LOW)
        if 0 < bound < _LOW:
            low = secrets.randbelow(bound) if sampled else bound + secrets.randbelow(_LOW - bound)
        else:
            low = secrets.randbits(64)
        return Trace(trace_id=f"{secrets.token_hex(8)}{low:016x}")


def head_sampling(environment: Mapping[str, str], *, warn: bool = True) -> HeadSampling:
    """Return what ``OTEL_TRACES_SAMPLER`` and its ``_ARG`` ask for."""
    sampler = sampler_from(environment, warn=warn)
    parents = isinstance(sampler, ParentBased)
    root = sampler._root if isinstance(sampler, ParentBased) else sampler  # noqa: SLF001 - it does not tell otherwise
    if isinstance(root, TraceIdRatioBased):
        return HeadSampling(root.rate, parents)
    return HeadSampling(float(root is ALWAYS_ON), parents)


def sampler_from(environment: Mapping[str, str], *, warn: bool = True) -> Sampler:
    """Return the SDK's sampler that ``OTEL_TRACES_SAMPLER`` and its ``_ARG`` name; an unknown one is the default, with a warning.

    The default is to obey the caller and to keep one request in a hundred otherwise: unlike the specification's, which
    keeps all, it costs next to nothing.
    """
    default = ParentBasedTraceIdRatio(DEFAULT_RATIO)
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not name:
        return default
    if name in _STATIC_SAMPLERS:
        return _STATIC_SAMPLERS[name]
    if name in _RATIO_SAMPLERS:
        try:
            return _RATIO_SAMPLERS[name](float(environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"))
        except ValueError:
            if warn:
                _logger.warning("OTEL_TRACES_SAMPLER_ARG is not a ratio from 0 to 1; sampling every trace")
            return _RATIO_SAMPLERS[name](1.0)
    if warn:
        _logger.warning("OTEL_TRACES_SAMPLER names no sampler of the SDK; using parentbased_traceidratio with 0.01")
    return default
