"""A real server for development and tests: find a binary, start it, stop it.

Not for production. The server listens on 127.0.0.1 and on a unix socket, both behind a random password. Its directory
holds everything it leaves behind: data, configuration, password, port, log. Linux and macOS; on Windows use WSL.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self
from urllib.parse import quote

from hustlex.core import private
from hustlex.drivers.binary import checked_binary, find_binary
from hustlex.drivers.launch import tied
from hustlex.drivers.ports import free_port
from hustlex.environment import in_production
from hustlex.errors import ConfigurationError, Misuse

_FILES = frozenset({"password", "server.conf", "lock", "port", "appendonlydir", "server.log"})
_PORT_OPTION = re.compile(r"([a-z]+-)+port")
_LONGEST_SOCKET_PATH = 100
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_FLUSH_SECONDS = 60.0
_LOCK_SECONDS = 6.0
_PORT_ATTEMPTS = 8
_POLL_SECONDS = 0.005


class EmbeddedServer:
    """One server process, started and stopped by this program (blocking calls; start takes about 0.1 s).

    directory: kept between runs, so data, password and port stay (None: a temporary one, removed by ``stop``).
    port: a fixed TCP port, or 0 for a free one (the last one used in this directory, when it is still free).
    append_only: write every change to the append-only file; ``appendfsync`` says how often it is forced to disk.
    more_ports: server options that take a free port each, too, as ``("cluster-port",)``; ``port_of`` tells which.
    extra_args: more server options, as ``("--maxmemory", "64mb")``.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        more_ports: Sequence[str] = (),
        append_only: bool = False,
        binary: Path | None = None,
        appendfsync: Literal["always", "everysec", "no"] = "everysec",
        extra_args: Sequence[str] = (),
    ) -> None:
        if not 0 <= port <= 65535:
            raise Misuse(f"port must be 0 to 65535, not {port}")
        if not isinstance(more_ports, list | tuple) or not all(map(_PORT_OPTION.fullmatch, map(str, more_ports))):
            raise Misuse(f"more_ports must be options that end in -port, as ('cluster-port',), not {more_ports!r}")
        self._given_directory = directory
        self._fixed_port = port
        self._append_only = append_only
        self._appendfsync = appendfsync
        self._binary = binary
        self._extra_args = tuple(extra_args)
        self._ports = {"port": port, **dict.fromkeys(more_ports, 0)}
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self._socket_directory: Path | None = None

    def start(self) -> Self:
        """Start and wait until the server answers; returns self. Does nothing when it runs already.

        Raises ConfigurationError: no binary, port taken, directory in use or not writable, or the server died.
        """
        if self.running:
            return self
        if in_production():
            raise ConfigurationError(
                "the embedded server is for development and tests; HUSTLEX_ENV is production",
                hint="run a server of its own and pass its URL",
            )
        binary = checked_binary(self._binary, "binary is") if self._binary else find_binary()
        self._prepare()
        atexit.register(self.stop)
        try:
            with _exclusive(self.directory) as lock:
                self._start_on_some_port(binary, lock)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """SIGTERM, wait up to 5 s, then SIGKILL. Removes a temporary directory. Does nothing when not running."""
        self._end(signal.SIGTERM)
        atexit.unregister(self.stop)
        if self._socket_directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        if self._given_directory is None and self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def kill(self) -> None:
        """SIGKILL, as a crash would: what was not yet written is lost. The directory stays."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop (keeping the directory, even a temporary one) and start on the same port with the same password."""
        self._end(signal.SIGTERM)
        self.start()

    @property
    def url(self) -> str:
        """``redis://:<password>@127.0.0.1:<port>/0``"""
        self._need_started()
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """``unix://:<password>@<path>?db=0``"""
        self._need_started()
        return f"unix://:{self._password}@{quote(str(self.socket))}?db=0"

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. Raises Misuse when the server does not run."""
        if self._process is None or self._process.poll() is not None:
            raise Misuse("the server does not run", hint="call start() first")
        return self._process.pid

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1 (0 before the first start, unless a fixed one was asked for)."""
        return self._ports["port"]

    def port_of(self, option: str) -> int:
        """The port that this one of ``more_ports`` has (0 before the first start). Raises Misuse for another option."""
        if option not in self._ports:
            raise Misuse(f"{option!r} is none of the ports of this server: {', '.join(self._ports)}")
        return self._ports[option]

    @property
    def directory(self) -> Path:
        """Where data, log (``server.log``) and password are. Raises Misuse before the first start."""
        if self._directory is None:
            raise Misuse("the server was not started", hint="call start() first")
        return self._directory

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"EmbeddedServer(port={self.port}, running={self.running})"

    def _need_started(self) -> None:
        if not self._password:
            raise Misuse("the server was not started", hint="call start() first")

    def _prepare(self) -> None:
        if self._directory is None:
            given = self._given_directory
            self._directory = given.resolve() if given else Path(tempfile.mkdtemp(prefix="hustlex-server-"))
        private.directory(self._directory, _FILES)
        self._password = _kept_text(self._directory / "password", secrets.token_urlsafe(24))
        for option, port in self._ports.items():
            if port == 0 and (last := _read(self._directory / option)).isdigit():
                self._ports[option] = int(last)
        if len(os.fsencode(self._directory / "server.sock")) > _LONGEST_SOCKET_PATH and not self._socket_directory:
            self._socket_directory = Path(tempfile.mkdtemp(prefix="hustlex-"))

    @property
    def socket(self) -> Path:
        """Where its unix socket is; only this user can reach it. Raises Misuse before the first start."""
        return (self._socket_directory or self.directory) / "server.sock"

    def _start_on_some_port(self, binary: Path, lock: int) -> None:
        """Another program may take a free port before the server does: then try the next one."""
        for _ in range(_PORT_ATTEMPTS):
            self._ports = {option: port or free_port() for option, port in self._ports.items()}
            self._launch(binary, lock)
            failure = self._wait_until_ready()
            if failure is None:
                for option, port in self._ports.items():
                    private.write(self.directory / option, str(port))
                return
            taken = [option for option, port in self._ports.items() if f":{port}: bind: Address already" in failure]
            if not taken:
                raise ConfigurationError(f"the server {binary} did not start: {_last_line(failure)}")
            if self._fixed_port and "port" in taken:
                raise ConfigurationError(
                    f"port {self._fixed_port} is already taken by another program",
                    hint="stop that program or choose another port",
                )
            self._ports |= dict.fromkeys(taken, 0)
        raise ConfigurationError(f"no free port was found in {_PORT_ATTEMPTS} attempts")

    def _launch(self, binary: Path, lock: int) -> None:
        configuration = self.directory / "server.conf"
        private.write(configuration, self._configuration())
        command = tied([str(binary), str(configuration)])
        log = self.directory / "server.log"
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.1"))
        with private.append(log) as output:
            self._process = _spawn([*command, *self._extra_args], output, lock)

    def _configuration(self) -> str:
        # Not on the command line, where every user of the machine could read the password.
        options = {
            "bind": "127.0.0.1",
            **self._ports,
            "protected-mode": "yes",
            "requirepass": self._password,
            "unixsocket": _quoted(self.socket),
            "unixsocketperm": "600",
            "dir": _quoted(self.directory),
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": self._appendfsync,
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in options.items())

    def _wait_until_ready(self) -> str | None:
        """None when the server answers PING; its log when it died."""
        deadline = time.monotonic() + _START_SECONDS
        while self.running:
            if _answers(self.socket, self._password):
                return None
            if time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                raise ConfigurationError(
                    f"the server gave no answer in {_START_SECONDS:.0f} s", hint=f"see {self.directory / 'server.log'}"
                )
            time.sleep(_POLL_SECONDS)
        return _read(self.directory / "server.log")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _spawn(command: list[str], output: IO[str], lock: int) -> subprocess.Popen[bytes]:
    """Start from a thread that lives as long as the server, since the kernel's parent-death signal follows threads.

    A session of its own keeps Ctrl-C in the terminal from reaching the server before its clients are done.
    """
    started: Future[subprocess.Popen[bytes]] = Future()

    def keep() -> None:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(lock,),
                umask=0o077,
            )
        except BaseException as error:  # noqa: BLE001 - carried to the caller, in its thread
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()

    threading.Thread(target=keep, daemon=True, name="hustlex-embedded-server").start()
    return started.result()


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[int]:
    """Lock the directory. The server inherits the lock, so it lasts exactly as long as something writes there."""
    import fcntl

    with private.append(directory / "lock") as file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"another server already runs on {directory}", hint="stop it, or choose another directory"
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield file.fileno()


def empty(server: EmbeddedServer) -> None:
    """FLUSHALL, by its socket: who only tests with the async driver does not import another one for it."""
    if not _answers(server.socket, server._password, "FLUSHALL", "OK", _FLUSH_SECONDS):
        raise ConfigurationError("the server did not empty itself", hint=f"see {server.directory / 'server.log'}")


def _answers(path: Path, password: str, word: str = "PING", wanted: str = "PONG", within_s: float = 1.0) -> bool:
    """Whether the server answers on its socket. Never asked on the port: who took it first would get the password."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(within_s)
            link.connect(str(path))
            link.sendall(f"AUTH {password}\r\n{word}\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := link.recv(256)):
                answer += part
    except OSError:
        return False
    return answer.endswith(f"+{wanted}\r\n".encode())


def _kept_text(path: Path, fresh: str) -> str:
    """The text of a private file; ``fresh``, then written there, when there is none or others may have read it."""
    with contextlib.suppress(ConfigurationError):
        if text := private.read(path):
            return text
    private.write(path, fresh)
    return fresh


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _last_line(log: str) -> str:
    return log.splitlines()[-1] if log else "it left no message"
