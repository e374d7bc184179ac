"""What changed between two runs, and whether it is more than chance: a pure function of their results.

Each difference has an interval made of the two figures' own (square-and-add: Newcombe 1998 for shares, Zou and Donner 2008,
"Construction of confidence limits about effect measures", for anything), and those mind that neighbouring requests share their
fate. Among dozens of figures some would stand out by chance alone, so the 5 % that may be wrong are divided among all of them
(Bonferroni): two runs of the same thing have anything "real" between them in at most 5 % of the cases. What the histogram
cannot tell apart, values in the same bucket or in neighbouring ones (up to 9 %), is never called real.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from loadgen.compare_check import Change, changes, refuse_incomparable
from loadgen.intervals import CONFIDENCE, Interval, average, batch_of, batches_in, proportion, sample_of
from loadgen.step_tally import OK
from observability.model.histogram import SCALE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from loadgen.results import EndpointResult, Result

Word = Literal["real", "noise", "too few"]
Direction = Literal["better", "worse"]
Scale = Literal["seconds", "share", "per second"]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
BUCKETS_APART = 1.5
"""How far apart two percentiles must be to be different; they are read from the middles of buckets."""

RATE_APART = 1.01
"""By what factor two rates must differ: a run ends with its last answer, and not at the same instant each time."""

_BUCKET = math.log(2) / 2**SCALE


class Bounds(msgspec.Struct, frozen=True, array_like=True):
    """What holds the true difference, or ratio; None where nothing bounds it."""

    low: float | None
    high: float | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure in both runs. ``endpoint`` is empty for a figure of the whole run.

    ``scale`` says what ``a``, ``b`` and ``difference`` (b less a) are in; ``ratio`` is b / a, None where a is zero. The bounds
    of all differences together hold with 95 % confidence. ``direction`` is there where the difference is real.
    """

    endpoint: str
    figure: str
    scale: Scale
    a: float
    b: float
    difference: float
    difference_bounds: Bounds
    ratio: float | None
    ratio_bounds: Bounds | None
    word: Word
    direction: Direction | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs side by side: every figure, what else was different between them, and the summary in one sentence."""

    a: str
    b: str
    scenario: str
    differences: tuple[Difference, ...]
    changes: tuple[Change, ...]
    summary: str

    @property
    def worse(self) -> tuple[Difference, ...]:
        """What is really worse in b."""
        return tuple(each for each in self.differences if each.direction == "worse")

    @property
    def better(self) -> tuple[Difference, ...]:
        """What is really better in b."""
        return tuple(each for each in self.differences if each.direction == "better")

    @property
    def unclear(self) -> tuple[Difference, ...]:
        """The endpoints' main figures, p50 and p95 of response, of which there are too few samples to say anything."""
        return tuple(
            each
            for each in self.differences
            if each.word == "too few" and each.figure in {"response p50", "response p95"}
        )


class _Figure(msgspec.Struct, frozen=True):
    """A figure of one run, with the interval at the confidence that the number of comparisons asks for."""

    value: float
    interval: Interval | None


def compare(a: Result, b: Result) -> Comparison:
    """Compare run b to run a; raise IncomparableError, in one line, when they cannot be."""
    refuse_incomparable(a, b)
    others = {endpoint.name: endpoint for endpoint in b.endpoints}
    pairs = [(endpoint, others[endpoint.name]) for endpoint in a.endpoints]
    measured = [(one, other) for one, other in pairs if one.blocks and other.blocks]
    beyond = (1 - CONFIDENCE) / 2 / (len(measured) * (2 * len(QUANTILES) + 1) + 1)
    differences = [_rates(a, b, beyond)]
    for one, other in measured:
        differences += _percentiles(one, other, a, b, beyond)
        differences.append(_errors(one, other, a, b, beyond))
    found = tuple(filter(None, differences))
    return Comparison(
        a=a.status.run,
        b=b.status.run,
        scenario=a.scenario.name,
        differences=found,
        changes=tuple(changes(a, b)),
        summary=summary(found),
    )


def summary(differences: Iterable[Difference]) -> str:
    """Return one sentence for a person."""
    found = list(differences)
    said = []
    for direction in ("worse", "better"):
        names = [f"{each.endpoint} {each.figure}".strip() for each in found if each.direction == direction]
        if names:
            said.append(f"really {direction}: {', '.join(names)}")
    if said:
        return "; ".join(said)
    bounds = [each.ratio_bounds for each in found if each.figure == "response p95"]
    highest = [each.high for each in bounds if each is not None and each.high is not None]
    if not highest:
        return "no real difference was found, and there are too few samples to find one"
    return f"no real difference; a p95 up to {max(highest):.2f} times as long would not have shown"


