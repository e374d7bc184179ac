"""INFO is read parsed or raw, and a bad answer is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from observability.record.redis import read_info, sample_redis

RAW = (
    b"# Server\r\nrun_id:abc\r\n# Stats\r\nkeyspace_hits:5\r\nkeyspace_misses:2\r\nevicted_keys:1\r\nexpired_keys:3\r\n"
    b"# Memory\r\nused_memory:1000\r\nmaxmemory:2000\r\nmaxmemory_policy:volatile-lru\r\n"
)


def test_raw_and_parsed_say_the_same() -> None:
    """A client that parses INFO and one that does not give the same figures."""
    parsed: dict[str, Any] = {
        "run_id": "abc",
        "keyspace_hits": 5,
        "keyspace_misses": 2,
        "evicted_keys": 1,
        "expired_keys": 3,
        "used_memory": 1000,
        "maxmemory": 2000,
        "maxmemory_policy": "volatile-lru",
    }
    assert read_info(RAW) == read_info(parsed)
    assert read_info(RAW).memory_max == 2000


@pytest.mark.parametrize("reply", [OSError("gone"), {}, b"nonsense"])
async def test_a_bad_answer_is_none(reply: Any) -> None:
    """An error, an empty and a foreign answer give no figures and raise nothing."""

    class Client:
        async def execute_command(self, *_: Any) -> Any:
            if isinstance(reply, Exception):
                raise reply
            return reply

    assert await sample_redis(Client()) is None
