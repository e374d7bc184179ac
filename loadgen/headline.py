"""How a run ended, as a person says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from loadgen.durations import clock_time, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.results import Result

_MOST_REASONS = 10

Tone = Literal["good", "bad", "unsure"]


class Headline(msgspec.Struct, frozen=True):
    """The judgement as a person says it: a word, a sentence, and the reasons."""

    word: str
    sentence: str
    tone: Tone
    reasons: tuple[str, ...] = ()


def headline(result: Result) -> Headline:
    """Say how the run ended, in words."""
    status = result.status
    reasons = _reasons(result)
    if status.state == "interrupted":
        at = (
            f"after {clock_time(status.elapsed)} of {clock_time(status.seconds)}"
            if status.elapsed
            else "before it began"
        )
        return Headline("INTERRUPTED", f"The run was ended {at}; there is no verdict on the whole.", "unsure", reasons)
    if not status.completed:
        return Headline("NO VERDICT", "No request came to an end.", "unsure", reasons)
    if status.validity != "VALID":
        return Headline(
            "INVALID",
            "The generator itself did not keep up, so these times prove nothing about the service.",
            "unsure",
            reasons,
        )
    failed = f"{share(status.errors / status.completed)} of the requests failed, {share(result.scenario.allowed_error_rate)} may"
    failed = failed if status.errors else "no request failed"
    if status.verdict == "PASS":
        judged = sum(endpoint.verdict == "PASS" for endpoint in status.endpoints)
        met = (
            "the one target was met"
            if judged == 1
            else f"all {judged} targets were met"
            if judged
            else "there was no target"
        )
        return Headline("PASS", f"{met[0].upper()}{met[1:]}, and {failed}.", "good", reasons)
    if status.verdict == "FAIL":
        slow = [endpoint.name for endpoint in status.endpoints if endpoint.verdict == "FAIL"]
        missed = f"{_listed(slow)} missed {'its target' if len(slow) == 1 else 'their targets'}; " if slow else ""
        return Headline("FAIL", f"{missed}{failed}.", "bad", reasons)
    return Headline("TOO FEW", "Not every endpoint can be judged by so many samples.", "unsure", reasons)


def _reasons(result: Result) -> tuple[str, ...]:
    """Return the parts of the message; those that made the run invalid are known, and may hold the separator."""
    message = result.status.message
    for reason in result.invalid:
        message = message.replace(reason, "", 1)
    reasons = (*result.invalid, *(part for part in message.split("; ") if part))
    more = len(reasons) - _MOST_REASONS
    return reasons if more <= 0 else (*reasons[:_MOST_REASONS], f"and {more} more")


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:3]) + ([f"{len(names) - 3} others"] if len(names) > 3 else [])  # noqa: PLR2004 - as many as are read
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
