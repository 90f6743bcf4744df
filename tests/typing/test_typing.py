"""mypy reads the files beside this one as a user's program."""

from __future__ import annotations

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
