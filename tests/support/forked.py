"""Python programs that tests start, forked from a process that has already imported what they import.

``forked.Popen`` and ``forked.run`` take what subprocess's take, when the program is this Python's: ``[sys.executable,
"-m", ...]``, ``"-c"`` or a file. What comes back is subprocess's own, and the process a child of the test's like any
other, with a pid, signals, memory and an exit code of its own. Only its modules are there before it begins: importing
them is most of what a short program does. At its end threads are waited for, what ``atexit`` knows is called, and what
the program itself holds is freed; the interpreter is not taken apart.

So whoever asks about imports, the interpreter's start or end, forks, threads or memory starts for real.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import inspect
import io
import json
import linecache
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
IMPORTED = (
    *("aiosqlite", "asyncio.subprocess", "hiredis", "httpx", "jwt", "phonenumbers", "pydantic_settings", "typer.main"),
    *("rich.console", "rich.table", "sqlalchemy.ext.asyncio", "uvicorn", "uvloop", "websockets"),
    *("uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto"),
    *("hustlex.app", "hustlex.cli", "hustlex.core", "hustlex.jobs", "hustlex.metrics", "hustlex.outbox"),
    *("hustlex.cache", "hustlex.events", "hustlex.idempotency", "hustlex.otp", "hustlex.pins", "hustlex.ratelimit"),
    *(
        "hustlex.tokens",
        "hustlex.drivers.aio",
        "hustlex.drivers.embedded_cluster",
        "hustlex.delivery",
        "hustlex.worker",
    ),
)
"""What programs import, packages of hustlex with all that is in them. Nothing that imports OpenTelemetry, as FastAPI
and redis-py do: a program that has is asked for traces. None of the modules of tests, examples and users."""
_KNOWN = ("PYTHONPATH", "PYTHONUNBUFFERED")
_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 120
_one_at_a_time = threading.Lock()


class Popen(subprocess.Popen[Any]):
    """A process of subprocess's, forked."""

    def _execute_child(self, *given: Any) -> None:
        if sys.platform != "linux":
            super()._execute_child(*given)  # type: ignore[misc]
            return
        asked = inspect.signature(subprocess.Popen._execute_child).bind(self, *given).arguments  # type: ignore[attr-defined]
        ends = [asked["p2cread"], asked["c2pwrite"], asked["errwrite"]]
        try:
            if asked["args"][0] != sys.executable or asked["shell"] or asked["preexec_fn"] or asked["pass_fds"]:
                raise ValueError(f"only a plain start of this Python can be forked, not {asked['args']}")
            if (first := asked["args"][1]).startswith("-") and first not in ("-c", "-m", "-u"):
                raise ValueError(f"{first} decides at the interpreter's start: use subprocess")
            request = {
                "argv": [os.fspath(word) for word in asked["args"]],
                "cwd": os.fspath(asked["cwd"] or Path.cwd()),
                "env": dict(asked["env"] if asked["env"] is not None else os.environ),
                "session": asked["start_new_session"],
                "umask": _umask() if asked["umask"] < 0 else asked["umask"],
            }
            self.pid = _fork(request, [end if end >= 0 else own for own, end in enumerate(ends)])
            self._child_created = True
        finally:
            self._close_pipe_fds(*(asked[name] for name in PIPES))  # type: ignore[attr-defined]


PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def run(command: list[str], *, check: bool = False, timeout: float = _PATIENCE_S, **options: Any) -> Any:
    """subprocess's, of a forked process."""
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    given = options.pop("input", None)
    with Popen(command, stdin=options.pop("stdin", None if given is None else subprocess.PIPE), **options) as process:
        try:
            out, errors = process.communicate(given, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, errors)
    if check:
        done.check_returncode()
    return done


def _umask() -> int:
    """Of this process, which can only be heard by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _fork(request: dict[str, Any], files: list[int]) -> int:
    """The pid of the program, which is this process's child then."""
    with _one_at_a_time:
        asking = _ready()
        with _adopting():
            socket.send_fds(asking, [json.dumps(request).encode()], files)
            told: dict[str, Any] = json.loads(asking.recv(1_000))
    if "error" in told:
        raise ValueError(told["error"])
    return int(told["pid"])


