"""Where the command ``hustlex`` starts: it comes with the base install, what it is made of with extras.

What it imports, it imports where Ctrl-C is already an end, and not a traceback.
"""

from __future__ import annotations

import os
import sys
import threading

_INTERRUPTED = 130
_FEWEST_FILES = 64
"""That may be open at once: an event loop has 6, each connection one, each process that is started 3 for a moment."""


def main() -> None:
    """Run the command line; exit code 2 and one sentence when an extra is missing."""
    try:
        _open_streams()
        _heed_hangup()
        _check_files()
        _check_extras()
        from hustlex.cli.main import app

        app()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _check_extras() -> None:
    from hustlex.core.extras import require
    from hustlex.errors import ConfigurationError

    try:
        require("the command hustlex", "server", "typer", "rich")
    except ConfigurationError as error:
        _end(str(error))


def _check_files() -> None:
    """With too few, whatever is opened next fails: a module, the event loop (uvloop aborts the process), its log."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:
        return
    most = getrlimit(RLIMIT_NOFILE)[0]
    if 0 <= most < _FEWEST_FILES:
        _end(f"{most} files may be open at once, and it takes {_FEWEST_FILES} (raise the limit: ulimit -n 1024)")


def _heed_hangup() -> None:
    """A terminal that is closed asks for the end in order, as SIGTERM does. Under nohup nothing is heard of it."""
    import signal

    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _hung_up)


def _hung_up(number: int, _: object) -> None:
    """Once: the shell and the kernel tell both. What is still to be said has nobody to read it."""
    import signal
    import stat

    signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for own in range(3):
        if stat.S_ISCHR(os.fstat(own).st_mode):
            os.dup2(nowhere, own)
    os.kill(os.getpid(), signal.SIGTERM)


def _end(sentence: str) -> None:
    print(f"hustlex: {sentence}", file=sys.stderr)
    sys.exit(2)


def _open_streams() -> None:
    """Standard streams that were closed lead nowhere from here on.

    Else connections would have their numbers: uvloop aborts the process where it closes one of those, and what other
    code prints would go to the server.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it has the lowest number that is free: this one
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - until the end
