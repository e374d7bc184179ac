"""The guard: runs one program and stops it when the starter is gone, however the starter went.

Run by path under ``python -I -S``, so it imports the standard library alone and is up in a few hundredths of a second.

It reads one line of JSON (an ``Order``, see guarded.py) from its standard input; every later line is the name of a
signal to pass on. End of input means: stop the program. It answers with JSON lines: ``pid`` or ``failed``, then ``exit``.
The program's output goes through the guard into a log of bounded size; the last lines come back with ``exit``.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from typing import IO, Any

LAST_LINES = 20
LONGEST_LINE = 16_384
PR_SET_PDEATHSIG = 1


class Input:
    """Lines of file descriptor 0, unbuffered, so that a blocked reader never holds up the interpreter's exit."""

    def __init__(self) -> None:
        self._rest = b""

    def line(self) -> bytes | None:
        """Return the next line, or None at the end of input."""
        while b"\n" not in self._rest:
            more = os.read(0, 65_536)
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class Log:
    """The last lines in memory, and all of them in a file that is put aside once when it has grown to its limit.

    The file may lie in a folder that the program itself makes: what it says before that waits in memory. A disk that
    is full or closed to us costs lines of log and nothing else.
    """

    def __init__(self, path: str | None, limit: int) -> None:
        self.last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._path, self._limit = path, limit
        self._file: IO[bytes] | None = None

    def pump(self, output: IO[bytes]) -> None:
        """Take everything from the program's output."""
        while line := output.readline(LONGEST_LINE):
            self.add(line)

    def add(self, line: bytes) -> None:
        """Keep a line."""
        self.last.append(line.decode(errors="replace").rstrip())
        if self._path is not None and os.path.isdir(os.path.dirname(self._path)):  # noqa: PTH112, PTH120 - pathlib would double the start time
            with contextlib.suppress(OSError):
                self._write(self._path, line)

    def close(self) -> None:
        """Keep the last lines even of a program that never made the folder."""
        if self._path is not None and self._file is None and self.last:
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120 - the same
                self._write(self._path, b"")
        if self._file is not None:
            self._file.close()

    def _write(self, path: str, line: bytes) -> None:
        if self._file is None:
            self._file = open(path, "ab", buffering=0, opener=_privately)  # noqa: SIM115 - kept open
            line = "".join(f"{each}\n" for each in self.last).encode()
        self._file.write(line)
        if self._file.tell() > self._limit:
            self._file.close()
            os.replace(path, path + ".1")  # noqa: PTH105 - the same
            self._file = open(path, "ab", buffering=0, opener=_privately)  # noqa: SIM115 - kept open


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def say(**report: Any) -> None:
    """Report to the starter, who may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(report).encode() + b"\n")


def start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own and, when the order names one, under another account."""
    account: dict[str, Any] = {}
    if order["uid"] is not None:
        account = {"user": order["uid"], "group": order["gid"], "extra_groups": []}
    tie = None
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        first = getattr(signal, order["stops"][0][0])
        tie = lambda: prctl(PR_SET_PDEATHSIG, first)  # noqa: E731 - one call, made between fork and exec
    program = subprocess.Popen(  # noqa: S603 - the order comes from our starter
        order["command"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=order["cwd"],
        env=order["env"],
        start_new_session=True,
        preexec_fn=tie,  # noqa: PLW1509 - no thread exists yet; even a SIGKILLed guard then leaves nothing behind
        **account,
    )
    if program.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            program.stdin.write(order["stdin"].encode())
            program.stdin.close()
    return program


def obey(program: subprocess.Popen[bytes], stops: list[tuple[str, float]], lines: Input, gone: threading.Event) -> None:
    """Pass signals on; at the end of input stop the program, each way being given its time before the next, harder one."""
    while (line := lines.line()) is not None:
        program.send_signal(getattr(signal, line.decode()))
    for name, patience in stops:
        program.send_signal(getattr(signal, name))
        if gone.wait(patience):
            return
    program.kill()


def main() -> int:
    """Run the program to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler and not SIG_IGN, which the program would inherit. Only the end of input stops a guard.
        signal.signal(number, lambda *_: None)
    lines = Input()
    first = lines.line()
    if first is None:
        return 1
    order = json.loads(first)
    try:
        log = Log(order["log"], order["log_limit"])
        program = start(order)
    except (OSError, subprocess.SubprocessError) as error:
        say(failed=str(error))
        return 1
    say(pid=program.pid)
    gone = threading.Event()
    pump = threading.Thread(target=log.pump, args=(program.stdout,), daemon=True)
    pump.start()
    threading.Thread(target=obey, args=(program, order["stops"], lines, gone), daemon=True).start()
    code = program.wait()
    gone.set()
    pump.join(1)
    log.close()
    say(exit=code, said=list(log.last))
    return 0


if __name__ == "__main__":
    # Threads may be inside a blocking read; nothing is left to flush, so leave without waiting for them.
    os._exit(main())
