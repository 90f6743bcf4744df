"""What the environment says wrongly is told in one sentence that names the variable, and never shows a secret."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hustlex.cli.main import cli
from hustlex.errors import ConfigurationError, Error
from hustlex.settings import Settings, load_settings

RUBBISH = {
    "URL": ["", "x", "redis://", "redis://h:99999", "redis://127.0.0.1/x", "http://a", "unix://"],
    "CACHE_URL": ["x", "redis://h:99999"],
    "SECRET": ["short-one", "0" * 32, "ab" * 40, "changeme" * 5, "your-secret-key-goes-here-for-now", " " * 40],
    "OLD_SECRETS": ["x", "{}", '["short-one"]', "[1]", f'["{"a1b2c3d4" * 5}"]'],
    "REFERENCE_SECRET": ["short-one"],
    "CONSOLE_PROXY_SECRET": ["", "short-one", "0" * 32, "changeme" * 5, " " * 40],
    "PREFIX": ["{app}:", "a\x1bb", "x" * 9999, os.fsdecode(b"app\xff:")],
    "ENV": ["prod", "Production", ""],
    "QUEUES": [
        "",
        "x",
        "[]",
        "{}",
        '{"": 1}',
        '{"a": 0}',
        '{"a": "x"}',
        '{"a": 1.5}',
        '{"a": null}',
        '{"a": true}',
        "{" * 9999,
    ],
    "CONCURRENCY": ["", "0", "-1", "1.5", "x", "1e9", "9" * 5000, "true"],
    "SHUTDOWN_TIMEOUT_S": ["nan", "inf", "-1", "x", "1e400", ""],
    "PROCESSES": ["", "-1", "1.5", "x", "257", "true"],
    "FREEZE_GC": ["", "x", "2", "maybe", "1.5"],
    "METRICS_DIR": [""],
    "TRACE_CALLS": ["", "-1", "2", "nan", "x"],
    "TRACE_PARENT": ["", "maybe"],
}


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUSTLEX_SECRET", secrets.token_hex(32))
    (tmp_path / "empty.py").write_text("from hustlex import Tasks\ntasks = Tasks()\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_every_variable_is_tried() -> None:
    assert {name.upper() for name in Settings.model_fields} == RUBBISH.keys()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in RUBBISH.items() for value in values])
def test_rubbish_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str, value: str
) -> None:
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv(f"HUSTLEX_{name}", value)
    command = ["doctor"] if name == "CACHE_URL" else ["worker", "empty"]
    error = CliRunner().invoke(cli, command).exception
    assert isinstance(error, Error), error
    assert str(error).startswith(f"HUSTLEX_{name}"), error
    assert "\n" not in str(error)
    assert len(str(error)) < 300
    assert "SECRET" not in name or "short-one" not in str(error)


def test_options_are_named_as_they_were_given() -> None:
    for command in (["worker", "empty", "--url", "x"], ["scheduler", "empty", "--url", "x"], ["doctor", "--url", "x"]):
        assert str(CliRunner().invoke(cli, command).exception).startswith("--url: ")
    assert str(CliRunner().invoke(cli, ["doctor", "--cache-url", "x"]).exception).startswith(
        ("--cache-url: ", "doctor.")
    )
    assert str(CliRunner().invoke(cli, ["worker", "empty", "--queue", " =1"]).exception).startswith("--queue: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"HUSTLEX_PREFIX=a:\nHUSTLEX_SECRET=caf\xe9\n", ".env is not UTF-8, in line 2"),
        (b"\xff\xfeH\x00", ".env is not UTF-8, in line 1"),
        (b"HUSTLEX_CONCURRENCY=many\n", "HUSTLEX_CONCURRENCY: "),
        (b"HUSTLEX_QUEUES=critical\n", "HUSTLEX_QUEUES is not JSON"),
        (b'A=1\nHUSTLEX_URL="redis://:hunter2@127.0.0.1:1\nB=2\n', ".env cannot be read in line 2"),
        (b"export hustlex_url='redis://h", ".env cannot be read in line 1"),
    ],
)
def test_a_bad_env_file_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(words)


def test_a_line_of_others_that_cannot_be_read_is_theirs(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("===\nOTHER='x\nHUSTLEX_PREFIX=a:\n")
    assert load_settings().prefix == "a:"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_env_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(0)
    with pytest.raises(ConfigurationError, match=r"cannot read \.env"):
        load_settings()


@pytest.mark.parametrize(
    "secret",
    [
        "0123456789abcdef" * 2,
        "abcdefghijklmnopqrstuvwxyz012345",
        "correct-horse-battery-CHANGE_ME-now",
        "MySuperSecretKeyForTheJwtTokens1",
        "\x00" * 32,
        "a" * 31 + "b",
        "passwordpasswordpassword12345678",
        "please replace this with something",
    ],
)
def test_guessable_secrets_are_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.delenv("HUSTLEX_SECRET")
    with pytest.raises(ConfigurationError, match="HUSTLEX_SECRET: the secret") as caught:
        load_settings(secret=secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("make", [secrets.token_hex, secrets.token_urlsafe])
def test_random_secrets_are_taken(make: object) -> None:
    for size in (32, 48):
        assert load_settings(secret=make(size)).secret is not None  # type: ignore[operator]
    assert load_settings(secret="Ọ̀pọ̀lọpọ̀ ọ̀rọ̀ Yorùbá ló wà").secret is not None
