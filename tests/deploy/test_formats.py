"""The tools that know the formats of deploy/ and of the workflow find nothing to complain of. ``make deploy-check``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.needs import missing, needs
from tools.deploy_check import BY_GO, CHECKS, checked, fits_the_specification, found


def tool(files: str) -> str:
    """Who knows their format, and has what it needs."""
    programs = CHECKS[files][1]
    program = needs(found(*programs), " or ".join(programs))
    return with_module(program, files) if Path(program).name == "go" else program


def with_module(go: str, files: str) -> str:
    fetched = subprocess.run([go, "mod", "download", BY_GO[files]], capture_output=True, text=True, timeout=300)
    return missing(f"{BY_GO[files]}: {fetched.stderr.strip()}") if fetched.returncode else go


@pytest.mark.timeout(300, func_only=True)
@pytest.mark.parametrize("files", CHECKS)
def test_who_knows_the_format_complains_of_nothing(files: str) -> None:
    assert checked(CHECKS[files][0], tool(files)) == ""


def test_what_the_specification_of_compose_files_refuses_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go = with_module(needs(found("go"), "the Go toolchain"), "compose.yaml")
    wrong = tmp_path / "compose.yaml"
    wrong.write_text("services:\n  api:\n    image: x\n    restrat: always\n")
    assert fits_the_specification(go, str(wrong)) == 1
    assert "'restrat'" in capsys.readouterr().out
