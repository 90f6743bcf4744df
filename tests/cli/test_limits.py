"""``hustlex limit explain`` (and its plural)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli import inside


def hustlex(*arguments: str) -> subprocess.CompletedProcess[str]:
    return inside.hustlex("limits", "explain", *arguments)


def test_it_prints_what_each_policy_promises() -> None:
    told = hustlex("10/minute per user on POST /pay", "100/hour per ip using counter", "3 at once per user")
    assert told.returncode == 0, told.stderr
    strict, counter, leases = told.stdout.split("\n\n")
    assert "at most 10 in any 1 min" in strict
    assert "on POST /pay, by strict" in strict
    assert "at most 199 in any 1 h" in counter
    assert "more than its limit of 100" in counter
    assert "at most 3 at once" in leases


def test_a_file_and_json(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text('smooth = "100/minute global using gcra"\nlog = "5/30s per ip using log"\n')
    told = hustlex("--json", str(tmp_path / "limits.toml"))
    answer = json.loads(told.stdout)
    assert answer["schema"] == "hustlex.limit.guarantee.list/1"
    smooth, log = answer["items"]
    assert told.stderr == ""
    assert (smooth["policy"], smooth["worst_in_window"], smooth["at_once"]) == ("smooth", 199, 100)
    assert smooth["flags"][0].startswith("burst = limit: admits 199, not 100")
    assert (log["worst_in_window"], log["window_ms"], log["who"], log["endpoint"]) == (5, 30_000, "ip", "all")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--strict", "10/minute"], 0),
        (["--strict", "10/minute using counter"], 1),
        (["--strict", "10/minute shadow"], 1),
        (["--strict", "3 at once"], 0),
        (["ten per minute"], 2),
        (["nowhere.toml"], 2),
        ([""], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    told = hustlex(*arguments)
    assert told.returncode == code
    assert "Traceback" not in told.stderr
