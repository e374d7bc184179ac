"""Nothing but argon2id.

Run as ``python -m benchmarks.bare_hash THREADS SECONDS HASH PASSWORD``; prints verifications/s and CPU seconds of each.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from nacl.pwhash import argon2id


def main(threads: int, seconds: float, encoded: bytes, password: bytes) -> tuple[float, float]:
    """Verify the password again and again in every thread; return how often a second, and the CPU seconds of each."""

    def verify() -> int:
        done = 0
        while time.perf_counter() < end:
            argon2id.verify(encoded, password)
            done += 1
        return done

    with ThreadPoolExecutor(threads) as executor:
        began, before = time.perf_counter(), time.process_time()
        end = began + seconds
        done = sum(future.result() for future in [executor.submit(verify) for _ in range(threads)])
        return done / (time.perf_counter() - began), (time.process_time() - before) / done


if __name__ == "__main__":
    print(*main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3].encode(), sys.argv[4].encode()))
