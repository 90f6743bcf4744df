"""``--cpu``: which tests take the processors' time. Beside other work the length of a test says little, this much."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Generator

import pytest

_MOST = 30


def spent_s() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class CpuTimes:
    """In a process that tests: notes it in each report. In the one that hears the reports: sums up and prints."""

    def __init__(self) -> None:
        self._files: Counter[str] = Counter()
        self._tests: Counter[str] = Counter()
        self._mark = 0.0

    def pytest_runtest_logstart(self) -> None:
        self._mark = spent_s()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = spent_s()
        report.cpu_s, self._mark = now - self._mark, now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._files[report.nodeid.partition("::")[0]] += report.cpu_s
        self._tests[report.nodeid] += report.cpu_s

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"{self._files.total():.0f} s of processor time, servers of a whole run included")
        for counted in (self._files, self._tests):
            for name, seconds in counted.most_common(_MOST):
                terminalreporter.line(f"{seconds:8.2f} s  {name}")
            terminalreporter.line("")
