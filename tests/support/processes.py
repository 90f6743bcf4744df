"""``-n 4``: the tests in so many processes, forked when all are collected, which is the work of one of them.

A process takes one file after the other, in the order of the run, and in the end the half of what another has left of
its own. It is told of by reports alone, as pytest prints them. One that dies has failed its test, and another goes on.
"""

from __future__ import annotations

import atexit
import mmap
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_UN, lockf
from itertools import groupby
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import IO, Any

import pytest
from _pytest.runner import runtestprotocol

LONG_S = 400
"""A test with a timeout over this waits for processes, servers or a great many examples."""
NONE = -1
number: int | None = None
"""Of this process, from 0; None in the one that collects."""


def add_option(parser: pytest.Parser) -> None:
    """pytest keeps options of one letter for itself; this one it has always left to who runs tests in processes."""
    group: Any = parser.getgroup("processes")
    group._addoption("-n", type=int, default=0, dest="processes", help="run in so many processes")


def register(config: pytest.Config) -> None:
    """Where more than one is asked for."""
    if (count := config.getoption("processes")) > 1:
        config.pluginmanager.register(Processes(count), "processes")


class Deal:
    """Who runs which test, by their numbers, in memory that all processes share. A lock ends with who holds it."""

    def __init__(self, files: list[int], processes: int, lock: IO[bytes]) -> None:
        """files: how many tests follow each other in each. lock: an open file."""
        ends = [sum(files[: n + 1]) for n in range(len(files))]
        self._files = list(zip([0, *ends], ends, strict=False))
        self._lock = lock
        self._shared = memoryview(mmap.mmap(-1, 4 * (2 + 4 * processes))).cast("i")
        self._hands = [self._shared[at : at + 4] for at in range(2, 2 + 4 * processes, 4)]
        """Of each process: its next test and where its file ends, the test it runs, the one it runs then."""
        for hand in self._hands:
            hand[2] = hand[3] = NONE

    def next(self, process: int) -> tuple[int, int]:
        """What this process runs now, and then; ``NONE``: nothing."""
        hand = self._hands[process]
        with self._locked():
            if self._shared[1]:
                return NONE, NONE
            now = self._taken(hand) if hand[3] == NONE else hand[3]
            hand[2], hand[3] = now, NONE if now == NONE else self._taken(hand)
            return hand[2], hand[3]

    def running(self, process: int) -> int:
        """The test that it runs, or ran last."""
        return self._hands[process][2]

    def stop(self) -> None:
        """No test begins any more."""
        self._shared[1] = 1

    def _taken(self, hand: memoryview) -> int:
        if hand[0] == hand[1]:
            hand[0], hand[1] = self._more()
        if hand[0] == hand[1]:
            return NONE
        hand[0] += 1
        return int(hand[0]) - 1

    def _more(self) -> tuple[int, int]:
        """The next file, or the half of the most that another has left."""
        if (file := self._shared[0]) < len(self._files):
            self._shared[0] += 1
            return self._files[file]
        richest = max(self._hands, key=lambda each: each[1] - each[0])
        end, left = richest[1], richest[1] - richest[0]
        richest[1] -= (left + 1) // 2
        return richest[1], end

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lockf(self._lock, LOCK_EX)
        try:
            yield
        finally:
            lockf(self._lock, LOCK_UN)


