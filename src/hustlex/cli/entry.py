"""Where the command ``hustlex`` starts: it comes with the base install, what it is made of with extras."""

from __future__ import annotations

import os
import sys

from hustlex.core.extras import require
from hustlex.errors import ConfigurationError


def main() -> None:
    """Run the command line; exit code 2 and one sentence when an extra is missing."""
    _open_streams()
    try:
        require("the command hustlex", "server", "typer", "rich")
    except ConfigurationError as error:
        print(f"hustlex: {error}", file=sys.stderr)
        sys.exit(2)
    from hustlex.cli.main import app

    app()


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
