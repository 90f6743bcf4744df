"""mypy reads the files beside this one, README, guides, tutorial and moves as a user's programs, all in one run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.once import once

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(r"^```python ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_HERE = re.compile(r".*\[import-(untyped|not-found)\]\n(.*: note: .*\n)*")  # Sentry, structlog
PROGRAMS = sorted(path.name for path in HERE.glob("*.py") if not path.name.startswith("test_"))
# One process for all: mypy keeps its cache open as long as its process lives, and locks it against the next run.
MYPY = (sys.executable, "-m", "mypy", "--strict", "--no-error-summary")
# Of its own, and made of files that are replaced whole: `make check` may run beside.
CACHE = ("--no-sqlite-cache", "--cache-dir", str(ROOT / ".mypy_cache" / "users"))
pytestmark = pytest.mark.timeout(450)


def readme() -> str:
    """Its example, with what it leaves to the reader: a secret, a User and where users come from."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert found is not None
    head, tail = found[1].split("async with", 1)
    given = "class User: ...\nasync def load_user(user_id: int) -> User: return User()\nSECRET = b'0' * 32\n"
    body = textwrap.indent(f"async with{tail}", "    ")
    return f"{head}\n{given}\nasync def main() -> None:\n{body}"


def application_of(page: Path) -> dict[str, str]:
    """The modules that a page tells to write, without its tests and what another library wanted."""
    modules: dict[str, str] = {}
    for name, code in BLOCK.findall(page.read_text("utf-8")):
        if not name.startswith(("test_", "before")):
            module = name.removesuffix(".py") or "page"
            modules[module] = modules.get(module, "") + code
    return apart(page.stem.replace("-", "_"), modules)


def service_of(step: Path) -> dict[str, str]:
    """The modules of a step of the tutorial, without its tests."""
    own = (path for path in step.glob("*.py") if not path.name.startswith(("test_", "conftest")))
    return apart(step.name, {path.stem: path.read_text("utf-8") for path in own})


def apart(own: str, modules: dict[str, str]) -> dict[str, str]:
    """Under names that no other page or step has."""
    for name, code in modules.items():
        for other in modules:
            code = re.sub(rf"^from {other}\b", f"from {own}_{other}", code, flags=re.MULTILINE)
            code = re.sub(rf"^import {other}\b", f"import {own}_{other} as {other}", code, flags=re.MULTILINE)
        modules[name] = code
    return {f"{own}_{name}.py": code for name, code in modules.items()}


PAGES = sorted([*GUIDES.glob("*.md"), *(ROOT / "docs" / "migrating").glob("*.md")])
STEPS = sorted((ROOT / "examples" / "tutorial").glob("step*"))
MODULES = {name: code for page in PAGES for name, code in application_of(page).items()}
MODULES |= {name: code for step in STEPS for name, code in service_of(step).items()}


@pytest.fixture(scope="module")
def said_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """What mypy says of the file of this name; it may say nothing of any other than the programs."""
    told = once(tmp_path_factory, "mypy.json", lambda path: path.write_text(json.dumps(checked(tmp_path_factory))))
    lines: dict[str, str] = json.loads(told.read_text("utf-8"))
    return lines.__getitem__


def checked(factory: pytest.TempPathFactory) -> dict[str, str]:
    """What it says, by the file's name."""
    folder = factory.mktemp("programs")
    for name, code in {"readme.py": readme(), **MODULES}.items():
        (folder / name).write_text(code, "utf-8")
    programs = [*(HERE / name for name in PROGRAMS), *(folder / name for name in ("readme.py", *MODULES))]
    run = subprocess.run([*MYPY, *CACHE, *map(str, programs)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stderr == "" and run.returncode in (0, 1), run.stderr or run.stdout
    lines = {program.name: "" for program in programs}  # not by folder: out of the cache comes an earlier run's
    for line in run.stdout.splitlines(keepends=True):
        lines[Path(line.partition(":")[0]).name] += line
    return lines


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_users_program_has_the_types_we_promise(program: str, said_of: Callable[[str], str]) -> None:
    assert said_of(program) == ""


def test_the_example_of_the_readme_is_typed(said_of: Callable[[str], str]) -> None:
    assert said_of("readme.py") == ""


def test_who_copies_a_page_has_types_without_a_cast(said_of: Callable[[str], str]) -> None:
    assert len(MODULES) > 40
    for name, code in MODULES.items():
        assert "cast(" not in code and "type: ignore" not in code, name
        assert NOT_HERE.sub("", said_of(name)) == ""
