"""Free ports: each once, not those that the kernel gives out, and each process its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hustlex.drivers import ports

COUNT = 100
TELL = f"from hustlex.drivers.ports import free_port; print(*(free_port() for _ in range({COUNT})))"


def told(processes: int) -> list[set[int]]:
    """What processes that were started one after the other would take, all at once."""
    running = [subprocess.Popen([sys.executable, "-c", TELL], stdout=subprocess.PIPE) for _ in range(processes)]
    return [set(map(int, process.communicate()[0].split())) for process in running]


def test_processes_side_by_side_take_different_ports_each_once() -> None:
    found = told(4)
    assert [len(one) for one in found] == [COUNT] * 4
    assert len(set.union(*found)) == 4 * COUNT


def test_they_are_below_those_that_the_kernel_gives_out() -> None:
    assert {port < ports._kernels_first() for port in told(1)[0]} == {True}


def test_what_is_wanted_is_given_unless_it_is_taken() -> None:
    free = ports.free_port()
    assert ports.free_port(free) == free
    with socket.create_server(("127.0.0.1", free)):
        assert ports.free_port(free) != free


def test_what_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", ports.free_port())) as server:
        monkeypatch.setattr(ports, "_FIRST", server.getsockname()[1])
        monkeypatch.setattr(ports, "_kernels_first", lambda: ports._FIRST + 2)
        assert {ports.free_port(), ports.free_port()} == {ports._FIRST + 1}


@pytest.mark.parametrize("text", ["", "words", "1024 65535", None])
def test_any_port_where_the_kernel_leaves_none(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "range"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(ports, "_LINUX_RANGE", file)
    assert 0 < ports.free_port() <= 65535
