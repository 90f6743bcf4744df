"""Which source files of a directory changed, for ``hustlex up --reload``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})
_WATCHED = (".py", ".env", ".toml", ".html")


class Sources:
    """The files under a directory, hidden directories and virtual environments left out, by their time and size."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = dict(self._look())

    def changed(self) -> str:
        """The name of a file that is new, gone or another since the last call; "" when all are the same."""
        seen, self._seen = self._seen, dict(self._look())
        different = sorted(path for path in seen.keys() | self._seen.keys() if seen.get(path) != self._seen.get(path))
        return os.path.relpath(different[0], self._root) if different else ""

    def _look(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for folder, inner, files in os.walk(self._root):
            inner[:] = [name for name in inner if _wanted(folder, name)]
            for name in files:
                if name.endswith(_WATCHED):
                    path = os.path.join(folder, name)  # noqa: PTH118 - every file, twice a second
                    try:
                        found = os.stat(path)  # noqa: PTH116
                    except OSError:
                        continue
                    yield path, (found.st_mtime_ns, found.st_size)


def _wanted(folder: str, name: str) -> bool:
    return not name.startswith(".") and name not in _LEFT_OUT and not Path(folder, name, "pyvenv.cfg").exists()
