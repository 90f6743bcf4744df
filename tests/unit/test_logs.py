"""What an application's log raises is never what a call of ours raises."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import hustlex
from hustlex.core.logs import logger

NAMED = re.compile(r"getLogger\(\"hustlex")
ELSEWHERE = {"cli/run.py"}
"""It sets the log up, and says nothing."""


class Away(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise ConnectionError("the log's server is away")


def test_all_logs_of_the_package_are_made_in_one_place() -> None:
    root = Path(hustlex.__file__).parent
    found = {str(path.relative_to(root)) for path in root.rglob("*.py") if NAMED.search(path.read_text())}
    assert found == ELSEWHERE


def test_a_handler_that_raises_ends_its_line_alone(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log, away = logger("hustlex.unit"), Away()
    assert logger("hustlex.unit") is log is logging.getLogger("hustlex.unit")
    log.addHandler(away)
    log.error("%s is lost", "this")
    log.removeHandler(away)
    log.error("%s is told", "that")
    assert "that is told" in caplog.text
    told = capsys.readouterr().err
    assert "--- Logging error ---" in told and "the log's server is away" in told
