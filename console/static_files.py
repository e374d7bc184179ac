"""The console's own files, read once into memory and served under the digest of them all.

One digest in the path serves every file, so that a script's relative imports lead to the same version as the script
itself, and a browser may keep each for ever.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from types import MappingProxyType

import msgspec

FOLDER = Path(__file__).parent / "static"
CHARTS = ("vendor/uPlot.iife.min.js", "vendor/uPlot.min.css")

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_NOT_KEPT = "no-cache"


class StaticFile(msgspec.Struct, frozen=True):
    """A file as it is sent; ``compressed`` is the same in gzip, where that is shorter."""

    content: bytes
    content_type: str
    compressed: bytes | None = None


class StaticFiles:
    """What the folder holds, at the time this is made."""

    def __init__(self, folder: Path = FOLDER) -> None:
        files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and not path.name.startswith(".")
        }
        self._files = MappingProxyType(files)
        digest = hashlib.sha256()
        for name, file in files.items():
            digest.update(f"{name} {len(file.content)} ".encode() + file.content)
        self.digest = digest.hexdigest()[:16]

    @property
    def charts_installed(self) -> bool:
        """Whether the charting library was fetched."""
        return all(name in self._files for name in CHARTS)

    def find(self, name: str) -> StaticFile | None:
        """Return a file by its path below the folder, or None."""
        return self._files.get(name)

    def caching(self, digest: str) -> str:
        """Say how long a file asked for under a digest may be kept.

        Under another version's digest (a worker started before or after a change) the present file is still the best
        answer, but not one to keep.
        """
        return _FOR_EVER if digest == self.digest else _NOT_KEPT


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    compressed = gzip.compress(content, mtime=0)
    return StaticFile(content, _TYPES[path.suffix], compressed if len(compressed) < len(content) else None)
