"""The command of a base install: it is there, and says what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run_without(module: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules[{module!r}] = None; sys.argv = ['hustlex', 'doctor', '--acl']\n"
    code += "from hustlex.cli.entry import main; main()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_missing_extra_is_named() -> None:
    told = run_without("typer")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == (
        "hustlex: the command hustlex needs typer, which is not installed (pip install 'hustlex[server]')\n"
    )


def test_a_missing_module_of_something_else_is_a_traceback() -> None:
    told = run_without("hustlex.diagnostics.rights")
    assert told.returncode == 1
    assert "Traceback" in told.stderr


def test_nothing_is_said_when_all_is_there() -> None:
    told = run_without("no_such_module")
    assert told.returncode == 0
    assert "ACL SETUSER hustlex-otp" in told.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    "arguments", [["doctor", "--acl"], ["--version"], ["limits", "explain", "5/minute"], ["--help"]]
)
def test_a_full_disk_behind_the_output_is_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "hustlex", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert told.stderr.splitlines()[-1] == "hustlex: cannot write the output: No space left on device"
    assert "Traceback" not in told.stderr
    assert told.returncode == 1


CLOSED = """
import os, socket, sys
from hustlex.cli.entry import main
sys.argv = ["hustlex", "doctor", "--acl"]
try:
    main()
finally:
    assert sys.stdin.read() == "" and all(os.get_inheritable(number) for number in range(3))
    assert socket.socket().fileno() > 2
    print("done", file=sys.stderr)
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_was_closed_leads_nowhere(closed: str) -> None:
    """A connection would get its number: uvloop aborts the process where it closes one of those."""
    told = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, CLOSED],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert told.returncode == 0
    assert "Traceback" not in told.stderr
    assert told.stderr.endswith("" if "2>&-" in closed else "done\n")
    assert ("ACL SETUSER" in told.stdout) is (">&-" not in closed.replace("2>&-", ""))


INTERRUPTED = """
import os, signal, sys
from hustlex.cli.entry import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == AT:
            os.kill(os.getpid(), signal.SIGINT)

sys.argv, AT = ["hustlex", *sys.argv[2:]], sys.argv[1]
sys.meta_path.insert(0, Interrupt())
main()
"""


@pytest.mark.parametrize("at", ["resource", "hustlex.core.extras", "typer", "hustlex.cli.main", "hustlex.cli.doctor"])
def test_ctrl_c_while_it_is_being_loaded_ends_it_quietly(at: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, at, "doctor", "--acl"], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stdout, told.stderr) == (130, "", "")


@pytest.mark.parametrize("files", [5, 9, 63])
def test_too_few_files_are_one_sentence(files: int) -> None:
    """Or whatever is opened next would fail: a module, the event loop, the file of a traceback's lines."""
    command = f'ulimit -n {files}; exec "$0" -m hustlex worker examples.gigs'
    told = subprocess.run(["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True, check=False)
    words = f"hustlex: {files} files may be open at once, and it takes 64 (raise the limit: ulimit -n 1024)\n"
    assert (told.returncode, told.stderr) == (2, words)
