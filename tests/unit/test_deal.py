"""The tests of a run over several processes: each runs once, whatever happens to a process."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from tests.support import forked
from tests.support.processes import NONE, Deal, Processes, files_of

ROOT = Path(__file__).parents[2]
CONFTEST = """
import os
from pathlib import Path
import pytest
from tests.support import processes

def pytest_addoption(parser):
    processes.add_option(parser)

def pytest_configure(config):
    processes.register(config)

@pytest.fixture(scope="session")
def server():
    yield
    print("ended", file=(Path(__file__).parent / f"ended-{processes.number}").open("w"))
"""
TESTS = """
import os, warnings
from pathlib import Path
import pytest
from tests.support import processes

@pytest.mark.parametrize("n", range(6))
def test_passes(server, n, tmp_path):
    assert tmp_path.parent.name == f"p{processes.number}"

"""
FAILS = """
def test_fails(server):
    print("said before")
    assert 1 == 2

def test_warns():
    warnings.warn("take care", UserWarning)
"""
DIES = """
def test_dies():
    os.kill(os.getpid(), 9)

def test_after_it(server):
    pass
"""
STOPS = """
def test_fails():
    raise ValueError
"""


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_every_test_runs_once_and_what_was_promised_is_kept(processes: int, seed: int) -> None:
    chance = random.Random(seed)
    files = [chance.randrange(1, 12) for _ in range(chance.randrange(12))]
    with TemporaryFile() as lock:
        deal = Deal(files, processes, lock)
        run, promised, working = list[int](), dict[int, int](), list(range(processes))
        while working:
            process = chance.choice(working)
            now, then = deal.next(process)
            assert now == promised.get(process, now)
            promised[process] = then
            assert deal.running(process) == now
            if now == NONE:
                working.remove(process)
            else:
                run.append(now)
    assert sorted(run) == list(range(sum(files)))


def test_no_test_begins_when_it_was_stopped() -> None:
    with TemporaryFile() as lock:
        deal = Deal([5, 5], 2, lock)
        assert deal.next(0) == (0, 1)
        deal.stop()
        assert deal.next(0) == deal.next(1) == (NONE, NONE)


class Item:
    def __init__(self, module: str, limit: int | None, *fixtures: str) -> None:
        self.path, self.fixturenames = Path(module), fixtures
        self.mark = pytest.mark.timeout(limit).mark if limit else None

    def get_closest_marker(self, name: str) -> Any:
        return self.mark if name == "timeout" else None


def test_long_tests_begin_and_those_in_a_browser_stay_together() -> None:
    short, other, browses = Item("a", None), Item("b", 300), Item("c", None, "url", "browser_address")
    long, looks = Item("d", 450), Item("a", None, "browser_address")
    items: list[Any] = [short, browses, other, long, looks]
    Processes(2).pytest_collection_modifyitems(items)
    assert items == [long, browses, looks, short, other]
    assert files_of(items) == [1, 2, 1, 1]


def ran(place: Path, *options: str, **files: str) -> list[str]:
    """What pytest says of tests in three processes, or as many."""
    (place / "pytest.ini").write_text("[pytest]\n")
    (place / "conftest.py").write_text(CONFTEST)
    for name, text in files.items():
        (place / f"test_{name}.py").write_text(TESTS + text)
    plain = ("--disable-plugin-autoload", "-p", "no:cacheprovider", "-n", "3", "--basetemp", str(place / "temp"))
    code = f"import sys, pytest; sys.path.append({str(ROOT)!r}); sys.exit(pytest.main({[*plain, *options]}))"
    return forked.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True).stdout.splitlines()


def test_reports_output_and_warnings_are_those_of_one_process(tmp_path: Path) -> None:
    told = ran(tmp_path, passes="", fails=FAILS)
    assert "1 failed, 13 passed, 1 warning" in told[-1]
    assert {"[p0]", "[p1]", "[p2]"} & set(told)
    assert "said before" in told and "E       assert 1 == 2" in told
    assert any("UserWarning: take care" in line for line in told)
    assert list(tmp_path.glob("ended-*"))


def test_who_dies_has_failed_its_test_and_the_others_run(tmp_path: Path) -> None:
    told = ran(tmp_path, passes="", dies=DIES)
    assert "1 failed, 13 passed" in told[-1]
    assert any(line.startswith("FAILED test_dies.py::test_dies") for line in told)


def test_the_first_failure_ends_the_run_where_it_was_asked_to(tmp_path: Path) -> None:
    told = ran(tmp_path, "-x", stops=STOPS)
    assert "1 failed" in told[-1]
    assert any("stopping after 1 failures" in line for line in told)
