"""A real OTLP receiver, rotel, that passes on to a sink of ours what it takes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rotel  # type: ignore[import-untyped]  # it is a folder with a program

from app.embedded.port import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def rotel_at(port: int, sink: int, folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a rotel that takes OTLP/HTTP on a port and forwards to the port of a sink."""
    command = [
        str(Path(rotel.__file__).parent / "rotel-agent"),
        "start",
        *("--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"),
        *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
        *("--otlp-exporter-endpoint", f"http://127.0.0.1:{sink}", "--otlp-exporter-compression", "none"),
        *("--pid-file", str(folder / "pid"), "--log-file", str(folder / "log"), "--batch-timeout", "50ms"),
    ]
    said = folder / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=_with_shared_python())  # noqa: ASYNC220, S603 - our own receiver
    try:
        await _accepting(port, process, said)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _with_shared_python() -> dict[str, str]:
    """Return the environment of a receiver, whose wheel needs the library of the Python that it was built for."""
    folder, library = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if not folder or not library or not (Path(folder) / library).exists():
        return dict(os.environ)
    known = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "LD_LIBRARY_PATH": f"{folder}:{known}" if known else folder}


def _why(said: str) -> str:
    """Explain the end of a receiver, as far as it is known."""
    if "libpython" not in said:
        return f"rotel ended before it listened: {said}"
    return (
        f"rotel's wheel needs the shared library of Python {sysconfig.get_python_version()}, which this Python was built "
        f"without; use one that was built with --enable-shared, or install the library (Debian: libpython3): {said}"
    )


async def _accepting(port: int, process: subprocess.Popen[bytes], said: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            if process.poll() is not None:
                pytest.fail(_why(said.read_text(errors="replace").strip()))  # noqa: ASYNC240 - the end
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)
