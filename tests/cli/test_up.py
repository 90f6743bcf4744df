"""The whole backend, as a newcomer runs it: up, the tour, deaths, and the next start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import pytest
import redis

from examples.gigs import tour
from hustlex.drivers.ports import free_port
from tests.cli import inside
from tests.cli.backend import Up
from tests.support import forked

pytestmark = pytest.mark.timeout(600)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hustlex.cli.main", *arguments]
    return forked.run(command, capture_output=True, text=True, timeout=90, check=False)


def signed_in(up: Up, closing: ExitStack) -> tour.Person:
    person = closing.enter_context(tour.Person(up.url, up.data / "outbox.jsonl"))
    challenge = person.request_code()
    person.sign_in(challenge, person.read_code())
    return person


def look_into_the_console(up: Up) -> None:
    place, token = up.wait_for_line("sign in, once").rsplit(" ", 1)[1].split("/enter#")
    with httpx.Client(base_url=place, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True) as browser:
        assert "Sign in" in browser.get("/").text
        page = browser.post("/enter", data={"token": token})
        assert page.status_code == 200 and "critical" in page.text and "1 worker" in page.text


def test_the_tour_holds_and_ctrl_c_stops_cleanly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Up(tmp_path / "data", "--console") as up:
        up.wait_for_line("^ready$")
        assert up.wait_for_line("  pages ").endswith(f" {up.url}/")
        tour.walk(up.url, up.data / "outbox.jsonl")
        tour.look_at_pages(up.url, up.data / "outbox.jsonl")
        look_into_the_console(up)
        assert up.stop() == 0
    told = capsys.readouterr().out
    assert "blacklisted token refused: 401" in told
    assert "refused in words: ₦64,990, You can try again" in told or "no Chromium here" in told
    assert up.lines[-1].startswith("stopped")
    assert not any("Traceback" in line for line in up.lines), "\n".join(up.lines)


def test_the_tour_holds_on_a_cluster_while_each_primary_dies_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request fails: who calls in the window waits. Who has sent already is told that nobody knows, which is no
    subject here: so the API hears of the death first."""
    deaths = {"owner: wrong code refused": 0, "gig taken, work accepted: escrow job enqueued": 1, "logged out": 2}
    step = tour.step

    def deadly(text: str) -> AbstractContextManager[list[str]]:
        if text in deaths:
            tour.wait_for(lambda: healed(up))
            kill_a_primary(up, deaths.pop(text))
            httpx.get(f"{up.url}/health", timeout=60)
        return step(text)

    monkeypatch.setattr(tour, "step", deadly)
    with Up(tmp_path / "data", "--cluster", forks=True) as up:
        up.wait_for_line("^ready$")
        tour.walk(up.url, up.data / "outbox.jsonl")
        assert not deaths
        up.wait_for_line("ended; starting it again")
        assert up.stop() == 0
        assert not any("Traceback" in line for line in up.lines), "\n".join(up.lines)


def healed(up: Up) -> bool:
    """Whether all nodes of the cluster serve again."""
    password = (up.data / "cluster" / "password").read_text().strip()
    ports = next(line for line in up.lines if "  cluster " in line).partition("ports ")[2].split(", append")[0]
    try:
        for port in ports.split(", "):
            with redis.Redis(port=int(port), password=password, decode_responses=True) as client:
                if "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                    return False
    except redis.RedisError:
        return False
    return True


def kill_a_primary(up: Up, number: int = 0) -> None:
    """The first nodes of a new cluster are its primaries."""
    port = next(re.findall(r"\d{4,}", line.partition("ports ")[2])[number] for line in up.lines if "  cluster " in line)
    servers = (each for each in Path("/proc").glob("[0-9]*/cmdline") if _serves(each, f"127.0.0.1:{port}".encode()))
    process = next(servers).parent
    os.kill(int(process.name), signal.SIGKILL)
    tour.wait_for(lambda: has_ended(process))


