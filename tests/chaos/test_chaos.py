"""A short storm in every run of the suite; ``make chaos`` plays all rooms, ``make chaos-jobs`` the long storm."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.chaos.__main__ import Play, played, to_ask_again
from tests.chaos.programs import Program
from tests.chaos.stage import STAGES, OneServer
from tests.chaos.storm import told, weather

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))


def _seed() -> int:
    return int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(3), "big")


@pytest.mark.timeout(600)
def test_a_short_storm_leaves_an_exact_account() -> None:
    seed = _seed()
    deeds, diaries, wrong = weather(2_000, 5, seed)
    print(f"CHAOS_SEED={seed}\n{told(deeds, diaries)}")
    assert not wrong


@pytest.mark.skipif(not SECONDS, reason="takes a minute; make chaos does")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("stage", STAGES)
def test_everything_at_once_leaves_exact_accounts(stage: str) -> None:
    seed = _seed()
    print(f"CHAOS_SEED={seed}")
    assert not played(stage, SECONDS, seed).wrong


@pytest.mark.parametrize(
    ("complaints", "explained", "asked"),
    [
        ([[], []], [], ""),
        ([["slow"], []], ["slow"], "0"),
        ([["slow", "lost"], []], ["slow"], ""),
        ([["lost"], []], [], ""),
        ([["slow"], ["slow"]], ["slow"], ""),
    ],
)
def test_one_arrangement_is_asked_again_and_only_for_what_the_machine_may_have_done(
    complaints: list[list[str]], explained: list[str], asked: str
) -> None:
    plays = {}
    for number, wrong in enumerate(complaints):
        play = plays[str(number)] = Play(OneServer.__new__(OneServer), 1, [], [])
        play.wrong, play.explained = wrong, set(explained)
    assert to_ask_again(plays) == asked


@pytest.mark.parametrize(("code", "complained"), [(3, False), (1, True), (0, True)])
def test_a_program_that_found_no_server_begins_again_and_any_other_end_is_told(code: int, complained: bool) -> None:
    program = Program("a program", [sys.executable, "-c", f"raise SystemExit({code})"])
    program.start()
    assert program._process is not None
    program._process.wait(60)
    assert program.supervise() is complained
    program.stop(signal.SIGKILL)
