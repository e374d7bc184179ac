"""Parts as they were rendered last: one whose figures are what they were need not be rendered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

MOST_DRAWN = 256
"""Parts kept at most, of up to some 20 kB; past it the one longest not asked for is forgotten."""

_Figures = dict[str, Any]


class Drawn:
    """Rendered parts by whom they are for, with the values that they were rendered from."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[_Figures, str]] = {}

    def get(self, asked: Hashable, figures: Mapping[str, Any], render: Callable[[], str]) -> str:
        """Return the part; it is rendered when any of its figures is another."""
        known = self._known.pop(asked, None)
        text = render() if known is None or not _same(known[0], figures) else known[1]
        self._known[asked] = dict(figures), text
        if len(self._known) > MOST_DRAWN:
            del self._known[next(iter(self._known))]
        return text


def _same(before: _Figures, now: Mapping[str, Any]) -> bool:
    """Compare values; of a container that is still the same object nobody knows what was in it before."""
    return before.keys() == now.keys() and all(
        before[name] == value and not (before[name] is value and isinstance(value, list | dict | set))
        for name, value in now.items()
    )
