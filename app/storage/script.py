"""Lua scripts that go by the line."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

import hiredis

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from app.storage.line import Line


class Script:
    """A script that answers with a list. Each line carries its text once; from then on the server knows it by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA calls it

    def ask(self, line: Line, arguments: Sequence[str | int], count: int, reply: asyncio.Future[Any]) -> str:
        """Have a line run it by the command that is returned, and put its answer, a list of ``count``, into ``reply``.

        That gets None when it has to be sent elsewhere, as text: the server has forgotten it, or refuses it, or the line
        broke; and TimeoutError when the answer was not there in time.
        """
        called = ("EVALSHA", self._digest) if self._digest in line.scripts else ("EVAL", self.text)
        line.scripts.add(self._digest)
        packed = hiredis.pack_command((*called, *arguments))  # type: ignore[arg-type] # it takes any number
        answered, broke = functools.partial(_answered, reply), functools.partial(_broke, reply)
        line.ask(packed, count, answered, broke, refusable=True)
        return called[0]


def _answered(reply: asyncio.Future[Any], _: bytes, answer: Any) -> None:
    if not reply.done():  # whoever asked may be gone
        reply.set_result(None if isinstance(answer, hiredis.ReplyError) else answer)


def _broke(reply: asyncio.Future[Any], error: Exception) -> None:
    if reply.done():
        return
    if isinstance(error, TimeoutError):
        reply.set_exception(error)
    else:
        reply.set_result(None)