def _percentiles(
    one: EndpointResult, other: EndpointResult, a: Result, b: Result, beyond: float
) -> Iterator[Difference | None]:
    for figure in ("response", "service"):
        first, second = getattr(one, figure), getattr(other, figure)
        samples = [
            sample_of(endpoint.blocks, run.block_seconds, figure, trend=bool(run.scenario.stage))
            for endpoint, run in ((one, a), (other, b))
        ]
        for name, q in QUANTILES.items():
            before, after = first.quantile(q), second.quantile(q)
            if before is None or after is None:
                continue
            yield _compared(
                one.name,
                f"{figure} {name}",
                "seconds",
                _Figure(before, samples[0].interval(q, 1 - 2 * beyond, within=True)),
                _Figure(after, samples[1].interval(q, 1 - 2 * beyond, within=True)),
            )


def _errors(one: EndpointResult, other: EndpointResult, a: Result, b: Result, beyond: float) -> Difference:
    return _compared(one.name, "errors", "share", _failed(one, a, beyond), _failed(other, b, beyond))


def _failed(endpoint: EndpointResult, run: Result, beyond: float) -> _Figure:
    length = max(block.at // run.block_seconds for block in endpoint.blocks) + 1
    hits, counts = [0] * batches_in(length), [0] * batches_in(length)
    for block in endpoint.blocks:
        batch, ended = batch_of(block.at // run.block_seconds, length), sum(block.outcomes.values())
        counts[batch] += ended
        hits[batch] += ended - block.outcomes.get(OK, 0)
    return _Figure(sum(hits) / sum(counts), proportion(hits, counts, beyond, trend=bool(run.scenario.stage)))


def _rates(a: Result, b: Result, beyond: float) -> Difference | None:
    first, second = _rate(a, beyond), _rate(b, beyond)
    return None if first is None or second is None else _compared("", "rate", "per second", first, second)


def _rate(run: Result, beyond: float) -> _Figure | None:
    """Return answers a second over the whole blocks of the plan; None for a run shorter than one."""
    length = int(run.scenario.length // run.block_seconds)
    if not length:
        return None
    ended, seconds = [0] * batches_in(length), [0] * batches_in(length)
    for position in range(length):
        seconds[batch_of(position, length)] += run.block_seconds
    for moment in run.moments:
        if moment.at // run.block_seconds < length:
            ended[batch_of(moment.at // run.block_seconds, length)] += moment.completed
    rates = [count / time for count, time in zip(ended, seconds, strict=True)]
    return _Figure(sum(ended) / sum(seconds), average(rates, beyond, trend=bool(run.scenario.stage)))


def _compared(endpoint: str, figure: str, scale: Scale, a: _Figure, b: _Figure) -> Difference:
    bounds = _apart(a, b)
    ratios = _ratio_bounds(a, b) if scale != "share" else None
    tested, none = (ratios, 1.0) if ratios is not None else (bounds, 0.0)
    longer = tested.low is not None and tested.low > none
    shorter = tested.high is not None and tested.high < none
    word: Word = "too few" if tested.low is None or tested.high is None else "noise"
    direction: Direction | None = None
    if (longer or shorter) and _tells_apart(scale, a.value, b.value):
        word, direction = "real", "worse" if longer == (scale != "per second") else "better"
    return Difference(
        endpoint=endpoint,
        figure=figure,
        scale=scale,
        a=a.value,
        b=b.value,
        difference=b.value - a.value,
        difference_bounds=bounds,
        ratio=b.value / a.value if a.value else None,
        ratio_bounds=ratios,
        word=word,
        direction=direction,
    )


def _tells_apart(scale: Scale, a: float, b: float) -> bool:
    """Say whether the measure is fine enough to tell two values apart."""
    if scale == "share":
        return a != b
    if not a or not b:
        return True
    return abs(math.log(b / a)) > (BUCKETS_APART * _BUCKET if scale == "seconds" else math.log(RATE_APART))


def _apart(a: _Figure, b: _Figure) -> Bounds:
    """Return the bounds of b less a."""
    if a.interval is None or b.interval is None:
        return Bounds(None, None)
    between = b.value - a.value
    low = between - math.hypot(_under(b), _over(a))
    high = between + math.hypot(_over(b), _under(a))
    return Bounds(_finite(low), _finite(high))


def _ratio_bounds(a: _Figure, b: _Figure) -> Bounds | None:
    """Return the bounds of b / a: those of the difference of the logarithms. None where one is zero."""
    if not a.value or not b.value:
        return None
    bounds = _apart(*(_Figure(math.log(each.value), _logarithm(each.interval)) for each in (a, b)))
    return Bounds(*(None if bound is None else math.exp(bound) for bound in (bounds.low, bounds.high)))


def _logarithm(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    low = math.log(interval.low) if interval.low > 0 else -math.inf
    return Interval(low, None if interval.high is None else math.log(interval.high))


def _under(figure: _Figure) -> float:
    """Return how far the interval reaches below the value, which is a bucket's middle and may itself be beside it."""
    return max(0.0, figure.value - figure.interval.low) if figure.interval else math.inf


def _over(figure: _Figure) -> float:
    """Return how far the interval reaches above the value."""
    if figure.interval is None or figure.interval.high is None:
        return math.inf
    return max(0.0, figure.interval.high - figure.value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
