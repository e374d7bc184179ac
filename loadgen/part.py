"""A sending process: prepares its users, waits for the common start, sends its part of the load, and reports every second.

``python -m loadgen.part FD``: FD is its end of a socket pair. When the other end is gone it ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from loadgen.agenda import Agenda, Seat
from loadgen.client import Connection, Phases
from loadgen.engine import Engine
from loadgen.errors import PrepareError
from loadgen.frames import Prepared, Ready, Refused, Report, Share, Start, Stop, frame, read_command
from loadgen.journeys import Journeys
from loadgen.machine import Used
from loadgen.pacer import joining
from loadgen.prepare import Preparation, spare_sessions
from loadgen.requests import OwnRequests
from loadgen.samples import Spool
from loadgen.tally import Tally
from loadgen.target import tls_context
from loadgen.workload import Traces

if TYPE_CHECKING:
    from loadgen.frames import Message
    from loadgen.results import ProcessUse
    from loadgen.workload import Workload

_EVERY = 1.0
_ORPHANED = 1


class Part:
    """One process's part of a run, from its users to its last report."""

    def __init__(self, share: Share, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._share = share
        self._reader = reader
        self._writer = writer
        self._workload = _workload(share)
        self._connections = [self._connection() for _ in range(_connections(share))]
        offsets = joining(share.scenario, part=share.part, parts=share.parts)
        own = not share.scenario.connections
        self._seats = [
            Seat(
                offset,
                self._workload.user(1 + share.part + number * share.parts),
                self._connections[number] if own else None,
            )
            for number, offset in enumerate(offsets)
        ]
        traces = Traces(share.scenario.sampled)
        steps = share.scenario.steps
        self._spool = Spool(Path(share.samples), steps) if share.samples else None
        self._tally = Tally(self._workload.steps, steps, share.scenario.timeout_s, traces, self._spool)
        self._engine = Engine(
            Agenda(share.scenario, self._seats, part=share.part, parts=share.parts),
            self._workload,
            self._connections,
            self._tally,
            traces,
            shared=not own,
            timeout=share.scenario.timeout_s,
        )
        self._starting: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._draining = False

    async def run(self) -> None:
        """Do everything."""
        listening = asyncio.create_task(self._listen())
        try:
            await self._prepare()
        except PrepareError as error:
            self._say(Refused(str(error)))
        else:
            self._say(Ready())
            await self._measure(await self._starting)
        finally:
            listening.cancel()
        await self._writer.drain()

    def _connection(self) -> Connection:
        share, limits = self._share, self._share.scenario.timeouts
        whole = share.scenario.timeout_s
        phases = Phases(limits.connect_s or whole, limits.send_s or whole, limits.first_byte_s or whole)
        tls = tls_context(share.target, Path(share.authority) if share.authority else None)
        return Connection(share.target, timeout=whole, phases=phases, tls=tls)

    async def _prepare(self) -> None:
        users = [seat.user for seat in self._seats]
        preparation = Preparation(self._share.target, self._workload, parts=self._share.parts)
        spares = spare_sessions(self._share.scenario, len(users))
        await preparation.run(users, self._connections, spares, lambda: self._say(Prepared()))

    async def _measure(self, at: float) -> None:
        gc.collect()
        gc.freeze()  # What is here now stays; looking through it again and again would show as lag.
        before = Used.now()
        ticking = asyncio.create_task(self._tick())
        await self._engine.run(at, self._drain)
        use = before.until(Used.now(), self._share.part)
        ticking.cancel()
        self._say(self._report(use))

    def _drain(self) -> None:
        self._draining = True

    async def _tick(self) -> None:
        """Report every second, each process at another time, so that they do not all stop for it at once."""
        await asyncio.sleep((self._share.part + 1) / self._share.parts * _EVERY)
        while True:
            self._say(self._report())
            await asyncio.sleep(_EVERY)

    async def _listen(self) -> None:
        """Obey; when nobody is there to command any more, nobody wants the result."""
        try:
            while True:
                command = await read_command(self._reader)
                if isinstance(command, Start):
                    self._starting.set_result(command.at)
                elif isinstance(command, Stop):
                    self._engine.abort() if command.now else self._engine.stop()
        except EOFError:
            os._exit(_ORPHANED)

    def _report(self, use: ProcessUse | None = None) -> Report:
        tally, engine, spool = self._tally, self._engine, self._spool
        counts = tally.take(last=use is not None)
        if spool is not None and use is not None:
            spool.close()
        return Report(
            counts=counts,
            planned=tally.planned,
            sent=tally.sent,
            completed=tally.completed,
            in_flight=engine.in_flight,
            waiting=engine.waiting,
            cut=engine.cut,
            draining=self._draining,
            use=use,
            fault=spool.fault if spool else "",
        )

    def _say(self, message: Message) -> None:
        self._writer.write(frame(message))


async def _serve(descriptor: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    share = await read_command(reader)
    if isinstance(share, Share):
        await Part(share, reader, writer).run()
    writer.close()
    await writer.wait_closed()


def _workload(share: Share) -> Workload:
    if share.scenario.request:
        return OwnRequests(share.scenario, share.target, share.run, part=share.part, parts=share.parts)
    return Journeys(share.target, share.run, share.password, part=share.part, parts=share.parts)


def _connections(share: Share) -> int:
    """Return how many connections are this part's: of those that are shared, or one for each of its users."""
    return len(range(share.part, share.scenario.connections or share.scenario.most_users, share.parts))


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Who started us decides what an interrupt means.
    with contextlib.suppress(EOFError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
