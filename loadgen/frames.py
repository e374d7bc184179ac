"""What the telling process and the sending ones say to each other: msgpack messages behind a length of four bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.results import ProcessUse
from loadgen.scenario import Scenario
from loadgen.tally import Counts
from loadgen.target import Target

if TYPE_CHECKING:
    import asyncio

_LENGTH = 4


class Share(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The first message to a sending process: which part of what it does. ``samples`` is the file for raw samples."""

    scenario: Scenario
    target: Target
    authority: str | None
    run: str
    password: str
    part: int
    parts: int
    samples: str | None


class Start(msgspec.Struct, frozen=True, tag=True):
    """Begin at this instant of the monotonic clock, which all processes of a machine share."""

    at: float


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Send nothing new, and drain; ``now``, give up what is under way."""

    now: bool = False


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """One more user is ready."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """All users are."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The users cannot be prepared; the message is for a person."""

    message: str


class Report(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """What was counted since the last report, and where the process stands. ``use`` comes with the last one."""

    counts: Counts
    planned: int
    sent: int
    completed: int
    in_flight: int
    waiting: int
    cut: int
    draining: bool
    use: ProcessUse | None = None
    fault: str = ""


Command = Share | Start | Stop
Message = Prepared | Ready | Refused | Report
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_messages: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def frame(message: Command | Message) -> bytes:
    """Return a message as it travels."""
    content = msgspec.msgpack.encode(message)
    return len(content).to_bytes(_LENGTH) + content


async def read_command(reader: asyncio.StreamReader) -> Command:
    """Read a command; raise EOFError when the other side is gone."""
    return _commands.decode(await _read(reader))


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Read a message; raise EOFError when the other side is gone."""
    return _messages.decode(await _read(reader))


async def _read(reader: asyncio.StreamReader) -> bytes:
    # IncompleteReadError is an EOFError.
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH))
        return await reader.readexactly(length)
    except ConnectionError as error:
        raise EOFError(str(error)) from error