@contextmanager
def _adopting() -> Iterator[None]:
    """A descendant whose parent ends meanwhile becomes this process's child."""
    adopt = ctypes.CDLL(None, use_errno=True).prctl
    adopt(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        adopt(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def nest(*modules: str) -> None:
    """In a program: let its own programs be forked, too, from a copy of itself that imports these modules."""
    ours, theirs = _ends()
    base = [place for place in sys.path[1:] if place]
    if os.fork() == 0:
        ours.close()
        gc.disable()
        for module in modules:
            importlib.import_module(module)
        gc.freeze()
        _serve(theirs, base)
        os._exit(0)
    theirs.close()
    _nested.append(ours)


_nested: list[socket.socket] = []


def _ends() -> tuple[socket.socket, socket.socket]:
    """Of the way to a process that forks: ours, and its."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_PATIENCE_S)
    return ours, theirs


@functools.cache
def _ready() -> socket.socket:
    """The way to the process that forks. It ends when nobody has our end of the socket any more."""
    if _nested:
        return _nested[0]
    ours, theirs = _ends()
    with theirs:
        known = {name: value for name, value in os.environ.items() if name not in _KNOWN}
        program = f"from tests.support.forked import serve; serve({theirs.fileno()})"
        forking = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=known, pass_fds=[theirs.fileno()])
    atexit.register(lambda: (ours.close(), forking.wait()))
    assert ours.recv(1_000), "it could not import what programs import"
    return ours


# From here on: in the process that forks, and in the programs.


def serve(file: int) -> None:
    """Import, and fork for each request; in a child, run its program."""
    base = [place for place in sys.path if place]
    gc.disable()
    _import_all()
    gc.collect()
    gc.freeze()
    asking = socket.socket(fileno=file)
    _answer(asking)
    _serve(asking, base)


def _serve(asking: socket.socket, base: list[str]) -> None:
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads cannot be forked"
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asking:
        while True:
            message, files, _, _ = socket.recv_fds(asking, 1_000_000, 3)
            if not message:
                return
            request = json.loads(message)
            if untold := _decided_at_the_start(request["env"]):
                _answer(asking, error=f"{untold} decides at the interpreter's start: use subprocess")
            elif _is_program(asking):
                break
            for each in files:
                os.close(each)
    signal.signal(signal.SIGINT, interrupt)
    gc.enable()
    _end(_become(request, files, base))


def _answer(asking: socket.socket, **told: Any) -> None:
    asking.send(json.dumps(told).encode())


def _import_all() -> None:
    for name in IMPORTED:
        package = importlib.import_module(name)
        if name.startswith("hustlex"):
            for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}."):
                importlib.import_module(module.name)
    assert "opentelemetry" not in sys.modules


def _decided_at_the_start(environment: dict[str, str]) -> str:
    """A variable that says something else than when this process began, and cannot be heard of any more."""
    names = [*environment, *os.environ]
    about = (name for name in names if name.startswith(("PYTHON", "LANG", "LC_")) and name not in _KNOWN)
    return next((name for name in about if environment.get(name) != os.environ.get(name)), "")


def _is_program(asking: socket.socket) -> bool:
    """Fork twice: the program is nobody's child when the process between has ended, and adopted by whoever asks."""
    adopted, adopting = os.pipe()
    if (between := os.fork()) == 0:
        if os.fork() != 0:
            os._exit(0)
        os.close(adopting)
        os.read(adopted, 1)
        os.close(adopted)
        _answer(asking, pid=os.getpid())
        return True
    os.close(adopted)
    os.waitpid(between, 0)
    os.close(adopting)
    return False


def _become(request: dict[str, Any], files: list[int], base: list[str]) -> list[str]:
    """All that a new process of this interpreter would be; what is left of the command line is its program."""
    for own, given in enumerate(files):
        os.dup2(given, own)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if request["session"]:
        os.setsid()
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    words: list[str] = request["argv"][1:]
    unbuffered = "-u" in words[:1] or bool(os.environ.get("PYTHONUNBUFFERED"))
    _open_streams(unbuffered)
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = dict.fromkeys([*(str(Path.cwd() / path) for path in paths), *base])
    sys.orig_argv[:] = request["argv"]
    Path("/proc/self/comm").write_text(" ".join(words[1:3])[:15], "utf-8")  # its command line is the first one's
    return words[1:] if words[0] == "-u" else words


def _open_streams(unbuffered: bool) -> None:
    for file, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        raw: Any = io.FileIO(file, "w" if file else "r", closefd=False)
        raw.name = f"<{name}>"
        buffer: Any = io.BufferedReader(raw) if not file else raw if unbuffered else io.BufferedWriter(raw)
        lines = not unbuffered and (file == 2 or raw.isatty())
        stream: Any = io.TextIOWrapper(buffer, old.encoding, old.errors, "\n", lines, unbuffered)
        stream.mode = old.mode
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _end(words: list[str]) -> None:
    """Run the program and end as the interpreter does."""
    code = _code_of(words)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    vars(sys.modules["__main__"]).clear()
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        code = 120
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _code_of(words: list[str]) -> int:
    try:
        _run(*words)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        own = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(own and own.tb_next), error.__traceback__)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _run(program: str, *arguments: str) -> None:
    main = sys.modules["__main__"] = ModuleType("__main__")
    if program == "-m":
        sys.argv[:] = ["-m", *arguments[1:]]
        sys.path.insert(0, str(Path.cwd()))
        if not hasattr(sys.modules.get(arguments[0]), "__path__"):
            sys.modules.pop(arguments[0], None)  # it becomes __main__, and is imported again by whoever wants it
        runpy._run_module_as_main(arguments[0])  # type: ignore[attr-defined]
        return
    if program == "-c":
        code, name, first = arguments[0], "<string>", ""
        if sys.version_info >= (3, 13):  # tracebacks show its lines
            linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        sys.argv[:] = ["-c", *arguments[1:]]
    else:
        path = Path.cwd() / program
        code, name, first = path.read_text("utf-8"), str(path), str(path.resolve().parent)
        sys.argv[:] = [program, *arguments]
        main.__file__ = name
    sys.path.insert(0, first)
    exec(compile(code, name, "exec", dont_inherit=True), vars(main))
