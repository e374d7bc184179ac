"""Which Python `make` uses: the one that was named, or none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make") or "make"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that looks as if everything was installed by the Python of this test."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    _script(programs / "gatewatch", "echo the old one runs")
    (tmp_path / ".venv" / ".place").write_text(str(tmp_path))
    for mark in (".python", ".installed"):
        (tmp_path / ".venv" / mark).touch()
    return tmp_path


def _script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def _load(folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAKE, "load", *variables], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own Makefile


def test_a_python_that_is_not_there_is_refused(folder: Path) -> None:
    """An installation that is there already does not run in its place."""
    made = _load(folder, "PYTHON=/nope")
    assert made.returncode != 0
    assert "PYTHON=/nope cannot be run" in made.stderr
    assert "the old one" not in made.stdout


def test_a_python_that_is_too_old_is_refused_with_its_version(folder: Path) -> None:
    """Whoever named it learns what it is and what is needed."""
    old = _script(folder / "old", '[ "$1" = --version ] && echo Python 3.9.1')
    made = _load(folder, f"PYTHON={old}")
    assert made.returncode != 0
    assert f"PYTHON={old} is Python 3.9.1; Gatewatch needs Python 3.11, 3.12 or 3.13" in made.stderr


def test_another_python_than_the_installed_one_is_not_passed_over(folder: Path) -> None:
    """Both are named, with the way to change."""
    other = _script(folder / "other", 'case "$2" in *ensurepip*) exit 0;; esac', "echo Python 3.12.0")
    made = _load(folder, f"PYTHON={other}")
    assert made.returncode != 0
    assert f"and not with {other} (Python 3.12.0); run `make clean` first" in made.stderr
    assert "the old one" not in made.stdout


def test_the_same_python_is_used(folder: Path) -> None:
    """By whatever name; and so is the installation when none is named."""
    assert "the old one runs" in _load(folder, f"PYTHON={sys.executable}").stdout
    assert "the old one runs" in _load(folder).stdout
