"""mypy reads the files beside this one as a user's program."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(r"^```python ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_HERE = re.compile(r".*\[import-(untyped|not-found)\]\n(.*: note: .*\n)*")  # Django's stubs, Sentry, structlog
# The first fills the cache for the others. Other options of mypy would empty it, so all are run with the same.
pytestmark = pytest.mark.xdist_group("mypy")
PROGRAMS = sorted(path.name for path in HERE.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.timeout(450)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_users_program_has_the_types_we_promise(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mypy import api

    monkeypatch.chdir(ROOT)
    report, failure, status = api.run(["--strict", "--no-error-summary", f"tests/typing/{program}"])
    assert (report, failure, status) == ("", "", 0)


@pytest.mark.timeout(450)
def test_the_example_of_the_readme_is_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what it leaves to the reader: a secret, a User and where users come from."""
    from mypy import api

    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert found is not None
    program = tmp_path / "readme.py"
    head, tail = found[1].split("async with", 1)
    given = "class User: ...\nasync def load_user(user_id: int) -> User: return User()\nSECRET = b'0' * 32\n"
    body = textwrap.indent(f"async with{tail}", "    ")
    program.write_text(f"{head}\n{given}\nasync def main() -> None:\n{body}", "utf-8")
    monkeypatch.chdir(ROOT)
    report, failure, status = api.run(["--strict", "--no-error-summary", str(program)])
    assert (report, failure, status) == ("", "", 0)


def application_of(guide: Path) -> dict[str, str]:
    """The modules that a guide tells to write, without its tests, under names that no other guide has."""
    own = guide.stem.replace("-", "_")
    modules: dict[str, str] = {}
    for name, code in BLOCK.findall(guide.read_text("utf-8")):
        if not name.startswith("test_"):
            module = name.removesuffix(".py") or "page"
            modules[module] = modules.get(module, "") + code
    for name, code in modules.items():
        for other in modules:
            code = re.sub(rf"^(from|import) {other}\b", rf"\1 {own}_{other}", code, flags=re.MULTILINE)
        modules[name] = code
    return {f"{own}_{name}.py": code for name, code in modules.items()}


@pytest.mark.timeout(450)
def test_who_copies_a_guide_has_types_without_a_cast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mypy import api

    modules = {name: code for guide in sorted(GUIDES.glob("*.md")) for name, code in application_of(guide).items()}
    assert len(modules) > 20
    for name, code in modules.items():
        assert "cast(" not in code and "type: ignore" not in code, name
        (tmp_path / name).write_text(code, "utf-8")
    monkeypatch.chdir(ROOT)
    programs = [str(tmp_path / name) for name in modules]
    report, failure, status = api.run(["--strict", "--no-error-summary", *programs])
    assert (NOT_HERE.sub("", report), failure) == ("", "") and status in (0, 1)
