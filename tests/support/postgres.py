"""A PostgreSQL server of a test's own, from the machine's packages: a temporary directory, a unix socket, no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 15.0
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB")


def find_binaries() -> Path | None:
    """The directory with ``initdb`` and ``postgres``: on PATH, or the newest of Debian's."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(installed, key=lambda path: float(path.parent.name), default=None)


# The pipe closes when the test process ends, however it ends.
_UNTIL_END_OF_INPUT = '"$@" </dev/null & cat; kill -QUIT $!; wait'


class Postgres:
    """Started on entry, stopped and deleted on exit. url: SQLAlchemy's, for asyncpg."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._directory = Path(tempfile.mkdtemp(prefix="pg-"))
        # PostgreSQL does not run as root.
        self._user = "nobody" if os.getuid() == 0 else None

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://test@/postgres?host={self._directory}"

    def __enter__(self) -> Self:
        data = self._directory / "data"
        if self._user:
            shutil.chown(self._directory, self._user)
        initdb = [self._binaries / "initdb", "-D", data, "-U", "test", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"]
        made = subprocess.run(initdb, user=self._user, cwd="/", capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        options = [word for option in _FAST for word in ("-c", option)]
        command = [self._binaries / "postgres", "-D", data, "-k", self._directory, "-h", "", *options]
        with (self._directory / "log").open("wb") as log:
            tied = ["/bin/sh", "-c", _UNTIL_END_OF_INPUT, "sh", *command]
            self._process = subprocess.Popen(
                tied, user=self._user, cwd="/", stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        log = self._directory / "log"
        while "ready to accept connections" not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.01)
