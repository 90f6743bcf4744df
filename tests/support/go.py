"""Go programs of the tests, compiled once per run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.needs import missing, needs
from tests.support.once import once


def compiled(factory: pytest.TempPathFactory, source: Path, name: str) -> Path:
    """The program of this folder. Without Go, or what it imports, the test ends here."""
    go = needs(shutil.which("go"), "the Go toolchain, 1.24 or newer")
    return once(factory, name, lambda binary: _build(go, source, binary))


def _build(go: str, source: Path, binary: Path) -> None:
    fetched = subprocess.run([go, "mod", "download"], cwd=source, capture_output=True, text=True, timeout=300)
    if fetched.returncode:
        missing(f"the Go modules of {source.name}: {fetched.stderr.strip()}")
    built = subprocess.run([go, "build", "-o", str(binary), "."], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
