"""``hustlex``: the command line.

Exit codes: 0 done; 1 the work failed; 2 bad input or set-up (settings, URL, module, port); 3 the server is unreachable.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from hustlex import __version__
from hustlex.cli import doctor, http, scheduler, up, worker
from hustlex.cli.limits import limits
from hustlex.core.printable import printable
from hustlex.errors import ConfigurationError, Error, Misuse, Unavailable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

cli = typer.Typer(
    name="hustlex",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"hustlex {__version__}")
        raise typer.Exit


@cli.callback()
def command_line(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """The Redis layer of an application backend: codes, tokens, limits, idempotency, PINs, cache, jobs, events."""


cli.command("up")(up.up)
cli.command("api")(http.api)
cli.command("worker")(worker.worker)
cli.command("scheduler")(scheduler.scheduler)
cli.command("doctor")(doctor.doctor)
cli.add_typer(limits, name="limits")


def app() -> None:
    """Run the command line; an error of ours is one sentence and an exit code, never a traceback."""
    try:
        cli()
    except Error as error:
        print(f"hustlex: {printable(str(error))}", file=sys.stderr)
        sys.exit(exit_code(error))
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left unwritten is not tried again at the end
        print(f"hustlex: cannot write the output: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def exit_code(error: Error) -> int:
    """The documented exit code of an error."""
    if isinstance(error, ConfigurationError | Misuse):
        return 2
    return 3 if isinstance(error, Unavailable) else 1


if __name__ == "__main__":
    app()
