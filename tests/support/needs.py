"""What a test cannot do without: skipped with a reason on a desk, a failure where CI=true."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")
MAY_BE_SKIPPED = (
    "takes minutes; run it with -m slow",
    "takes a minute; make chaos does",
    "looks into the traffic, which is encrypted",
    "guessed right",
    "SQLite has one writer at a time",
    "PostgreSQL prefers a sequential scan",
    "only root can give files away",
    "root reads everything",
    "looks at one server",
    "says something of one server",
    "needs calls over several slots",
)
"""How the reasons begin for which CI skips as well: nothing is missing that it could have."""


def needs(found: T | None, what: str) -> T:
    """``go = needs(shutil.which("go"), "the Go toolchain")``: the thing itself, or the end of this test."""
    if found is None:
        missing(what)
    return found


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where CI=true, because ``what`` is not on this machine."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needs {what}, and CI must have it", pytrace=False)
    pytest.skip(f"needs {what}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true whoever skips, by whatever means, fails; but for those who lack nothing."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same of a whole module."""
    return _judged((yield))


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _judged(report: Report) -> Report:
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        told = report.longrepr
        reason = str(told[2] if isinstance(told, tuple) else told).removeprefix("Skipped: ")
        if not reason.startswith(MAY_BE_SKIPPED):
            report.outcome, report.longrepr = "failed", f"skipped, and CI must have what it needs: {reason}"
    return report
