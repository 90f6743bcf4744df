"""Which modules a command takes, and one sentence with file and line for those it cannot."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from hustlex import __version__
from hustlex.cli.backend import load_app, load_tasks, parts_of
from hustlex.cli.main import cli
from hustlex.cli.sources import Sources
from hustlex.cli.supervisor import program
from hustlex.drivers.aio import Driver
from hustlex.errors import ConfigurationError
from hustlex.jobs import Job, Jobs
from hustlex.worker import Worker
from tests.cli.backend import Up

TASKS = """
from hustlex import Tasks
tasks = Tasks()

@tasks.task("{name}")
async def {name}() -> None: ...
"""
APP = "async def app(scope, receive, send): ...\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write modules into a directory that is the working directory; they are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)  # another test's
    before = set(sys.modules)

    def write(name: str, text: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_several_modules_make_one_set(write: Any) -> None:
    for name in ("mail", "pay"):
        write(f"{name}_jobs", TASKS.format(name=name))
    write("more_jobs", "from mail_jobs import tasks\n@tasks.task('more')\nasync def more() -> None: ...\n")
    found = load_tasks(["mail_jobs", "pay_jobs", "more_jobs"])
    assert {task.type for task in found} == {"mail", "pay", "more"}
    assert load_tasks(["mail_jobs", "more_jobs"]) is load_tasks(["mail_jobs:tasks"])


def test_one_lifespan_serves_all(write: Any) -> None:
    write("one", "def open_all(): ...\n" + TASKS.format(name="one").replace("Tasks()", "Tasks(lifespan=open_all)"))
    write("two", TASKS.format(name="two"))
    assert load_tasks(["two", "one"]).lifespan is sys.modules["one"].open_all


LIFESPAN = """
    from contextlib import asynccontextmanager
    from hustlex import Tasks
    from hustlex.jobs import current_job
    trail = []

    @asynccontextmanager
    async def open_{name}():
        trail.append("open {name}")
        try:
            yield "{name}'s"
        finally:
            trail.append("close {name}")

    tasks = Tasks(lifespan=open_{name})

    @tasks.task("{name}")
    async def {name}() -> str:
        return current_job().state
