"""Counting in a worker: plain integers that cost next to nothing until someone asks for a snapshot."""

from observability.record.meters import CacheMeter, HashMeter, PoolMeter
from observability.record.recorder import Recorder

__all__ = ["CacheMeter", "HashMeter", "PoolMeter", "Recorder"]
