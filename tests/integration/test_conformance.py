"""The API against its own document, tried by Schemathesis."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from running import Serve

TESTS = Path(__file__).parents[1]
MOST_SECONDS = 600
"""Twenty times what it takes alone on two cores."""


async def test_the_api_keeps_to_its_document(serve: Serve) -> None:
    """Nothing sent, valid or broken, is answered with a server error, or with what the document does not say."""
    async with serve(rate_limits=False) as service:
        url = f"http://127.0.0.1:{service.port}"
        token = (await service.person())["Authorization"].removeprefix("Bearer ")
        await service.sql.execute("UPDATE users SET role = 'admin'")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "conformance.toml")),
            *("run", f"{url}/docs/openapi.json", "--no-color"),
            env={**os.environ, "PYTHONPATH": str(TESTS), "CONFORMANCE_URL": url, "CONFORMANCE_ADMIN": token},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(MOST_SECONDS):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, said.decode()
