"""What an import may bring along, never timed but by which modules it loads; and what is said without an extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hustlex.core.extras import require
from hustlex.core.later import Later
from hustlex.errors import ConfigurationError, NotInstalled

SLOW = (
    "cryptography.hazmat.bindings._rust jwt google.protobuf phonenumbers redis pydantic_settings sqlalchemy httpx typer"
)
_TYPED = "import typer.main, hustlex.cli.main as door; typer.main.get_command(door.cli).commands"
_CLIENTS = "redis google.protobuf phonenumbers sqlalchemy httpx fastapi"
CASES = {
    "import hustlex": f"{SLOW} msgspec asyncio hiredis pydantic hustlex.app hustlex.jobs",
    "from hustlex import HustleX": f"{SLOW} pydantic zoneinfo hustlex.jobs hustlex.otp hustlex.tokens hustlex.cache",
    "from hustlex import Tasks": f"{SLOW} pydantic hustlex.otp hustlex.tokens hustlex.drivers.aio",
    "import hustlex.otp, hustlex.tokens, hustlex.pins, hustlex.idempotency": f"{SLOW} pydantic hustlex.jobs",
    "import hustlex.worker": f"{SLOW} pydantic hustlex.otp hustlex.tokens",
    "import hustlex.web": f"{SLOW} uvicorn hustlex.jobs hustlex.worker hustlex.cli",
    "import hustlex.delivery": f"{SLOW} pydantic",
    "import hustlex.sync, hustlex.testing": f"{SLOW} pydantic",
    _TYPED: f"{_CLIENTS} pydantic msgspec hustlex.settings hustlex.jobs hustlex.drivers",
    f"{_TYPED}['worker']": f"{_CLIENTS} rich hustlex.sync hustlex.diagnostics hustlex.ratelimit hustlex.cli.top",
    f"{_TYPED}['up']": f"{_CLIENTS} hustlex.sync hustlex.diagnostics hustlex.ratelimit hustlex.web hustlex.cli.fleet",
    f"{_TYPED}['api']": f"{_CLIENTS} hustlex.sync hustlex.settings hustlex.diagnostics hustlex.ratelimit",
}


COMPANY = {"fastapi": ["fastapi", "starlette"], "flask": ["flask", "werkzeug"]}
"""What an extra brings along is as far away as what it is named for."""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("statement", CASES)
def test_an_import_brings_only_what_it_needs(statement: str) -> None:
    told = run(
        f"{statement}\nimport sys\nprint(*[name for name in {CASES[statement]!r}.split() if name in sys.modules])"
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == []


@pytest.mark.parametrize(
    ("statement", "module", "extra"),
    [
        ("import hustlex.web", "fastapi", "web"),
        ("import hustlex.web.sse", "fastapi", "web"),
        ("import hustlex.flask", "flask", "flask"),
        ("import hustlex.django", "django", "django"),
        ("import hustlex.django.sessions", "django", "django"),
        ("import hustlex.outbox", "sqlalchemy", "outbox"),
        ("from hustlex.delivery import HttpSender; HttpSender('https://sms.test')", "httpx", "gateway"),
        (
            "from hustlex.otp.phone import normalise; from hustlex.otp.rules import Numbers;"
            "normalise('08031234567', Numbers())",
            "phonenumbers",
            "otp",
        ),
    ],
)
def test_what_is_missing_names_its_extra(statement: str, module: str, extra: str) -> None:
    told = run(
        f"import sys; [sys.modules.update({{name: None}}) for name in {COMPANY.get(module, [module])!r}]\n"
        f"try:\n    {statement}\nexcept ImportError as error: print(error)"
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip().endswith(f"needs {module}, which is not installed (pip install 'hustlex[{extra}]')")


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("typer", ["doctor"], "server"),
        ("rich", ["worker", "examples.gigs"], "server"),
        ("uvicorn", ["api", "examples.gigs"], "web"),
        ("fastapi", ["up", "served"], "web"),
    ],
)
def test_a_command_without_its_extra_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, arguments: list[str], extra: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served.py").write_text("async def app(scope, receive, send): ...\n")
    door = f"sys.argv = ['hustlex', *{arguments!r}]\nfrom hustlex.cli.entry import main; main()"
    told = run(f"import sys; sys.modules[{module!r}] = None\n{door}")
    assert told.returncode == 2, told.stderr
    assert f"needs {module}, which is not installed (pip install 'hustlex[{extra}]')" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_the_error_is_an_import_error_and_ours() -> None:
    with pytest.raises(NotInstalled) as caught:
        require("this", "server", "sys", "no_such_module_at_all")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, ConfigurationError)


def test_a_module_that_comes_later_is_like_any_other() -> None:
    import json

    later = Later("json")
    assert later.dumps is json.dumps
    assert "dumps" in vars(later)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = later.no_such_name
