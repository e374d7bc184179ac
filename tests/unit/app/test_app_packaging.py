"""What is installed is what is in the tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("app", "console", "loadgen", "observability", "migrations")


def test_a_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    """Scripts, templates, targets and scenarios are not left out of an ordinary installation."""
    source = tmp_path / "source"
    source.mkdir()
    wanted = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    for path in [*wanted, *map(Path, ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"))]:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own interpreter
    [wheel] = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert [str(path) for path in wanted if str(path) not in packed] == []
