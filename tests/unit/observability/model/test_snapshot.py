"""Snapshots: what is encoded is decoded, and nothing else is."""

from __future__ import annotations

import msgspec
import pytest

from observability.model import SnapshotError, decode_snapshot, encode_snapshot
from observability.record import Recorder


def test_a_snapshot_survives_the_journey() -> None:
    """Every part of a worker's snapshot is the same after encoding and decoding."""
    recorder = Recorder(instance="here")
    recorder.requests.record("GET", "/users/{id}", 200, "", 0.02)
    recorder.cache("session").misses += 1
    recorder.pool("postgresql", 10).enqueue()
    recorder.hashing(1, 16).done(0.1, 0.2)
    snapshot = recorder.snapshot()
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_another_version_is_refused() -> None:
    """A snapshot of another version is not read as ours."""
    snapshot = msgspec.structs.replace(Recorder(instance="here").snapshot(), version=2)
    with pytest.raises(SnapshotError, match="version 2"):
        decode_snapshot(encode_snapshot(snapshot))


@pytest.mark.parametrize("raw", [b"", b"\x93torn", b"hello", b"\xc0"])
def test_other_bytes_are_refused(raw: bytes) -> None:
    """Torn or foreign bytes are a SnapshotError and nothing else."""
    with pytest.raises(SnapshotError):
        decode_snapshot(raw)
