"""Numbers as people write them into forms, read against their bounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from console.pages.page import Refused
from console.ports import LoadChanges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.ports import ScenarioCard

MOST_SEED = 2**31 - 1


def changes_of(form: Mapping[str, str], card: ScenarioCard) -> LoadChanges:
    """Read what a form changes of a scenario, nothing where a field is empty; raise Refused, with the field, for what cannot be."""
    users = _number(form, "users", "Users", _most(form, "users", card, card.most_users), whole=True)
    rate = _number(
        form, "rate", "Requests a minute", _most(form, "rate", card, card.most_rate_per_minute, "The rate"), whole=False
    )
    seconds = _number(form, "seconds", "Seconds", _most(form, "seconds", card, card.most_seconds), whole=False)
    seed = _number(form, "seed", "The seed", MOST_SEED, whole=True, least=0)
    return LoadChanges(
        users=None if users is None else int(users),
        rate_per_minute=rate,
        seconds=seconds,
        seed=None if seed is None else int(seed),
    )


def _most(form: Mapping[str, str], field: str, card: ScenarioCard, most: float, label: str = "This") -> float:
    if form.get(field, "").strip() and not most:
        raise Refused(f"{label} cannot be changed: the plan of {card.name} has its own.", field, form)
    return most


def _number(
    form: Mapping[str, str], field: str, label: str, most: float, *, whole: bool, least: float = 1
) -> float | None:
    text = form.get(field, "").strip().replace(",", "")
    if not text:
        return None
    try:
        number = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        number = math.nan
    if not least <= number <= most:
        what = "a whole number" if whole else "a number"
        raise Refused(f"{label} must be {what} from {least:,.10g} to {most:,.10g}.", field, form)
    return number
