"""``hustlex``: the command line. Exit codes stand in ``exits``, and in docs/reference/commands.md."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hustlex import __version__
from hustlex.cli.commands import Commands
from hustlex.cli.exits import INTERRUPTED, exit_code
from hustlex.core.printable import printable
from hustlex.errors import Error

_LONGEST = 2_000
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Nouns(TyperGroup):
    """A noun is known by its plural as well."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "commands": None})
        self.commands = Commands()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, cmd_name.removesuffix("s"))


cli = typer.Typer(
    cls=Nouns,
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


def app() -> None:
    """Run the command line; an error of ours, or of what was typed, is one sentence and an exit code."""
    try:
        code = cli(standalone_mode=False)
        if sys.stdout is not None and not sys.stdout.closed:  # the application's code may have closed it
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except Error as fault:
        _end(str(fault), exit_code(fault))
    except typer.Abort as abort:
        if isinstance(abort.__cause__, KeyboardInterrupt):
            sys.exit(INTERRUPTED)
        _end("nothing was done", 1)
    except OSError as fault:
        if fault.errno in (errno.EMFILE, errno.ENFILE):
            _end("too many files are open: nothing more can be opened (raise the limit: ulimit -n)", 1)
        if fault.errno not in (*_NO_ROOM, errno.EPIPE):
            raise
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left unwritten is not tried again at the end
        if fault.errno == errno.EPIPE:
            sys.exit(1)
        _end(f"cannot write the output: {fault.strerror}", 1)
    except Exception as fault:
        if not hasattr(fault, "format_message"):
            raise
        _end_usage(fault)


def _end_usage(fault: Exception) -> None:
    """What was typed is wrong. Without a sentence the help was asked for, and is printed already."""
    context = getattr(fault, "ctx", None)
    sentence = " ".join(fault.format_message().split()) if type(fault).__name__ != "NoArgsIsHelpError" else ""  # type: ignore[attr-defined]
    if sentence:
        path = context.command_path if context is not None else "hustlex"
        print(f"hustlex: {_told(sentence)} ({path} --help)", file=sys.stderr)
    sys.exit(2)


def _end(sentence: str, code: int) -> None:
    print(f"hustlex: {_told(sentence)}", file=sys.stderr)
    sys.exit(code)


def _told(sentence: str) -> str:
    """Its beginning and its end: a word that was typed may have any length."""
    shown = printable(sentence)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST // 2]} ... {shown[-_LONGEST // 2 :]}"


if __name__ == "__main__":
    app()
