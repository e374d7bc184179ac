"""Writing files whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import FolderError

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name and then rename it, so that no reader ever sees half of it.

    A pipe or a device is written to and not replaced. Raises FolderError when it cannot be done; nothing is left of the half
    then, and what was there before stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FolderError(f"cannot write {path}: {error.strerror}") from error
