"""The sentences of the page on troubleshooting are what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hustlex import HustleX
from hustlex.cli.main import cli
from hustlex.core import private
from hustlex.delivery import ConsoleSender
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Error
from hustlex.settings import load_settings

PAGE = (Path(__file__).parents[2] / "docs/guides/troubleshooting.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "app", raising=False)


def run(*arguments: str) -> str:
    return str(CliRunner().invoke(cli, arguments).exception)


def without_typer(_: pytest.MonkeyPatch) -> str:
    program = "import sys; sys.modules['typer'] = None\nfrom hustlex.cli.entry import main; main()"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return told.stderr.removeprefix("hustlex: ").strip()


def raises_at_import(_: pytest.MonkeyPatch) -> str:
    Path("app.py").write_text("import os\nos.environ['PORT']\n")
    return run("worker", "app")


def without_tasks(_: pytest.MonkeyPatch) -> str:
    Path("app.py").write_text("")
    return run("worker", "app")


def a_file(_: pytest.MonkeyPatch) -> str:
    return run("worker", "app.py")


def concurrency(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUSTLEX_CONCURRENCY", "many")
    return run("worker", "app")


def queues(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUSTLEX_QUEUES", "default")
    return run("worker", "app")


def latin(_: pytest.MonkeyPatch) -> str:
    Path(".env").write_bytes(b"HUSTLEX_PREFIX=caf\xe9:")
    return told_by(load_settings)


def without_secret(_: pytest.MonkeyPatch) -> str:
    return told_by(lambda: HustleX("redis://127.0.0.1:1").otp)


def embedded(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUSTLEX_ENV", "production")
    return told_by(EmbeddedServer().start)


def console(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUSTLEX_ENV", "production")
    return told_by(ConsoleSender)


def no_binary(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("hustlex.drivers.binary.bundled_binary", lambda package: None)
    return told_by(EmbeddedServer().start)


def scheme(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUSTLEX_URL", "http://localhost")
    return run("doctor")


def refused(_: pytest.MonkeyPatch) -> str:
    return run("doctor", "--url", "redis://127.0.0.1:1/0")


def loose_secret(_: pytest.MonkeyPatch) -> str:
    Path("secret").touch(0o644)
    Path("secret").chmod(0o644)
    return told_by(lambda: private.read(Path("secret")))


def loose_directory(_: pytest.MonkeyPatch) -> str:
    Path("data").mkdir()
    Path("data").chmod(0o755)
    Path("data/thesis").touch()
    return told_by(lambda: private.directory(Path("data"), ("secret",)))


def told_by(call: Callable[[], object]) -> str:
    with pytest.raises(Error) as caught:
        call()
    return str(caught.value)


PROVOKE = (
    *(without_typer, raises_at_import, without_tasks, a_file, concurrency, queues, latin, without_secret, embedded),
    *(console, no_binary, scheme, refused, loose_secret, loose_directory),
)
_TRIED = re.compile(r"\[attempts: \d+, [\d.]+ s\]")
SENTENCES = [line.split("|")[1].strip().strip("`") for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(("provoke", "sentence"), [*zip(PROVOKE, SENTENCES, strict=True)])
def test_a_sentence_is_what_is_said(
    monkeypatch: pytest.MonkeyPatch, provoke: Callable[[pytest.MonkeyPatch], str], sentence: str
) -> None:
    assert _TRIED.sub("", sentence) in _TRIED.sub("", provoke(monkeypatch))