class Processes:
    """The plugin."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._open: dict[Connection, tuple[int, int]] = {}
        """How each process tells, its number and its pid."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Long tests begin, that none is left over while other processes are idle; then come those in a browser."""
        items.sort(key=lambda item: (not _is_long(item), not _browses(item)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.config.option.collectonly or not session.items or session.testsfailed:
            return None
        assert threading.active_count() == 1, "a process with threads cannot be forked"
        files = files_of(session.items)
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        with TemporaryFile() as lock:
            self._loop(session, Deal(files, self.count, lock))
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        return True

    def _loop(self, session: pytest.Session, deal: Deal) -> None:
        try:
            for process in range(self.count):
                self._start(session, deal, process)
            while self._open:
                self._hear(session, deal)
        except BaseException:
            deal.stop()
            self._end()
            raise

    def _start(self, session: pytest.Session, deal: Deal, process: int) -> None:
        hearing, telling = Pipe(duplex=False)
        sys.stdout.flush()
        if (pid := os.fork()) == 0:
            hearing.close()
            _be(process, session, deal, telling)
        telling.close()
        self._open[hearing] = process, pid

    def _hear(self, session: pytest.Session, deal: Deal) -> None:
        for each in wait(list(self._open)):
            assert isinstance(each, Connection)
            process, pid = self._open[each]
            try:
                kind, told = each.recv()
            except EOFError:
                each.close()
                del self._open[each]
                if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                    self._died(session, deal, process, code)
                continue
            if kind == "warning":
                session.config.hook.pytest_warning_recorded.call_historic(kwargs=told)
                continue
            for data in told:
                read = session.config.hook.pytest_report_from_serializable
                _log(session, read(config=session.config, data=data), process)
            if session.shouldfail:
                deal.stop()

    def _died(self, session: pytest.Session, deal: Deal, process: int, code: int) -> None:
        if (test := deal.running(process)) != NONE:
            item = session.items[test]
            said = f"process {process} ended with {code} at this test, or right after it"
            _log(session, pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call"), process)
        self._start(session, deal, process)

    def _end(self) -> None:
        for _, pid in self._open.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        for hearing, (_, pid) in self._open.items():
            hearing.close()
            os.waitpid(pid, 0)


def files_of(items: list[pytest.Item]) -> list[int]:
    """How many tests follow each other that one process should run: those of a file, or all in a browser, which takes
    seconds to start."""
    return [len(list(tests)) for _, tests in groupby(items, lambda item: "" if _browses(item) else item.path)]


def _browses(item: pytest.Item) -> bool:
    return "browser_address" in getattr(item, "fixturenames", ())


def _is_long(item: pytest.Item) -> bool:
    limit = item.get_closest_marker("timeout")
    return limit is not None and bool(limit.args) and limit.args[0] > LONG_S


def _log(session: pytest.Session, report: Any, process: int) -> None:
    # Where the terminal looks for it, as pytest-xdist would leave it.
    report.node = SimpleNamespace(gateway=SimpleNamespace(id=f"p{process}"), _workerinfocache=f"[p{process}]")
    session.config.hook.pytest_runtest_logreport(report=report)


# From here on: in the processes that test.


class Telling:
    """The plugin there: reports and warnings go to the one that collected, and nowhere else."""

    def __init__(self, config: pytest.Config, telling: Connection) -> None:
        self._config = config
        self._telling = telling

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        made = self._config.hook.pytest_report_to_serializable
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        self._telling.send(("reports", [made(config=self._config, report=each) for each in reports]))
        return True

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        told = {"warning_message": warning_message, "when": when, "nodeid": nodeid, "location": location}
        self._telling.send(("warning", told))


def _be(process: int, session: pytest.Session, deal: Deal, telling: Connection) -> None:
    """Run tests until there are no more, and end as an interpreter does."""
    code = 1
    try:
        _become(process, session.config)
        session.config.pluginmanager.register(Telling(session.config, telling))
        _run(process, session, deal)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        code = 0
    except (KeyboardInterrupt, BrokenPipeError):  # the latter: the one that collected was, and hears nobody any more
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _become(process: int, config: pytest.Config) -> None:
    """What each process has for itself: its number, what it does in the end, where output and files go."""
    global number
    number = process
    atexit._clear()
    capturing: Any = config.pluginmanager.getplugin("capturemanager")
    capturing.stop_global_capturing()
    capturing.start_global_capturing()
    capturing.suspend_global_capture()
    factory: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._given_basetemp, factory._basetemp = Path(factory.getbasetemp()) / f"p{process}", None


def _run(process: int, session: pytest.Session, deal: Deal) -> None:
    now, then = deal.next(process)
    try:
        while now != NONE:
            following = session.items[then] if then != NONE else None
            session.config.hook.pytest_runtest_protocol(item=session.items[now], nextitem=following)
            now, then = deal.next(process)
    finally:
        session._setupstate.teardown_exact(None)
