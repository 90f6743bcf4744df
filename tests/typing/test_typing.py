"""mypy reads the files beside this one as a user's program."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PROGRAMS = sorted(path.name for path in HERE.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_users_program_has_the_types_we_promise(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mypy import api

    monkeypatch.chdir(ROOT)
    report, failure, status = api.run(["--strict", "--no-error-summary", f"tests/typing/{program}"])
    assert (report, failure, status) == ("", "", 0)


@pytest.mark.timeout(180)
def test_the_example_of_the_readme_is_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what it leaves to the reader: a secret, a User and where users come from."""
    from mypy import api

    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert found is not None
    program = tmp_path / "readme.py"
    head, tail = found[1].split("async with", 1)
    given = "class User: ...\nasync def load_user() -> User: return User()\nSECRET = b'0' * 32\n"
    body = textwrap.indent(f"async with{tail}", "    ")
    program.write_text(f"{head}\n{given}\nasync def main() -> None:\n{body}", "utf-8")
    monkeypatch.chdir(ROOT)
    report, failure, status = api.run(["--strict", "--no-error-summary", str(program)])
    assert (report, failure, status) == ("", "", 0)
