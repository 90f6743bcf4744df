"""What commands change stands in the audit, as the console's acts do: who, what, to what, and how it ended."""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from hustlex.cli import bulk
from hustlex.cli.acts import HARMLESS
from hustlex.dashboard.acts import ACTS
from hustlex.dashboard.targets import Target
from hustlex.jobs import Bulk
from hustlex.people.notes import FIELDS
from tests.cli import seeded
from tests.cli.inside import hustlex
from tests.cli.test_command_line import ANSWERS, ENDS, seed, words_of

AUDIT = "app:console:{audit}"
ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
BAN = "app:ratelimit:{u8}:POST%20/pay:pen"
COMMANDS_ALONE = {"enqueue", "edit", "reschedule", "publish", "cancel_attempt"}
"""Verbs that have no button; and those of acts on all that a search finds."""
READS = ("ls", "show", "explain", "peek", "get", "status", "stat", "why", "info", "history", "times", "refused", "bans")
PASSING = (b":x:sent:", b"asynq:x:bulk", AUDIT.encode())
"""What is no change: marks of calls that may be repeated, plans that nobody has started, and the audit itself."""

__all__ = ["seed"]


def standing(raw: redis.Redis) -> dict[bytes, Any]:
    return {key: raw.dump(key) for key in raw.scan_iter(count=10_000) if not any(part in key for part in PASSING)}


def entries(raw: redis.Redis) -> list[dict[str, str]]:
    """The oldest first."""
    return [
        {"id": entry.decode()} | {name.decode(): value.decode() for name, value in fields.items()}
        for entry, fields in raw.xrange(AUDIT)
    ]


@pytest.mark.parametrize("path", ANSWERS)
def test_what_changes_something_is_written_down_and_what_does_not_is_not(
    path: str, seed: None, raw: redis.Redis
) -> None:
    before = standing(raw)
    told = hustlex(*words_of(path), typed=seeded.PHONE + "\n")
    assert told.returncode in ENDS.get(path, {0}), told.stderr
    changed, found = standing(raw) != before, entries(raw)
    begun = [each for each in found if each["phase"] == "intent"]
    if changed:
        assert begun, f"{path} changes something: put `acting` around it"
    assert [each["of"] for each in found if "of" in each] == [each["id"] for each in begun]
    for each in found:
        assert (each["name"], each["via"]) == (ME, "cli")
        assert each["phase"] in ("intent", "failed" if told.returncode == 4 else "done"), each
        assert each["verb"] in ACTS or each["verb"] in COMMANDS_ALONE or each["verb"].startswith("bulk_"), each
        assert each["target"].partition("=")[0] in FIELDS and "queue" in each, each
        assert seeded.PHONE[4:] not in repr(each) and "4500713" not in each["target"]
    reads = path.rsplit(maxsplit=1)[-1] in READS
    assert not (reads and found), f"{path} only looks"


def test_what_is_harmless_at_the_console_is_by_a_command() -> None:
    light = {verb for verb, act in ACTS.items() if act.weight == "light"} - {"plan_bulk", "tail"}
    assert light | {"enqueue", "edit", "reschedule", "publish"} == HARMLESS


def test_a_target_is_as_the_console_writes_it(seed: None, raw: redis.Redis) -> None:
    with seeded.opened(os.environ["HUSTLEX_URL"]) as hx:
        for words, verb, target in (
            (("otp", "unlock", "-"), "unlock", {"phone": seeded.PHONE, "lane": "anon"}),
            (("pin", "reset", "u7"), "reset_pin", {"user": "u7"}),
            (("cache", "rm", "user", "42"), "delete_entry", {"cache": "user", "key": "42"}),
            (("limit", "lift", BAN), "lift_ban", {"ban": BAN}),
            (("queue", "pause", "mail"), "pause", {"queue": "mail"}),
        ):  # fmt: skip
            assert hustlex(*words, typed=seeded.PHONE + "\n").returncode == 0, words
            request: Any = type("Request", (), {"hx": hx, "show": lambda what: what})
            assert entries(raw)[-1]["verb"] == verb
            assert entries(raw)[-1]["target"] == Target(**target).written(request)


def ended(raw: redis.Redis) -> tuple[str, str, str]:
    last = entries(raw)[-1]
    return last["verb"], last["phase"], last.get("error", last.get("count", ""))


