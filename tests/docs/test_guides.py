"""The guides' code, run as a reader would: files of the given names in one directory, and pytest on it.

A block opened with ```` ```python name.py ```` is (a part of) that file.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.support import forked

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
# What a reader has, and not what else this project tests with: those would be imported by each run.
PLAIN = [
    *("--disable-plugin-autoload", "-p", "pytest_asyncio.plugin", "-p", "hustlex.testing.pytest_plugin"),
    *("-p", "tests.support.patience", "-p", "no:cacheprovider"),
]
BLOCK = re.compile(r"^```(\w*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = [
    ("testing.md", 3),
    ("outbox.md", 2),
    ("workflows.md", 4),
    ("failures.md", 3),
    ("django-flask.md", 12),
    ("fastapi.md", 1),
    ("idempotency.md", 4),
    ("limits.md", 5),
    ("cache.md", 4),
    ("events.md", 8),
    ("pins.md secrets.md", 2),
    ("otp.md", 6),
    ("tokens.md", 4),
    ("metrics.md", 3),
]
"""Each guide with files (or some together), and how many tests they show."""


def write_files(guides: str, into: Path) -> int:
    """Write the files of guides; how many blocks of Python have no name and would not be run."""
    nameless = 0
    text = "\n".join((GUIDES / guide).read_text("utf-8") for guide in guides.split())
    for language, name, code in BLOCK.findall(text):
        if name:
            with (into / name).open("a", encoding="utf-8") as file:
                file.write(code)
        elif language == "python":
            nameless += 1
    (into / "pytest.ini").write_text(INI)
    return nameless


@pytest.mark.timeout(450)
@pytest.mark.parametrize(("guide", "tests"), RUN)
def test_every_block_of_a_guide_runs(guide: str, tests: int, tmp_path: Path) -> None:
    assert write_files(guide, tmp_path) == 0
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "pytest", "-q", *PLAIN]
    ran = forked.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{tests} passed" in ran.stdout


def test_a_bare_app_gets_login_a_limit_and_a_payment_in_under_forty_lines() -> None:
    blocks = BLOCK.findall((GUIDES / "fastapi.md").read_text("utf-8"))
    app = next(code for _, name, code in blocks if name == "app.py")
    assert all(word in app for word in ("auth_router(", "RateLimit(", "Idempotent("))
    assert len(app.splitlines()) < 40


def test_a_bare_app_gets_a_cached_page_and_a_live_bar_in_under_forty_lines() -> None:
    blocks = {name: code for _, name, code in BLOCK.findall((GUIDES / "events.md").read_text("utf-8"))}
    shown = blocks["bar.py"] + blocks["bar.html"]
    assert all(word in shown for word in ("ResponseCache(", "tags=[", "invalidate_tags(", "progress(", "EventSource("))
    assert sum(bool(line.strip()) for line in shown.splitlines()) < 40


@pytest.mark.parametrize("guide", ["outbox.md"])
def test_the_sql_of_a_guide_fits_the_table(guide: str) -> None:
    import sqlite3

    from sqlalchemy import MetaData
    from sqlalchemy.dialects import sqlite
    from sqlalchemy.schema import CreateTable

    from hustlex.outbox import Outbox

    table = Outbox(MetaData()).table
    blocks = [code for language, _, code in BLOCK.findall((GUIDES / guide).read_text("utf-8")) if language == "sql"]
    with sqlite3.connect(":memory:") as connection:
        connection.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
        for block in blocks:
            connection.executescript(block)
    connection.close()
    assert blocks
