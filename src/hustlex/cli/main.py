"""``hustlex``: the command line.

Exit codes: 0 done; 1 the work failed; 2 bad input or set-up (settings, URL, module, port); 3 the server is unreachable;
4 not found; 5 a conflict; 6 denied; 9 the outcome is not known.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from hustlex import __version__
from hustlex.cli import dashboard, doctor, exporter, http, plan, scheduler, up, worker
from hustlex.cli.cache import cache
from hustlex.cli.event import event
from hustlex.cli.idem import idem
from hustlex.cli.limit import limit
from hustlex.cli.otp import otp
from hustlex.cli.pin import pin
from hustlex.cli.redis import redis
from hustlex.cli.session import session
from hustlex.cli.user import user
from hustlex.core.printable import printable
from hustlex.errors import ConfigurationError, Conflict, Denied, Error, Misuse, NotFound, OutcomeUnknown, Unavailable

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
cli.command("plan")(plan.capacity)
cli.command("dashboard")(dashboard.dashboard)
cli.command("exporter")(exporter.exporter)
for _name, _noun in {
    "limit": limit,
    "session": session,
    "otp": otp,
    "pin": pin,
    "cache": cache,
    "idem": idem,
    "user": user,
    "event": event,
    "redis": redis,
}.items():
    cli.add_typer(_noun, name=_name)
    cli.add_typer(_noun, name=f"{_name}s", hidden=True)

_CODES: tuple[tuple[type[Error], int], ...] = (
    (ConfigurationError, 2),
    (Misuse, 2),
    (Unavailable, 3),
    (NotFound, 4),
    (Conflict, 5),
    (Denied, 6),
    (OutcomeUnknown, 9),
)


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
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)


if __name__ == "__main__":
    app()
