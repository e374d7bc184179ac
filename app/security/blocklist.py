"""Passwords that are too common to be anybody's (NIST SP 800-63B-4, 3.1.1.2).

The list in the package holds the 21,648 passwords of eight or more characters of two collections, each made from
leaked ones: Django's (BSD licence) and zxcvbn-ts's (MIT licence). The licences are in common_passwords.license.txt.
"""

from __future__ import annotations

import gzip
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Blocklist:
    """Passwords that are refused, however they are typed: in any case, in any form that Unicode holds to be the same (NFKC)."""

    def __init__(self, passwords: Iterable[str]) -> None:
        self._refused = frozenset(map(folded, passwords))

    @classmethod
    def load(cls, path: Path) -> Blocklist:
        """Read a list of one password a line in UTF-8, gzipped if its name ends in .gz. Raises OSError or ValueError."""
        opened = gzip.open if path.suffix == ".gz" else open
        try:
            with opened(path, "rt", encoding="utf-8") as lines:
                return cls(line.rstrip("\r\n") for line in lines)
        except EOFError as error:
            raise ValueError("is a gzip file that is cut off") from error

    def __contains__(self, password: object) -> bool:
        return isinstance(password, str) and folded(password) in self._refused

    def __len__(self) -> int:
        return len(self._refused)


def folded(password: str) -> str:
    """Return what is compared of a password."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", password).casefold())