"""


async def test_each_of_several_lifespans_serves_its_own_module(write: Any, driver: Driver, raw: redis.Redis) -> None:
    """Opened in the order of the modules, closed in the opposite one."""
    write("mail", LIFESPAN.format(name="mail"))
    write("pay", LIFESPAN.format(name="pay").replace("trail = []", "from mail import trail"))
    write("bare", TASKS.format(name="bare").replace("-> None: ...", "-> bool: return current_job().state is None"))
    bare = Path("bare.py")
    bare.write_text("from hustlex.jobs import current_job\n" + bare.read_text())
    tasks, jobs = load_tasks(["mail", "pay", "bare"]), Jobs(driver)
    made = [Job(name) for name in ("mail", "pay", "bare")]
    async with Worker(driver, tasks, queues={"default": 1}):
        handles = [(await jobs.enqueue(job, retention=timedelta(minutes=1))).or_raise() for job in made]
        found = [await handle.result(timeout=timedelta(seconds=20)) for handle in handles]
    assert found == [b'"mail\'s"', b'"pay\'s"', b"true"]
    assert sys.modules["mail"].trail == ["open mail", "open pay", "close pay", "close mail"]


async def test_a_lifespan_that_fails_closes_those_before_it(write: Any, driver: Driver) -> None:
    write("mail", LIFESPAN.format(name="mail"))
    write("pay", LIFESPAN.format(name="pay").replace('trail.append("open pay")', 'raise ValueError("no bank")'))
    with pytest.raises(ValueError, match="no bank"):
        await Worker(driver, load_tasks(["mail", "pay"])).run()
    assert sys.modules["mail"].trail == ["open mail", "close mail"]


def test_two_that_define_one_type_are_named(write: Any) -> None:
    for name in ("left", "right"):
        write(name, TASKS.format(name="same"))
    with pytest.raises(ConfigurationError, match=r"left and right do not fit together: .*'same' is defined twice"):
        load_tasks(["left", "right"])


@pytest.mark.parametrize(
    ("modules", "app", "tasks"),
    [
        (["both"], "both", ("both",)),
        (["served"], "served", ()),
        (["worked"], None, ("worked",)),
        (["served", "worked"], "served", ("worked",)),
        (["both:app"], "both:app", ("both",)),
        (["both:tasks"], None, ("both:tasks",)),
        (["named:api", "named:jobs"], "named:api", ("named:jobs",)),
    ],
)
def test_up_takes_what_there_is(write: Any, modules: list[str], app: str | None, tasks: tuple[str, ...]) -> None:
    write("both", APP + TASKS.format(name="both"))
    write("served", APP)
    write("worked", TASKS.format(name="worked"))
    write("named", "async def api(scope, receive, send): ...\n" + TASKS.format(name="named").replace("tasks", "jobs"))
    found = parts_of(modules)
    assert (found.app, found.tasks) == (app, tasks)


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        (["neither"], "the module neither has neither 'app' nor 'tasks'"),
        (["served", "again"], "served and again have an app each"),
        (["wrong"], "'tasks' in wrong is a list"),
        (["both:nothing"], "the module both has no 'nothing'"),
        (["app/main.py"], "'app/main.py' is not the name of a module (as in: app.main)"),
        (["main.py"], "'main.py' is not the name of a module (as in: main)"),
        (["./"], "is not the name of a module (as in: app.jobs)"),
        ([""], "is not the name of a module"),
        ([".jobs"], "'.jobs' is not the name of a module (as in: jobs)"),
    ],
)
def test_what_up_cannot_take_is_one_sentence(write: Any, modules: list[str], words: str) -> None:
    write("both", APP + TASKS.format(name="both"))
    write("served", APP)
    write("again", APP)
    write("neither", "")
    write("wrong", "tasks = []")
    with pytest.raises(ConfigurationError) as caught:
        parts_of(modules)
    assert words in str(caught.value)


def test_an_app_is_called(write: Any) -> None:
    write("served", "app = None")
    with pytest.raises(ConfigurationError, match="'app' in served is a NoneType, not an ASGI application"):
        load_app("served")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\nboom = 1 / 0", "cannot import shop.jobs: ZeroDivisionError: division by zero (shop/jobs.py, line 3)"),
        ("x = 1\ndef f(:\n", "cannot import shop.jobs: SyntaxError: invalid syntax (shop/jobs.py, line 2)"),
        ("import os\nos.environ['NOT_SET']", "KeyError: 'NOT_SET' (shop/jobs.py, line 2)"),
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing' (shop/jobs.py, line 1)"),
        ("from shop import other", "ValueError: deeper (shop/other.py, line 2)"),
        ("import json\njson.loads('{')", "(shop/jobs.py, line 2)"),
        ("raise SystemExit('not today')", "SystemExit: not today (shop/jobs.py, line 1)"),
        ("raise ValueError('one\\n\\ntwo\\x1b[2J')", r"ValueError: one; two\x1b[2J (shop/jobs.py, line 1)"),
        ("from hustlex import Tasks\nTasks().task(5)(print)", "(shop/jobs.py, line 2)"),
        ("class E(BaseException): ...\nraise E('all')", "cannot import shop.jobs: E: all (shop/jobs.py, line 2)"),
        (
            "def __getattr__(n): raise OSError(n)",
            "cannot read 'tasks' of shop.jobs: OSError: tasks (shop/jobs.py, line 1)",
        ),
        ("class E(Exception):\n  def __str__(self): return 1 / 0\nraise E", "E (shop/jobs.py, line 3)"),
    ],
)
def test_what_ends_an_import_is_named_with_file_and_line(write: Any, text: str, words: str) -> None:
    write("shop.__init__", "")
    write("shop.other", "\nraise ValueError('deeper')")
    write("shop.jobs", text)
    error = CliRunner().invoke(cli, ["worker", "shop.jobs"]).exception
    assert isinstance(error, ConfigurationError)
    assert words in str(error)
    assert "\n" not in str(error)


def test_a_working_directory_that_is_gone_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigurationError, match="the working directory does not exist any more"):
        load_tasks(["shop"])


def test_a_file_of_the_applications_does_not_stand_for_pythons_own_in_a_child(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('ours')")
    told = subprocess.run([*program(), "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.stdout == f"hustlex {__version__}\n"


def test_the_version_and_the_module_door() -> None:
    for door in (["-m", "hustlex"], ["-m", "hustlex.cli.main"]):
        told = subprocess.run([sys.executable, *door, "--version"], capture_output=True, text=True, check=True)
        assert told.stdout == f"hustlex {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wroker", "x"], "Did you mean 'worker'"),
        (["worker", "x", "--concurency", "5"], "--concurrency"),
        (["api", "x", "--prot", "5"], "--port"),
        (["up"], "Missing argument"),
    ],
)
def test_what_was_mistyped_is_told(arguments: list[str], words: str) -> None:
    told = CliRunner().invoke(cli, arguments)
    assert told.exit_code == 2
    assert words in told.output


# -- reload


def test_sources_tell_what_changed(tmp_path: Path) -> None:
    for name in ("a.py", "data.txt", ".hidden/b.py", "env/pyvenv.cfg", "env/lib/c.py", "__pycache__/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("1")
    sources = Sources(tmp_path)
    assert sources.changed() == ""
    for name in ("data.txt", ".hidden/b.py", "env/lib/c.py", "__pycache__/d.py"):
        (tmp_path / name).write_text("another")
        assert sources.changed() == ""
    for change in (lambda: (tmp_path / "a.py").write_text("22"), (tmp_path / "a.py").unlink):
        change()
        assert sources.changed() == "a.py"
        assert sources.changed() == ""


PRINTS = """
from contextlib import asynccontextmanager
from hustlex import Tasks

@asynccontextmanager
async def lifespan():
    print("version {number}", flush=True)
    yield

tasks = Tasks(lifespan=lifespan)
"""


@pytest.mark.timeout(450)
def test_up_starts_anew_when_a_file_changes_and_waits_out_a_mistake(tmp_path: Path) -> None:
    source = tmp_path / "changing.py"
    source.write_text(PRINTS.format(number=1))
    with Up(tmp_path / "data", "--reload", modules=["changing"], at=tmp_path) as up:
        up.wait_for_line("version 1")
        source.write_text("tasks = (")
        up.wait_for_line("reload .*changing.py changed")
        up.wait_for_line("cannot import changing: SyntaxError: .*changing.py, line 1")
        up.wait_for_line("worker .*waiting for a change")
        source.write_text(PRINTS.format(number=2))
        up.wait_for_line("version 2")
        assert up.stop() == 0
