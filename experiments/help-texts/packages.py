"""The packages that hold the text, fetched by name with the system's own clients, pinned by version and checksum."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PINS = Path(__file__).parent / "packages.json"


class PackageError(SystemExit):
    pass


class Packages:
    """`other` accepts versions that are not pinned (another release of Debian, or Ubuntu): the text then differs a
    little from that of the published study, and `versions` says which it was."""

    def __init__(self, cache: Path, *, other: bool = False) -> None:
        self.cache, self.other = cache, other
        self.pins: dict[str, dict[str, str]] = json.loads(PINS.read_text()) if PINS.exists() else {}
        self.versions: dict[str, dict[str, str]] = {}
        cache.mkdir(parents=True, exist_ok=True)

    def debian(self, name: str) -> Path:
        found = self._newest(f"{name}_*.deb")
        if found is None:
            self._call(["apt-get", "download", name], "Needs apt of Debian or Ubuntu; first apt-get update.")
            found = self._newest(f"{name}_*.deb")
        return self._checked(name, found)

    def npm(self, name: str, version: str) -> Path:
        found = self._newest(f"{name}-{version}.tgz")
        if found is None:
            self._call(["npm", "pack", "--silent", f"{name}@{version}"], "Needs npm.")
            found = self._newest(f"{name}-{version}.tgz")
        return self._checked(name, found)

    def _newest(self, pattern: str) -> Path | None:
        return max(self.cache.glob(pattern), key=lambda p: p.stat().st_mtime, default=None)

    def _call(self, command: Sequence[str], hint: str) -> None:
        if shutil.which(command[0]) is None:
            raise PackageError(f"{command[0]} is not there. {hint}")
        done = subprocess.run(command, cwd=self.cache, capture_output=True, text=True)
        if done.returncode:
            raise PackageError(f"{' '.join(command)}: {done.stderr.strip() or 'failed'}. {hint}")

    def _checked(self, name: str, path: Path | None) -> Path:
        if path is None:
            raise PackageError(f"{name}: the client ended well and left no file in {self.cache}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pin = self.pins.get(name)
        if pin and pin["sha256"] != digest and not self.other:
            what = f"{name}: {path.name} is not the pinned {pin['file']} (sha256 {pin['sha256']}, here {digest})."
            hint = "Fetch that version (snapshot.debian.org keeps all), or accept this one with --other-versions."
            raise PackageError(f"{what} {hint}")
        self.versions[name] = {"file": path.name, "sha256": digest}
        return path


def debian_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each regular file of a .deb, by its path."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile() and (stream := archive.extractfile(member)):
                    yield member.name.removeprefix("./"), stream.read()


def npm_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and (stream := archive.extractfile(member)):
                yield member.name, stream.read()
