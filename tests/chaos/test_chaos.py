"""A short storm in every run of the suite; ``make chaos`` plays the long one."""

from __future__ import annotations

import os

import pytest

from tests.chaos.storm import told, weather


@pytest.mark.timeout(600)
def test_a_short_storm_leaves_an_exact_account() -> None:
    seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(3), "big")
    deeds, diaries, wrong = weather(5_000, 8, seed)
    print(f"CHAOS_SEED={seed}\n{told(deeds, diaries)}")
    assert not wrong
