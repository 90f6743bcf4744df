"""The tests pass, too, where somebody runs them by ``nohup`` or in the background of a script."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
SHOWN = "tests/cli/test_entry.py::test_ctrl_c_while_it_is_being_loaded_ends_it_quietly[typer]"


def deafen() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_programs_of_tests_hear_what_the_tests_own_process_ignores() -> None:
    done = subprocess.run(
        [*RUN, SHOWN], cwd=ROOT, preexec_fn=deafen, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:]