def has_ended(process: Path) -> bool:
    """Whether its sockets are closed: it is gone, or waits for its parent to look."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _serves(command: Path, address: bytes) -> bool:
    """Servers write their address where their arguments stood."""
    try:
        return b"-server" in (words := command.read_bytes()) and address in words
    except OSError:
        return False


def test_deaths_lose_nothing_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """Kill worker, API and scheduler while gigs are being paid: the money of each gig moves exactly once."""
    with ExitStack() as closing:
        with Up(tmp_path / "data", forks=True) as up:
            up.wait_for_line("^ready$")
            owner, worker = signed_in(up, closing), signed_in(up, closing)
            before = worker.profile()["balance_kobo"]
            pay_while_the_worker_dies(up, owner, worker)
            up.kill("scheduler")
            tour.wait_for(lambda: released(up) == 20)
            up.kill("api")
            tour.wait_for(lambda: answers(owner))
            assert tour.wait_for(lambda: tour.balance(worker, before + 20_000)) == before + 20_000
            assert up.stop() == 0
        with Up(tmp_path / "data", forks=True) as again:
            again.wait_for_line("^ready$")
            owner.client.base_url = again.url
            assert owner.profile()["phone_end"] == owner.phone[-4:]
            assert released(again) == 20


def pay_while_the_worker_dies(up: Up, owner: tour.Person, worker: tour.Person) -> None:
    """Twenty gigs of 1,000 kobo."""
    gigs = []
    for number in range(20):
        new = {"title": f"Gig number {number}", "category": "repairs", "price_kobo": 1000}
        gigs.append(owner.call("POST", "/gigs", expect=201, json=new).json()["id"])
        worker.call("POST", f"/gigs/{gigs[-1]}/take", expect=200)
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(owner.call, "POST", f"/gigs/{gig}/complete", expect=202) for gig in gigs]
        up.kill("worker")
        for each in done:
            each.result()


def released(up: Up) -> int:
    return len([key for key in up.ledger() if key.endswith(":release")])


def answers(person: tour.Person) -> bool:
    try:
        return person.client.get("/users/me").status_code == 200
    except tour.httpx.TransportError:
        return False


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for option in ("--port", "--redis-port"):
            arguments = ["--port", str(free_port()), "--data", str(tmp_path / "data"), option, port]
            ended = inside.hustlex("up", "examples.gigs", *arguments)
            assert ended.returncode == 2, ended.stderr
            assert "port" in ended.stderr
            assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["worker", "no.such.module"], {}, 2, "cannot import no.such.module"),
        (["worker", "tests.cli.broken"], {}, 2, "cannot import tests.cli.broken: ZeroDivisionError"),
        (["worker", "hustlex.errors"], {}, 2, "has no 'tasks'"),
        (["up", "no.such.module"], {}, 2, "cannot import no.such.module"),
        (["worker", "examples.gigs", "--url", "redis://127.0.0.1:1/0"], {}, 3, "cannot reach the server"),
        (["worker", "examples.gigs", "--durability", "disk"], {}, 2, "'memory', 'fsync', 'replica', 'replica_fsync'"),
        (["scheduler", "examples.gigs", "--url", "redis://127.0.0.1:1/0"], {}, 3, "cannot reach the server"),
        (["worker", "examples.gigs", "--url", "http://127.0.0.1"], {}, 2, "use redis://"),
        (["worker", "examples.gigs", "--url", "redis://127.0.0.1:x/0"], {}, 2, "port"),
        (["worker", "examples.gigs"], {"HUSTLEX_CONCURRENCY": "none"}, 2, "HUSTLEX_CONCURRENCY"),
        (["up", "examples.gigs"], {"HUSTLEX_SERVER_BINARY": "/no/such/binary"}, 2, "/no/such/binary"),
        (["up", "examples.gigs"], {"HUSTLEX_ENV": "production"}, 2, "production"),
    ],
)
def test_what_cannot_work_is_one_clear_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    words: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if arguments[0] == "up":
        arguments = [*arguments, "--port", str(free_port()), "--data", str(tmp_path / "data")]
    runs = code == 3  # it says so out of its loop, which is a process's own
    ended = run(*arguments) if runs else inside.hustlex(*arguments)
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