def test_how_it_ended_is_told(seed: None, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, code, end in (
        (("task", "run", "nowhere", "-q", "mail"), 4, ("run", "failed", "NotFound")),
        (("task", "enqueue", "a:b", "--id", "mail-7", "-q", "mail"), 5, ("enqueue", "failed", "IdTaken")),
        (("otp", "close-breaker", "cc:GH", "--yes"), 0, ("close_breaker", "failed", "Conflict")),
        (("otp", "resend", "0", "--by", "codes:no"), 2, ("close_breaker", "failed", "Conflict")),  # no such function
        (("session", "revoke-all", "u7", "--yes"), 0, ("revoke_all", "done", "1")),
        (("task", "archive", "--where", "queue:mail", "--yes"), 0, ("bulk_archive", "done", "2")),
    ):  # fmt: skip
        told = hustlex(*words)
        assert (told.returncode, ended(raw)) == (code, end), (words, told.stderr)

    def interrupted(*_: Any) -> Bulk:
        raise KeyboardInterrupt

    monkeypatch.setattr(bulk, "_stepped", interrupted)
    assert hustlex("task", "run", "--where", "queue:mail", "--yes").returncode == 130
    assert ended(raw) == ("bulk_run", "failed", "Interrupted")


@pytest.fixture
def limited(raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command's user may do all but this."""

    url = os.environ["HUSTLEX_URL"]

    def made(*rules: str) -> None:
        raw.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", *rules)
        parts = urlsplit(url)
        monkeypatch.setenv(
            "HUSTLEX_URL", urlunsplit(parts._replace(netloc=f"limited:pw@{parts.hostname}:{parts.port}"))
        )

    yield made
    raw.execute_command("ACL", "DELUSER", "limited")


@pytest.mark.one_server
def test_what_cannot_be_written_down_is_not_done_unless_it_is_harmless(
    seed: None, raw: redis.Redis, limited: Callable[..., None]
) -> None:
    limited("-xadd")
    before = standing(raw)
    for words in (
        ("queue", "rm", "old", "--force", "--yes"),
        ("task", "rm", "mail-7", "--yes"),
        ("task", "rm", "--where", "queue:mail", "--yes"),
        ("session", "revoke-all", "u7", "--yes"),
        ("cache", "rm", "user", "42"),
    ):
        told = hustlex(*words)
        assert told.returncode == 6 and told.stdout == "", (words, told.stdout, told.stderr)
        last = told.stderr.splitlines()[-1]
        assert last.startswith("hustlex: nothing was done: it cannot be written into the audit"), words
        assert "its user needs +xadd ~app:console:*" in last
    assert standing(raw) == before
    told = hustlex("queue", "pause", "mail")
    assert (told.returncode, told.stdout) == (0, "done\n") and "this is not in the audit" in told.stderr
    assert raw.exists("asynq:{mail}:paused") and not raw.exists(AUDIT)


@pytest.mark.one_server
def test_what_the_server_refuses_is_told_as_refused(seed: None, raw: redis.Redis, limited: Callable[..., None]) -> None:
    for rules, code, why in ((("-evalsha", "-eval"), 6, "Denied"), (("-set", "-setnx"), 1, "Refused")):
        limited(*rules)
        told = hustlex("queue", "pause", "mail")
        assert told.returncode == code, told.stderr
        assert ended(raw) == ("pause", "refused", why)


def test_the_audit_is_listed(seed: None, raw: redis.Redis) -> None:
    for words in (("pause", "mail"), ("resume", "mail"), ("limit", "mail", "9"), ("rm", "old", "--force", "--yes")):
        assert hustlex("queue", *words).returncode == 0
    raw.xadd(
        AUDIT, {"name": "<b>ada", "phase": "intent", "verb": "delete", "target": f"phone {seeded.PHONE}", "queue": "q"}
    )

    def items(*words: str) -> list[Any]:
        told = hustlex("audit", "ls", "--json", *words)
        assert told.returncode == 0, told.stderr
        found: list[Any] = json.loads(told.stdout)["items"]
        return found

    assert [(each["verb"], each["phase"], each["via"]) for each in items()] == [
        ("delete", "intent", "web"), ("delete_queue", "done", "cli"), ("limit_queue", "done", "cli"),
        ("resume", "done", "cli"), ("pause", "done", "cli"),
    ]  # fmt: skip
    assert [each["verb"] for each in items("--what", "QUEUE=MAIL")] == ["limit_queue", "resume", "pause"]
    assert [each["verb"] for each in items("--who", "ADA")] == ["delete"]
    assert [each["name"] for each in items("--what", "delete_queue")] == [ME]
    assert items("--until", "2020-01-01T00:00:00Z") == [] and len(items("--since", "2020-01-01T00:00:00Z")) == 5
    seen, cursor = list[str](), ""
    while True:
        told = json.loads(hustlex("audit", "ls", "--json", "-n", "2", "--cursor", cursor).stdout)
        seen += [each["verb"] for each in told["items"]]
        cursor = told["next"] or ""
        if not cursor:
            break
    assert seen == ["delete", "delete_queue", "limit_queue", "resume", "pause"] and told["complete"]
    text = hustlex("audit", "ls").stdout
    assert "delete_queue" in text and seeded.PHONE not in text + json.dumps(items())
    for odd in (("--since", "yesterday"), ("--cursor", "nonsense"), ("--cursor", "٣-٣")):
        assert hustlex("audit", "ls", *odd).returncode == 2


def test_the_console_is_signed_in_to_and_out_of_with_a_note(seed: None, raw: redis.Redis, tmp_path: Path) -> None:
    assert hustlex("dashboard", "--token", "--name", "bob").returncode == 0
    assert hustlex("dashboard", "--token", "--name", "eve", "--level", "read", "--reveal").returncode == 0
    assert hustlex("dashboard", "--end", "bob").returncode == 0
    for nobody in ("", " ", "a\nb", "\udc80", "x" * 300):
        for words in (("--end", nobody), ("--token", "--name", nobody or " ")):
            assert hustlex("dashboard", *words).returncode == 2, "nothing was done, and nothing is written down"
    assert [(each["verb"], each["target"], each["name"]) for each in entries(raw)] == [
        ("let in", "name=bob level=act", ME),
        ("let in", "name=eve level=read reveal=yes", ME), ("sign out", "name=bob", ME),
    ]  # fmt: skip
