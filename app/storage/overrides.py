"""What a fleet has changed of its settings: one document in Redis, held by the instances that live.

A document belongs to runs of instances, not to the server that keeps it: an instance that starts takes it over from one that is
alive beside it, and from nobody else, so a fleet that was stopped begins as its environment says. Redis may lose the document;
each worker that knows it gives it back.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_SCRIPTS = Path(__file__).parent / "lua"
LOOK = (_SCRIPTS / "overrides.lua").read_text()
REPLACE = (_SCRIPTS / "overrides_replace.lua").read_text()

KEYS = ("gatewatch:{settings}", "gatewatch:{settings}:holders")
KEPT_SECONDS = 60
"""How long the document stays when nobody holds it any more."""

SETTLED_SECONDS = 3.0
"""After so long an instance has heard of every other that lives."""

_logger = logging.getLogger("gatewatch")


class Change(msgspec.Struct, frozen=True):
    """One change. ``former`` is the override that it replaced, None when the setting was as the environment says."""

    number: int
    at: float
    name: str
    before: str
    after: str
    former: str | None = None
    undone: bool = False


class Document(msgspec.Struct, frozen=True):
    """The overrides by setting, and the latest changes, oldest first."""

    values: dict[str, str] = {}
    changes: tuple[Change, ...] = ()


class OverridesAway(Exception):
    """Redis does not answer."""


class Overrides:
    """The document as one worker knows it; ``run`` names the life of the instance that it belongs to."""

    def __init__(self, redis: Redis, run: str) -> None:
        self._redis = redis
        self._run = run
        self._since = ""
        self._version = 0
        self._stored = 0
        self._unreadable = 0
        self._settled = False
        self.document = Document()

    async def look(self) -> bool:
        """Bring the document up to date; say whether it changed. Raises OverridesAway."""
        text = msgspec.json.encode(self.document) if self._version else b""
        now, holds, version, found = await self._run_script(
            LOOK, self._run, self._since, self._version, text, KEPT_SECONDS
        )
        self._since = self._since or now.decode()
        self._settled = float(now) - float(self._since) > SETTLED_SECONDS
        self._stored = int(version)
        if not holds or not found:
            return False
        try:
            self.document = msgspec.json.decode(found, type=Document)
        except msgspec.DecodeError as error:
            # Nobody of ours wrote it. What is in force stays; the next change replaces it.
            if self._stored != self._unreadable:
                _logger.warning("the changed settings that Redis holds cannot be read: %s", error)
            self._unreadable = self._stored
            return False
        self._version = int(version)
        return True

    @property
    def settled(self) -> bool:
        """Whether every instance beside this one has been heard of: until then nothing can be replaced that others may hold."""
        return self._settled or self._stored in {0, self._version}

    async def replace(self, document: Document) -> bool:
        """Put another document in the place of the one that was seen last; False when somebody was quicker. Raises OverridesAway."""
        version, anew = self._stored + 1, self._stored != self._version
        done = await self._run_script(
            REPLACE, self._run, self._stored, version, msgspec.json.encode(document), KEPT_SECONDS, int(anew)
        )
        if done:
            self._stored = self._version = version
            self.document = document
        return bool(done)

    async def _run_script(self, script: str, *arguments: Any) -> Any:
        try:
            return await self._redis.eval(script, len(KEYS), *KEYS, *arguments)
        except (RedisError, OSError, TimeoutError) as error:
            raise OverridesAway(f"Redis did not answer: {type(error).__name__}") from error
