"""Files and directories that nobody else on the machine may read: made so, and held to it when they are there already.

What is loose but ours is tightened; what is not ours, or may have been read or planted by others, is refused.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import IO

from hustlex.errors import ConfigurationError

_OTHERS = 0o077 if os.name == "posix" else 0  # elsewhere a mode says nothing
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def directory(path: Path, marks: Collection[str]) -> None:
    """Make a directory of mode 0700. One that is there already is tightened when it is empty or holds one of ``marks``.

    Raises ConfigurationError: it, or something in it, is somebody else's; it is open to others and was not made for
    this; it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        loose = stat.S_IMODE(found.st_mode) & _OTHERS
        inside = list(path.iterdir()) if loose else []
        foreign = [one for one in inside if _theirs(one)]
    except OSError as error:
        raise ConfigurationError(f"cannot write to {path}: {error.strerror}") from None
    if foreign or _foreign(found):
        raise ConfigurationError(f"{(foreign or [path])[0]} belongs to another user", hint="choose another directory")
    if inside and not any(one.name in marks for one in inside):
        raise ConfigurationError(
            f"{path} is open to other users and holds other things", hint=f"chmod 700 {path}, or choose another"
        )
    if loose:
        path.chmod(0o700)


def read(path: Path) -> str:
    """The text of a private file without blanks around it, "" when there is none.

    Raises ConfigurationError when others can read or could have written it, or it cannot be read.
    """
    try:
        with open(os.open(path, os.O_RDONLY | _NOFOLLOW), encoding="utf-8", errors="replace") as file:
            found = os.fstat(file.fileno())
            text = file.read().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if _foreign(found) or stat.S_IMODE(found.st_mode) & _OTHERS:
        raise ConfigurationError(
            f"{path} is open to other users", hint=f"chmod 600 {path} if nobody has read it, else delete it"
        )
    return text


def write(path: Path, text: str) -> None:
    """Write a file of mode 0600; its old content goes, whoever may have read it. Raises ConfigurationError."""
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with append(path) as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None


def append(path: Path) -> IO[str]:
    """Open a file of mode 0600 to write at its end. Raises OSError, also for a link or a file of somebody else."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOFOLLOW, 0o600)
    try:
        if stat.S_IMODE(os.fstat(number).st_mode) & _OTHERS:
            os.fchmod(number, 0o600)
    except OSError:
        os.close(number)
        raise
    return os.fdopen(number, "a", encoding="utf-8")


def _theirs(path: Path) -> bool:
    """Whether a file is somebody else's; one that a server has just removed is nobody's."""
    try:
        return _foreign(path.lstat())
    except FileNotFoundError:
        return False


def _foreign(found: os.stat_result) -> bool:
    return hasattr(os, "geteuid") and found.st_uid != os.geteuid()
