"""What children of ``hustlex up`` may write: anything, and nobody hangs, nothing is lost, no terminal is steered."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.cli import supervisor
from hustlex.cli.relay import LONGEST, Relay
from hustlex.cli.repeats import Repeats
from hustlex.cli.supervisor import Child, Supervisor
from hustlex.core.printable import printable
from tests.cli.backend import Up
from tests.support import forked


def relayed(*chunks: bytes) -> list[str]:
    lines: list[str] = []
    relay = Relay(lines.append)
    for chunk in chunks:
        relay.data_received(chunk)
    relay.connection_lost(None)
    return lines


def test_lines_are_passed_whole_whatever_the_chunks() -> None:
    assert relayed(b"on", b"e\ntwo\nthr", b"ee") == ["one", "two", "three"]
    assert relayed("ẹ̀gbẹ́\n".encode()[:2], "ẹ̀gbẹ́\n".encode()[2:]) == ["ẹ̀gbẹ́"]


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, 5 * LONGEST + 7])
def test_a_line_of_any_length_comes_in_pieces(size: int, end: bytes) -> None:
    lines = relayed(b"x" * size + end, b"short\n")
    assert "".join(lines) == "x" * size + "short"
    assert max(map(len, lines)) <= LONGEST + len("short")


def test_pieces_keep_characters_whole() -> None:
    text = "a" + "₦" * LONGEST
    assert "".join(relayed(text.encode() + b"\n")) == text


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_reach_the_terminal_raw(chunks: list[bytes]) -> None:
    lines = relayed(*chunks)
    assert all(one.isprintable() or one == "\t" for line in lines for one in line)
    assert len(lines) == len(relayed(b"".join(chunks)))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("paid\rfree", r"paid\rfree"),
        ("\x00", r"\x00"),
        ("\u202egnp", r"\u202egnp"),
        ("\U000e0001", r"\U000e0001"),
        ("a\tb \\n ₦", "a\tb \\n ₦"),
    ],
)
def test_what_steers_a_terminal_is_shown(written: str, shown: str) -> None:
    assert printable(written) == shown


class NoServer:
    running = True


LOUD = """
import os, sys, time
write = lambda data: os.write(1, data)
for size in (65_536, 1_000_000):
    left = b"x" * size
    while left:
        left = left[write(left):]
    write(b"\\n")
write(bytes(range(256)) * 10 + b"\\n")
write(b"\\x1b]0;owned\\x07 end\\n")
if len(sys.argv) > 1:
    os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])
"""


async def test_a_loud_child_is_heard_to_its_end_and_started_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_MOST_EARLY_DEATHS", 2)
    loud = Child("loud", [sys.executable, "-c", LOUD])
    assert await Supervisor(NoServer(), [loud], {}).run()  # type: ignore[arg-type]
    told = capsys.readouterr().out
    assert told.count("x") >= 1_065_536
    assert told.count(r"\x1b]0;owned\x07 end") == 1, "the same again is told once"
    assert "\x1b" not in told
    assert "\x00" not in told


async def test_a_child_whose_own_child_keeps_its_output_is_started_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_MOST_EARLY_DEATHS", 2)
    monkeypatch.setattr(supervisor, "_LAST_WORDS_SECONDS", 0.05)
    until_its_end = "'import sys; sys.stdin.read()'"
    left = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {until_its_end}], stdin=0).pid)"
    keeper = Child("keeper", [sys.executable, "-c", left + "; import time; print('gone')"])
    async with asyncio.timeout(60):
        assert await Supervisor(NoServer(), [keeper], {}).run()  # type: ignore[arg-type]
    assert capsys.readouterr().out.count("| gone") == 1


ENDS_AT_ONCE = """
import os, time
print("Traceback (most recent call last):")
print("ValueError: at", time.time_ns(), os.getpid(), hex(id(os)))
raise SystemExit(3)
"""


async def test_a_child_that_ends_at_once_says_why_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_MOST_EARLY_DEATHS", 4)
    child = Child("child", [sys.executable, "-c", ENDS_AT_ONCE])
    assert await Supervisor(NoServer(), [child], {}).run() == 3  # type: ignore[arg-type]
    told = [line.partition(" | ")[2] for line in capsys.readouterr().out.splitlines() if " | " in line]
    assert told[0] == "Traceback (most recent call last):"
    assert told[1].startswith("ValueError: at")
    assert told[2:] == [
        "ended (exit code 3); starting it again",
        *["ended (exit code 3), with the same words; starting it again"] * 2,
        "cannot be kept running (exit code 3); stopping everything",
    ]


def lives(*told: tuple[str, ...]) -> list[str]:
    """What is told of these lives, each but the last ending early; a life's last words may be TELL."""
    lines: list[str] = []
    repeats = Repeats(lines.append)
    for life in told:
        for line in life:
            repeats.tell() if line is TELL else repeats.hear(line)
        lines.append("again" if repeats.ended(again=life is not told[-1]) else "ended")
    return lines


TELL = "tell"


def test_only_the_same_words_are_told_once() -> None:
    assert lives(("a", "b 1"), ("a", "b 2")) == ["a", "b 1", "ended", "again"]
    assert lives(("a", "b"), ("a", "c")) == ["a", "b", "ended", "a", "c", "ended"]
    assert lives(("a", "b"), ("a",)) == ["a", "b", "ended", "a", "ended"]
    assert lives(("a",), ("a", "b")) == ["a", "ended", "a", "b", "ended"]
    assert lives((), ()) == ["ended", "ended"]
    assert lives(("a", "b"), ("a", TELL, "b"), ("a", "b")) == ["a", "b", "ended", "a", "b", "ended", "again"]
    long = tuple(f"line {'x' * number}" for number in range(600))
    assert lives(long, long) == [*long, "ended", *long, "ended"], "what is too long to be compared is told"


APP = textwrap.dedent(
    r"""
    import os, sys
    from contextlib import asynccontextmanager
    from hustlex import Tasks

    @asynccontextmanager
    async def lifespan():
        os.write(2, b"y" * 200_000 + b"\x00\xff\x1b[31m\n")
        sys.stderr.write("still writing\n")
        yield

    tasks = Tasks(lifespan=lifespan)
    """
)


@pytest.mark.timeout(450)
def test_up_survives_a_worker_that_writes_a_long_binary_line(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(APP)
    with Up(tmp_path / "data", modules=["loud"], at=tmp_path, forks=True) as up:
        up.wait_for_line("still writing")
        assert up.stop() == 0
    told = "\n".join(up.lines)
    assert told.count("y") >= 200_000
    assert r"\x00\xff\x1b[31m" in told
    assert "none: no module defines `app`" in told


@pytest.mark.timeout(450)
def test_up_stops_in_order_when_nobody_reads_it(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(APP.replace('"still writing', 'f"worker {os.getpid()} writes'))
    command = [sys.executable, "-m", "hustlex", "up", "loud", "--data", str(tmp_path / "data")]
    with forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as up:
        line = next(line for line in up.stdout if " writes" in line)
        up.stdout.close()
        worker = int(line.split()[-2])
        os.kill(worker, signal.SIGKILL)  # that it is told of, in vain
        assert up.wait(60) == 0
        assert up.stderr.read() == ""
    assert not (tmp_path / "data/server/server.sock").exists()
