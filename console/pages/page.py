"""What a page of the console is: a place in the navigation, live parts, chart columns, and what can be done there.

A page is a class with a template ``<name>.html`` and live parts ``_<part>.html``. Parts are rendered into the page at first
paint and sent again, whenever they changed, over the event stream; viewers who ask the same share one rendering. So a
part holds nothing of one visitor: a form with its token stands outside, and buttons in parts name it (``form="..."``).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from console.ports import Feed, LoadControl
from console.tuning import LiveSettings, Plans, Trials
from observability.read.detail import Period

if TYPE_CHECKING:
    from collections.abc import Sequence

RANGES = (60, 300, 900, 3600)
"""Seconds that can be chosen to look at; by zooming, everything between the first two."""

USUAL_RANGE = 300
SHORTEST_RANGE = 10
SINGLE_SECONDS = 300
"""Seconds back from now of which every single one is kept."""

MOST_COLUMNS = 360
PATH_ARGUMENT = re.compile(r"<(\w+)(?::\w+)?>")
"""An argument in a path, as Sanic writes it; its group is the name."""

_LONGEST_ARGUMENT = 256


class Refused(Exception):
    """What was asked for is not done; the message is a sentence, ``field`` the input that it is about.

    ``given`` is the form as it was filled in, to be shown so again.
    """

    def __init__(self, sentence: str, field: str = "", given: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.field = field
        self.given = given or {}


class NothingThere(Exception):
    """The address has no such thing: a trace that was not kept, a route that nobody knows. The message is a sentence."""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What the host handed in; a page whose port is None does not exist. ``trace_url`` holds ``{trace_id}``, or is empty."""

    feed: Feed
    load: LoadControl
    service: str
    settings: LiveSettings | None = None
    plans: Plans | None = None
    trials: Trials | None = None
    trace_url: str = ""


class Ask(msgspec.Struct, frozen=True):
    """What a visitor asks of a page: which time, and the page's own arguments, those in its path among them."""

    period: Period = Period()
    arguments: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """Return one of the page's own arguments."""
        return dict(self.arguments).get(name, default)

    def step(self, now: float) -> int:
        """Return how many seconds a column of this time has: one where single seconds are kept, else tens, at most 360 columns."""
        seconds, until = self.period.seconds, self.period.until
        if seconds + (0 if until is None else max(0.0, now - until)) <= SINGLE_SECONDS:
            return 1
        return 10 * -(-seconds // (10 * MOST_COLUMNS))


class Outcome(msgspec.Struct, frozen=True):
    """What came of an action: the page to show next with its arguments, and what a script is told.

    ``shown`` is for what only the action's own page shows, once: its template is rendered with it at once.
    """

    page: str
    arguments: dict[str, str] = {}
    answer: dict[str, Any] = {}
    shown: dict[str, Any] = {}


class File(msgspec.Struct, frozen=True):
    """A file that is handed out to be kept, under this name; it is never shown as a page of ours."""

    content: bytes
    content_type: str
    name: str


Action = Callable[[Mapping[str, str]], Awaitable[Outcome]]
"""Does what a form asks for; raises Refused."""

Download = Callable[..., Awaitable[File | None]]
"""Returns a file by the arguments in its path, None where there is none."""

Columns = Mapping[str, "Sequence[float | None]"]
"""Columns by name, oldest first; ``at`` are the Unix seconds at which they end."""


class Page:
    """One page. Subclasses say what it is called and where, and override what they have.

    ``path`` is below the console's own ("trace/<id:str>" has an argument); ``key`` follows "g" on the keyboard; ``nav`` names the
    page whose entry in the navigation is marked, a page that names itself has one. ``arguments`` are the names it takes
    from the query. A script ``static/pages/<name>.js``, where there is one, is loaded on this page alone.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    path: ClassVar[str]
    key: ClassVar[str] = ""
    nav: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()
    charts: ClassVar[bool] = True
    """Whether it has charts, and so a time to look at."""
    pinned: ClassVar[bool] = False
    """Whether all its figures are of that time, not its charts alone."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @classmethod
    def of(cls, host: Host) -> Self | None:
        """Make the page, or None when the host does not hand in what it needs."""
        return cls(host)

    def alike(self, ask: Ask) -> Ask | None:  # noqa: ARG002 - for those who override it
        """Return what all who see the same figures ask, when they may differ in the time of charts, marks and links; else None."""
        return None

    async def look(self, ask: Ask) -> dict[str, Any]:  # noqa: ARG002 - for those who override it
        """Return what the page's templates need besides what all have (view, stale, ask, url, link); raise NothingThere when it shows nothing."""
        return {}

    def data(self, context: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - for those who override it
        """Return what the page's script needs besides columns, by name, as JSON can hold it; what changed is sent again."""
        return {}

    async def columns(self, ask: Ask, since: int) -> Columns:  # noqa: ARG002 - for those who override it
        """Return the columns after ``since`` that the page's charts are drawn from."""
        return {"at": ()}

    def actions(self) -> Mapping[str, Action]:
        """Return what can be posted, by path below the page's own."""
        return {}

    def downloads(self) -> Mapping[str, Download]:
        """Return what can be fetched, by path below the page's own, which may have arguments."""
        return {}


def later(columns: msgspec.Struct, since: int, names: Sequence[str] = ()) -> dict[str, Sequence[float | None]]:
    """Take the columns (all, or those named) of a feed's struct apart, from the first one after ``since`` on."""
    at: Sequence[int] = columns.at  # type: ignore[attr-defined] # every table of columns has it
    first = next((n for n, second in enumerate(at) if second > since), len(at))
    names = names or [name for name in columns.__struct_fields__ if name not in {"at", "families"}]
    return {"at": at[first:], **{name: getattr(columns, name)[first:] for name in names}}


def asked(page: type[Page] | Page, given: Callable[[str], str | None], path: Mapping[str, str] | None = None) -> Ask:
    """Read what is asked of a page from its query and path; what cannot be read is as if it had not been written."""
    until = _number(given("until"))
    seconds = _number(given("range"))
    period = Period(
        seconds=USUAL_RANGE if seconds is None else min(max(int(seconds), SHORTEST_RANGE), RANGES[-1]),
        until=None if until is None else float(int(until)),
    )
    named = {name: (given(name) or "")[:_LONGEST_ARGUMENT] for name in page.arguments} | dict(path or {})
    return Ask(period, tuple(sorted((name, value) for name, value in named.items() if value)))


def path_arguments(path: str) -> tuple[str, ...]:
    """Return the names of the arguments in a page's path."""
    return tuple(PATH_ARGUMENT.findall(path))


def _number(text: str | None) -> float | None:
    """Read a positive number of seconds."""
    if text is None or len(text) > 16:  # noqa: PLR2004 - no moment that is meant has more digits
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < 1e11 else None  # noqa: PLR2004 - neither infinite nor past the year 5000
