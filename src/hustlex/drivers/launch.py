"""Child processes that end with their parent, even when the parent is killed (Linux)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# The kernel signals the child when the thread that started it dies. Set from a small launcher and not from a
# preexec_fn, which may deadlock in a program with threads.
_LAUNCHER = """
import os, signal, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the program that started this one is gone")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
"""


def tied(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` (a full path and its arguments) until this process ends."""
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
