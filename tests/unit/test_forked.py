"""A program that is forked behaves as one that is started: each is run both ways, and all that can be seen compared."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked

PROGRAMS = {
    "what it is told": (
        "import os, sys; print(__name__, sys.argv, sys.orig_argv, sys.path, os.getcwd(), dict(os.environ))"
    ),
    "whose child it is": "import os; print(os.getppid(), os.getsid(0), os.getpgid(0), os.umask(0))",
    "its files": "import os; print(sorted(os.listdir('/proc/self/fd')))",
    "its threads": "import os, threading; print(len(os.listdir('/proc/self/task')), threading.active_count())",
    "its signals": "from signal import *; print([getsignal(each) for each in valid_signals()], pthread_sigmask(0, []))",
    "its streams": (
        "import sys\nfor each in (sys.stdin, sys.stdout, sys.stderr):\n"
        "    print(each, each.errors, each.line_buffering, each.write_through, type(each.buffer), each.isatty())"
    ),
    "its modules": "import sys; print([name for name in sys.modules if name.startswith(('tests', 'opentelemetry'))])",
    "a module of its own": "import __main__; x = 1; print(__main__.x, __main__.__spec__)",
    "what is typed": "print(input()); print(input())",
    "output not flushed": "import sys; sys.stdout.write('no line'); sys.stderr.write('neither')",
    "output nobody takes": "import os; print('gone'); os.close(1)",
    "a code": "raise SystemExit(7)",
    "no code": "raise SystemExit",
    "a code too large": "raise SystemExit(258)",
    "a code below": "raise SystemExit(-1)",
    "a word": "raise SystemExit('cannot')",
    "an error": "def pay(): 1 / 0\npay()",
    "an error of another": "try: 1 / 0\nexcept ArithmeticError as error: raise RuntimeError('paid') from error",
    "an error of syntax": "def pay(:",
    "interrupted": "raise KeyboardInterrupt",
    "killed": "import os; print('lost'); os.kill(os.getpid(), 9)",
    "told to end": "import os, time; os.kill(os.getpid(), 15); time.sleep(9)",
    "ended at once": "import os; print('lost'); os._exit(3)",
    "the order of the end": (
        "import atexit, threading, time\natexit.register(print, 'at exit')\n"
        "class Held:\n    def __del__(self): print('freed')\nheld = Held()\n"
        "threading.Thread(target=lambda: (threading.main_thread().join(), print('thread'))).start(); print('main')"
    ),
    "annotations": "def pay(to: 1 + 1): ...\nprint(pay.__annotations__)",
}


def both(words: list[str], **options: Any) -> list[tuple[Any, ...]]:
    """What comes of the program, forked and started."""
    command = [sys.executable, *words]
    done = [run(command, capture_output=True, text=True, **options) for run in (forked.run, subprocess.run)]
    return [(each.args, each.returncode, each.stdout, each.stderr) for each in done]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_forked_program_is_as_one_that_was_started(name: str, tmp_path: Path) -> None:
    known = {**os.environ, "PYTHONPATH": f"lib{os.pathsep}/elsewhere{os.pathsep}lib", "TZ": "Africa/Lagos", "ANY": "₦"}
    del known["PATH"]
    words = ["-c", PROGRAMS[name], "a word", "-x", "₦"]
    mine, real = both(words, cwd=tmp_path, env=known, input="one\ntwo\n")
    assert mine == real


def test_what_it_makes_has_the_rights_that_its_parent_gives_now() -> None:
    before = os.umask(0o026)
    try:
        mine, real = both(["-c", "import os; print(os.umask(0))"])
    finally:
        os.umask(before)
    assert mine == real
    assert mine[2] == f"{0o026}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_is_as_buffered(unbuffered: str) -> None:
    program = f"{PROGRAMS['its streams']}\nimport os; print('lost?', flush=False); os._exit(0)"
    mine, real = both(["-c", program], env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    assert mine == real
    assert ("lost?" in mine[2]) is bool(unbuffered)


def test_what_is_forgotten_is_told_at_the_end() -> None:
    program = (
        "import asyncio\nasync def pay(): ...\ncall, loop = pay(), asyncio.new_event_loop()\n"
        "task = loop.create_task(asyncio.sleep(9))\nloop.run_until_complete(asyncio.sleep(0)); loop.close()"
    )
    for _, code, _, told in both(["-c", program]):
        assert code == 0
        assert "coroutine 'pay' was never awaited" in told and "Task was destroyed but it is pending!" in told


def test_modules_and_files_are_run(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import sys\nHERE = sys.path[0]\n")
    (tmp_path / "shop.py").write_text(
        "import beside, sys; print(__name__, __file__, bool(__spec__), sys.argv, beside.HERE)"
    )
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "__main__.py").write_text("import sys; print(__name__, __package__, sys.argv); 1 / 0")
    for words in (
        ["shop.py", "1"],
        [str(tmp_path / "shop.py"), "1"],
        ["-m", "shop", "1"],
        ["-m", "many", "1"],
        ["-m", "hustlex", "--version"],
        ["-m", "hustlex.cli.main", "worker", "shop"],
    ):
        mine, real = both(words, cwd=tmp_path)
        assert mine == real
        assert mine[2] or mine[3]


def test_a_program_is_a_process_and_this_ones_child(tmp_path: Path) -> None:
    waits = [sys.executable, "-c", "import random; print(random.random(), flush=True); input()"]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with forked.Popen(waits, **options) as one, forked.Popen(waits, **options, start_new_session=True) as other:
        assert one.stdout.readline() != other.stdout.readline(), "each with a seed of its own"
        assert (one.poll(), other.poll(), os.getsid(one.pid), os.getsid(other.pid)) == (
            None,
            None,
            os.getsid(0),
            other.pid,
        )
        one.send_signal(signal.SIGKILL)
        assert one.wait(50) == -signal.SIGKILL
        assert other.communicate("go\n", timeout=50) == ("", None)
        assert other.returncode == 0
    adopts = ctypes.c_int(-1)
    ctypes.CDLL(None).prctl(37, ctypes.byref(adopts), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
    assert adopts.value == 0, "other orphans are nobody's here"


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ([sys.executable, "-c", ""], {"env": {**os.environ, "PYTHONWARNINGS": "error"}}, "PYTHONWARNINGS"),
        ([sys.executable, "-c", ""], {"env": {**os.environ, "LC_ALL": "C"}}, "LC_ALL"),
        ([sys.executable, "-W", "error", "-c", ""], {}, "-W"),
        ([sys.executable, "-c", ""], {"pass_fds": [2]}, "plain"),
        (["true"], {}, "plain"),
    ],
)
def test_what_only_a_start_can_do_is_refused(command: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        forked.run(command, **options)
