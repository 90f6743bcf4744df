"""The sdist and the wheel of the commit that is checked out: the same bytes wherever and whenever they are built."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_UNIX = 3
_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
_WHEEL = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def builder(place: Path) -> Path:
    """An interpreter with the setuptools that constraints.txt pins, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "setuptools"], check=True)
    return python


def head() -> tuple[str, int]:
    """The commit, and its time in Unix seconds: the only time that a build may know."""
    commit, when = _git("log", "-1", "--format=%H %ct").split()
    return commit, int(when)


def uncommitted() -> list[str]:
    """What is not in the commit, and so in no build."""
    return _git("status", "--porcelain").splitlines()


def built(python: Path, place: Path, commit: str, when: int, *, umask: int, zone: str) -> list[Path]:
    """The wheel, made of the sdist alone, and the sdist. umask, zone: what differs between two machines."""
    tree, target = place / "tree", place / "target"
    for folder in (tree, target):
        folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(subprocess.check_output(["git", "archive", commit], cwd=ROOT))) as archive:
        archive.extractall(tree, filter="data")
    circumstances = {
        "SOURCE_DATE_EPOCH": str(when),
        "TZ": zone,
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "random",
    }
    _run(python, _SDIST, tree, target, umask, circumstances)
    sdist = next(target.glob("*.tar.gz"))
    plain_sdist(sdist, when)
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    _run(python, _WHEEL, place / sdist.name.removesuffix(".tar.gz"), target, umask, circumstances)
    plain_wheel(next(target.glob("*.whl")))
    return sorted(target.iterdir())


def plain_sdist(sdist: Path, when: int) -> None:
    """Write it anew without what it knows of this machine: times, owners, rights, the order of the file system."""
    with tarfile.open(sdist) as archive:
        found = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        files = sorted((member.name, reader.read(), member.mode) for member, reader in found if reader is not None)
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, mode in files:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(content), when, 0o755 if mode & 0o100 else 0o644
            archive.addfile(member, io.BytesIO(content))
    sdist.write_bytes(gzip.compress(inner.getvalue(), 9, mtime=when))


def plain_wheel(wheel: Path) -> None:
    """The same of a wheel, whose times are the commit's already: the rights of files, RECORD last."""
    with zipfile.ZipFile(wheel) as archive:
        found = [(info.filename, info.date_time, archive.read(info)) for info in archive.infolist()]
    found.sort(key=lambda each: (each[0].endswith(".dist-info/RECORD"), each[0]))
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, when, content in found:
            info = zipfile.ZipInfo(name, when)
            info.create_system, info.external_attr, info.compress_type = (
                _UNIX,
                (stat.S_IFREG | 0o644) << 16,
                archive.compression,
            )
            archive.writestr(info, content)


def digest(path: Path) -> str:
    """SHA-256, as ``sha256sum -c`` reads it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(python: Path, program: str, tree: Path, target: Path, umask: int, circumstances: dict[str, str]) -> None:
    command = [str(python), "-I", "-c", program, str(target)]
    ran = subprocess.run(
        command, cwd=tree, env=os.environ | circumstances, umask=umask, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        sys.exit(f"the build failed:\n{ran.stdout}{ran.stderr}"[-4000:])


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)
