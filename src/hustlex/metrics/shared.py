"""Several processes of one service, as the workers of one uvicorn or gunicorn: a directory with a file for each.

A living process holds a lock on its file, which the system takes from it however it ends. What an ended one counted is
added to ``ended.json``, once, so that no counter ever falls; its gauges go with it.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from hustlex.errors import ConfigurationError
from hustlex.metrics.board import SIZE, Figures, merged, read
from hustlex.metrics.text import exposition

_ENDED = "ended.json"
_FILE = ".board"
_HINT = "set HUSTLEX_METRICS_DIR"


class EndedProcesses(msgspec.Struct, frozen=True):
    """What ended processes counted."""

    taken: tuple[str, ...] = ()
    """Files whose numbers are in here; they may still be there."""
    series: tuple[tuple[str, tuple[str, ...], list[float]], ...] = ()


class SharedBoards:
    """A directory of boards."""

    def __init__(self, folder: str) -> None:
        """Raises ConfigurationError when it cannot be used."""
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the directory of the metrics cannot be made: {getattr(error, 'strerror', 'no path')}",
                hint="set HUSTLEX_METRICS_DIR",
            ) from None

    def claim(self) -> tuple[mmap.mmap, int]:
        """Memory for this process, and the file that shows that it lives: keep it open. Raises ConfigurationError."""
        import fcntl

        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        hidden = self._folder / f".{name}"
        try:
            file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(file, SIZE)
            memory = mmap.mmap(file, SIZE)
            hidden.rename(self._folder / f"{name}{_FILE}")
        except OSError as error:
            why = error.strerror
            raise ConfigurationError(f"the directory of the metrics cannot be used: {why}", hint=_HINT) from None
        return memory, file

    def figures(self) -> Figures:
        """Of all processes, living and ended."""
        total: Figures = {}
        with self._alone():
            ended = self._read_ended()
            gone: list[Path] = []
            for path in sorted(self._folder.glob(f"*{_FILE}")):
                if path.name in ended.taken:
                    path.unlink(missing_ok=True)
                elif _lives(path):
                    merged(total, read(path.read_bytes()), living=True)
                else:
                    gone.append(path)
            before = {(name, labels): numbers for name, labels, numbers in ended.series}
            return merged(total, self._bury(before, gone) if gone else before, living=False)

    def _bury(self, before: Figures, gone: list[Path]) -> Figures:
        """Take over what ended processes counted: written in one step, so that none is counted twice."""
        for path in gone:
            merged(before, read(path.read_bytes()), living=False)
        names = tuple(path.name for path in gone)
        ended = EndedProcesses(names, tuple((name, labels, numbers) for (name, labels), numbers in before.items()))
        fresh = self._folder / f".{_ENDED}"
        fresh.write_bytes(msgspec.json.encode(ended))
        fresh.rename(self._folder / _ENDED)
        for path in gone:
            path.unlink(missing_ok=True)
        return before

    def _read_ended(self) -> EndedProcesses:
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self._folder / _ENDED).read_bytes(), type=EndedProcesses)
        return EndedProcesses()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One reader at a time, since readers tidy up."""
        import fcntl

        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _lives(path: Path) -> bool:
    """Whether the process of this file holds its lock."""
    import fcntl

    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def text_of(folder: str) -> bytes:
    """What the processes that share a directory count, for one that counts nothing itself."""
    return exposition(SharedBoards(folder).figures())
