"""The command in the process of the tests: what ends before it runs anything needs no process of its own."""

from __future__ import annotations

import io
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from hustlex.cli.entry import main


class Typing(io.StringIO):
    """What somebody types. terminal: whether it looks like one."""

    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def hustlex(*arguments: str, typed: str = "", terminal: bool = False) -> subprocess.CompletedProcess[str]:
    """Run ``hustlex`` with these arguments to its exit. typed: what stands in its standard input."""
    command = ["hustlex", *arguments]
    with (
        patch("sys.argv", command),
        patch("sys.stdin", Typing(typed, terminal=terminal)),
        redirect_stdout(io.TextIOWrapper(io.BytesIO(), write_through=True)) as out,
        redirect_stderr(io.TextIOWrapper(io.BytesIO(), write_through=True)) as err,
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(command, code, *texts)
