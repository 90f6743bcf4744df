"""Completion in each shell: what is typed in a terminal, with the key Tab, is what the command gets."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from hustlex.cli.completion import SHELLS
from tests.cli.inside import hustlex
from tests.support.needs import needs

PATIENCE_S = 50
STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {script}; PS1='re''ady> '\r"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source {script}; PS1='re''ady> '\r"),
    "fish": (["fish", "--no-config", "-i"], "source {script}; function fish_prompt; echo -n re'ady> '; end\r"),
}
"""The shell without anybody's settings; what makes it complete, and then show a prompt that was not typed."""
COMMAND = """#!/bin/sh
# In the place of hustlex: completes two words, and writes down what it is asked to do.
if [ "$1" = complete ]; then
    shift 2
    for last; do :; done
    case "$last" in que*) echo queue ;; pau*) echo pause ;; ma*) echo 'mail box' ;; wo:1*) echo wo:12 ;; esac
else
    for word; do printf '[%s]' "$word"; done >ran.new
    mv ran.new ran
fi
"""


class Terminal:
    """A shell that believes somebody sits before it."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        known = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "xterm", "HOME": str(folder)}
        seated = ["setsid", "--ctty", *command]  # it is this shell's terminal, as fish demands
        self.process = subprocess.Popen(seated, cwd=folder, env=known, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.shown = b""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, holds: Iterator[bool]) -> bool:
        """Show what it writes until something holds; False when that takes too long, or the shell ends."""
        until = monotonic() + PATIENCE_S
        while not next(holds):
            if monotonic() > until or self.process.poll() is not None:
                return False
            if select.select([self._ours], [], [], 0.02)[0]:
                self.shown += os.read(self._ours, 65_536)
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(shell: str, tmp_path: Path) -> None:
    needs(shutil.which(shell), f"the shell {shell}")
    script, ran = tmp_path / "complete", tmp_path / "ran"
    script.write_text(hustlex("completion", shell).stdout)
    (tmp_path / "hustlex").write_text(COMMAND)
    (tmp_path / "hustlex").chmod(0o755)
    start, words = STARTS[shell]
    with closing(Terminal(start, tmp_path)) as terminal:
        terminal.type(words.format(script=script))
        assert terminal.read_until(iter(lambda: b"ready> " in terminal.shown, None)), terminal.shown
        terminal.type("hustlex que\tpau\tma\two:1\t\r")
        assert terminal.read_until(iter(ran.exists, None)), terminal.shown
    assert ran.read_text() == "[queue][pause][mail box][wo:12]"
