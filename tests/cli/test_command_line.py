"""Every command, swept: a help with an example that runs, ``--json`` with a schema, one sentence for nonsense."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.main import get_command

from hustlex.cli import client
from hustlex.cli.completion import SHELLS, candidates
from hustlex.cli.exits import EXIT_CODES
from hustlex.cli.main import cli
from tests.cli import seeded
from tests.cli.inside import hustlex
from tests.cli.schemas import gone
from tools.gen_commands import example, walk

ROOT: Any = get_command(cli)
COMMANDS = dict(walk(ROOT, "hustlex"))
SERVING = {f"hustlex {name}" for name in ("up", "api", "scheduler", "dashboard", "exporter", "worker start")}
TEXTS = {"hustlex completion", *SERVING}
"""What answers no question."""
ANSWERS = [path for path in COMMANDS if path not in TEXTS]
ENDS = {
    "hustlex worker stop": {4},  # nobody works here
    "hustlex worker cancel": {4},
    **{f"hustlex bulk {verb}": {4} for verb in ("show", "resume", "pause", "stop", "undo")},  # ids are random
    "hustlex task follow": {1},  # it is archived
    "hustlex doctor": {0, 2},  # of a test's server
}
"""How examples end that do not end with 0."""
ODD = ("", "\udcff", "☃" * 300)


@pytest.fixture
def seed(url: str, raw: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "limits.toml").write_text(seeded.RULES)
    (tmp_path / "codes.py").write_text(seeded.CODES)
    for name, value in seeded.environment(url).items():
        monkeypatch.setenv(name, value)
    seeded.restored(url, raw)


def words_of(path: str) -> list[str]:
    """What the example types after ``hustlex``."""
    line = example(COMMANDS[path])
    words = shlex.split(line[line.index("hustlex") :], comments=True)
    stop = next((at for at, word in enumerate(words) if word in ("|", ">", ">>")), len(words))
    return words[1:stop]


@pytest.mark.parametrize("noun", sorted({path.split()[1] for path in COMMANDS}))
def test_a_help_has_an_example_that_can_be_parsed(noun: str) -> None:
    for path in (each for each in COMMANDS if each.split()[1] == noun):
        parses(path)


def parses(path: str) -> None:
    told = hustlex(*path.split()[1:], "--help")
    assert told.returncode == 0, told.stderr
    assert "Example:" in told.stdout
    words, command = words_of(path), ROOT
    while below := getattr(command, "commands", None):
        command = below[words.pop(0)] if words[0] in below else below["start"]
    assert command is COMMANDS[path] or command.callback is COMMANDS[path].callback
    command.make_context(path, words)


@pytest.mark.parametrize("path", ANSWERS)
def test_every_example_runs_and_answers_json(path: str, seed: None) -> None:
    words = words_of(path)
    told = hustlex(*words, *([] if "--json" in words else ["--json"]), typed=seeded.PHONE + "\n")
    assert told.returncode in ENDS.get(path, {0}), told.stderr
    for line in told.stdout.splitlines():
        answer = json.loads(line)
        noun = "limit.guarantee" if path == "hustlex limit explain" else path.split()[1]
        assert answer["schema"].startswith(f"hustlex.{noun}") and answer["schema"].rpartition("/")[2].isdecimal()
        assert answer["as_of"].endswith("Z")
        assert gone(answer) == [], "raise the number of the schema, then: python -m tests.cli.schemas"
    assert bool(told.stdout) == (told.returncode in (0, 1, 2))
    for hidden in (seeded.PHONE, seeded.TOKEN):
        assert hidden not in told.stdout


@pytest.mark.parametrize("path", ANSWERS)
def test_every_example_answers_text_that_fits(path: str, seed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = hustlex(*(word for word in words_of(path) if word != "--json"), typed=seeded.PHONE + "\n")
    assert told.returncode in ENDS.get(path, {0}), told.stderr
    assert bool(told.stdout.strip()) == (told.returncode in (0, 1, 2))
    if path.endswith(" ls"):
        assert [line for line in told.stdout.splitlines() if len(line) > 80] == []
    for hidden in (seeded.PHONE, seeded.TOKEN):
        assert hidden not in told.stdout


def test_every_command_that_answers_offers_json() -> None:
    assert [path for path in ANSWERS if not any("--json" in each.opts for each in COMMANDS[path].params)] == []


def test_a_wrong_option_is_one_sentence() -> None:
    for path in COMMANDS:
        told = hustlex(*path.split()[1:], "--jsno")
        assert (told.returncode, told.stdout) == (2, ""), path
        assert one_sentence(told.stderr), path


def test_a_wrong_address_is_one_sentence_that_names_the_option(seed: None) -> None:
    asking = [path for path in ANSWERS if any("--url" in each.opts for each in COMMANDS[path].params)]
    assert len(asking) > 50
    for path in asking:
        told = hustlex(*words_of(path), "--url", "http://nowhere", typed=seeded.PHONE + "\n")
        assert told.returncode == 2, path
        assert one_sentence(told.stderr), path
        assert "--url" in told.stderr, path


@pytest.mark.parametrize(
    "words",
    [["worker"], ["api"], ["up"], ["scheduler"], ["doctor"], [], ["worker", "examples.gigs", "--durability"]],
    ids=" ".join,
)
def test_a_word_of_any_length_is_no_page_of_text(words: list[str]) -> None:
    """Its beginning and its end are shown, and what is wrong with it stays in sight."""
    told = hustlex(*words, "a" * 10_000)
    assert told.returncode == 2
    assert one_sentence(told.stderr) and len(told.stderr) < 2_200
    assert "aaa ... " in told.stderr


@pytest.mark.parametrize("path", [path for path in ANSWERS if words_of(path)[len(path.split()) - 1 :]])
def test_nonsense_is_one_sentence(path: str, seed: None) -> None:
    words, verb = words_of(path), len(path.split()) - 1
    brief = ["--seconds", "0.01"] if any("--seconds" in each.opts for each in COMMANDS[path].params) else []
    for at in range(verb, len(words)):
        if words[at].startswith("--"):
            continue
        for odd in ODD:
            told = hustlex(*words[:at], odd, *words[at + 1 :], *brief, typed="\n")
            assert told.returncode in EXIT_CODES, (at, odd, told.stderr)
            assert "Traceback" not in told.stderr
            assert told.returncode in (0, 1, 8) or all(map(one_sentence, told.stderr.splitlines())), (
                at,
                odd,
                told.stderr,
            )


def one_sentence(text: str) -> bool:
    return text.startswith("hustlex: ") and len(text.splitlines()) == 1


# -- what was mistyped


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["qeue", "ls"], "Did you mean 'queue'? (hustlex --help)", 2),
        (["queue", "lst"], "'ls'", 2),
        (["queue", "ls", "--jsn"], "--json", 2),
        (["worker", "lss"], "'ls'", 2),
        (["task", "ls", "stat:archived"], "did you mean state", 2),
        (["queue", "pause", "defalt"], "did you mean 'default'?", 4),
        (["task", "show", "x", "--queue", "mial"], "did you mean 'mail'?", 4),
        (["cron", "run", "reprot"], "did you mean 'report'?", 4),
        (["task", "run", "x"], "no queue knows", 4),
        (["task", "run"], "--where", 2),
        (["task", "rm", "x", "--where", "state:retry"], "--where", 2),
        (["task", "rm", "x", "--dry-run"], "--dry-run goes with --where", 2),
        (["task", "edit", "mail-7"], "--payload", 2),
        (["task", "edit", "mail-7", "--payload", "{to: 7}"], "is not JSON", 2),
        (["task", "edit", "mail-7", "--in", "soon"], "--in cannot be 'soon'", 2),
        (["task", "edit", "mail-7", "--at", "2026-12-01"], "with its zone", 2),
        (["queue", "limit", "mail", "many"], "pass a whole number, or none", 2),
        (["event", "tail", "orders:42", "--since", "-"], "--kind replay", 2),
        (["workflow", "show", "nothing"], "it has ended", 4),
    ],
)
def test_what_was_mistyped_is_told(arguments: list[str], words: str, code: int, seed: None) -> None:
    told = hustlex(*arguments)
    assert told.returncode == code
    assert one_sentence(told.stderr) and words in told.stderr


def test_a_noun_alone_shows_its_verbs() -> None:
    told = hustlex("queue")
    assert told.returncode == 2
    assert "pause" in told.stdout + told.stderr


def test_no_command_names_a_key_of_redis() -> None:
    folder = Path(__file__).parents[2] / "src/hustlex/cli"
    sources = "\n".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    assert [name for name in ("asynq:", ".eval(", "HGET", "ZADD") if name in sources] == []


# -- completion


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_told_how_to_complete(shell: str) -> None:
    told = hustlex("completion", shell)
    assert told.returncode == 0
    assert "hustlex complete -- " in told.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["que"], ["queue"]),
        (["queue", "pau"], ["pause"]),
        (["queues", "pause", "ma"], ["mail"]),
        (["event", "tail", "--kind", "re"], ["replay"]),
        (["task", "ls", "-q", ""], ["default", "mail", "old"]),
        (["task", "ls", "--rev"], ["--reveal"]),
        (["cron", "run", ""], ["report"]),
        (["completion", "z"], ["zsh"]),
        (["worker", "app.jobs", "--conc"], ["--concurrency"]),
        (["nonsense", "x"], []),
    ],
)
def test_what_could_follow(words: list[str], found: list[str], seed: None) -> None:
    assert candidates(ROOT, words) == found
    assert hustlex("complete", "--", *words).stdout.splitlines() == found


def test_completion_is_silent_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    monkeypatch.setenv("HUSTLEX_URL", f"redis://127.0.0.1:{unused_tcp_port}")
    told = hustlex("complete", "--", "queue", "show", "")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


# -- the guide

GUIDE = Path(__file__).parents[2] / "docs/guides/command-line.md"


def test_every_line_of_the_guide_runs(seed: None) -> None:
    """In the order in which a reader types them."""
    lines = [line[2:] for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("$ ")]
    assert len(lines) > 25
    for line in lines:
        words = shlex.split(line[line.index("hustlex ") :])
        told = hustlex(*words[1:], typed=seeded.PHONE + "\n")
        assert told.returncode == 0, (line, told.stderr)
        assert told.stdout, line


def test_servers_of_any_arrangement_are_taken(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's address, and one behind Sentinels: both are away, which is another sentence than a wrong one."""
    monkeypatch.setattr(client, "_PATIENCE", timedelta(milliseconds=50))
    for address in ("redis+cluster://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/main/0", "redis://127.0.0.1:{}"):
        told = hustlex("queue", "ls", "--url", address.format(unused_tcp_port))
        assert told.returncode == 3, told.stderr
        assert one_sentence(told.stderr)
