"""The nouns of the command line: thin, one helper for what they print, and nothing secret in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from hustlex.cli.main import cli, exit_code
from hustlex.errors import Conflict, Denied, Misuse, NotFound, OutcomeUnknown, Refused, Unavailable
from hustlex.idempotency import Scope, Started
from hustlex.ratelimit import Policy, Rulebook
from hustlex.sync import HustleX
from tests.conftest import PATIENCE, SECRET, unhurried

MINUTE = timedelta(minutes=1)
PHONE = "+2348031234567"
Run = Callable[..., Any]


@pytest.fixture
def hx(url: str) -> Iterator[HustleX]:
    with HustleX(url, secret=SECRET, prefix="app:", timeout=PATIENCE, ratelimit=unhurried()) as front:
        yield front


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    told = {"HUSTLEX_URL": url, "HUSTLEX_SECRET": SECRET.decode(), "HUSTLEX_PREFIX": "app:", "NO_COLOR": "1"}

    def call(*arguments: str, typed: str = "", code: int = 0) -> Any:
        result = CliRunner().invoke(cli, [*arguments], input=typed, env=told)
        found = exit_code(result.exception) if hasattr(result.exception, "maybe_executed") else result.exit_code
        assert found == code, (arguments, result.output, result.exception)
        return result

    return call


@pytest.fixture
def answer(run: Run) -> Run:
    """The object of ``--json``; the text must come without an error as well."""

    def call(*arguments: str, **options: Any) -> Any:
        at = arguments.index("--") if "--" in arguments else len(arguments)
        found = json.loads(run(*arguments[:at], "--json", *arguments[at:], **options).stdout)
        assert found.pop("schema").startswith("hustlex.")
        assert found.pop("as_of").endswith("Z")
        return found

    return call


def test_a_phone_is_looked_at_and_unlocked_without_standing_in_the_shell(hx: HustleX, run: Run, answer: Run) -> None:
    challenge = hx.otp.issue(PHONE).challenge  # type: ignore[union-attr]
    code = hx.otp.open(challenge).code  # type: ignore[union-attr]
    hx.otp.verify(challenge, "000000")
    found = answer("otp", "status", "-", typed=PHONE + "\n")
    assert [(lane["lane"], lane["sends"], lane["wrong"]) for lane in found["lanes"]] == [
        ("anon", 1, 1),
        ("known", 0, 0),
        ("extra", 0, 0),
    ]
    assert found["lanes"][0]["locked_for_ms"] == 0
    assert found["open"][0]["purpose"] == "login" and found["open"][0]["expires_in_ms"] > 0
    text = run("otp", "status", "-", typed=PHONE).stdout
    assert "login" in text and "anon" in text
    assert all(secret not in text + json.dumps(found) for secret in (PHONE, code, challenge))
    assert answer("otp", "unlock", PHONE) == {"changed": True}
    assert answer("otp", "unlock", PHONE) == {"changed": False}
    assert answer("otp", "country", "NG")["used"] == 1
    run("otp", "country", "NG")
    run("otp", "unlock", PHONE, "--lane", "odd", code=2)


def test_a_code_is_sent_again_by_the_application(run: Run, answer: Run) -> None:
    Path("sending.py").write_text(
        "def resend(to):\n    assert to == '+2348031234567'\ndef no(to):\n    return False\ndef odd(to):\n    1 / 0\n"
    )
    assert answer("otp", "resend", "-", "--by", "sending", typed=PHONE) == {"changed": True}
    assert "the application refused it" in str(run("otp", "resend", PHONE, "--by", "sending:no", code=5).exception)
    told = run("otp", "resend", PHONE, "--by", "sending:odd", code=9)
    assert "the application failed" in str(told.exception) and PHONE not in str(told.exception)
    run("otp", "resend", PHONE, "--by", "sending:nothing", code=2)


def test_sessions_are_listed_explained_and_revoked(hx: HustleX, run: Run, answer: Run) -> None:
    pair = hx.tokens.login("u7", device="Pixel 9", ip="203.0.113.9")
    found = answer("session", "ls", "u7")
    (session,) = found["items"]
    assert (session["device"], session["last_network"]) == ("Pixel 9", "203.0.113.0/24")
    text = run("session", "ls", "u7").stdout
    assert "Pixel" in text and pair.access not in text + json.dumps(found)  # type: ignore[union-attr]
    sid = session["session_id"]
    assert answer("session", "show", "u7", "--", sid)["alive"] is True
    assert answer("session", "revoke", "u7", "--", sid) == {"changed": True}
    gone = answer("session", "show", "u7", "--", sid)
    assert (gone["alive"], bool(gone["why"])) == (False, True)
    hx.tokens.login("u7")
    run("session", "revoke-all", "u7", code=2)
    assert len(hx.tokens.sessions("u7")) == 1
    assert answer("session", "revoke-all", "u7", "--yes") == {"ended": 1}
    assert answer("session", "ls", "u7")["revoked_before"].endswith("Z")


def test_limits_are_peeked_reset_and_bans_lifted(hx: HustleX, run: Run, answer: Run, tmp_path: Path) -> None:
    rule = ("limit", "peek", "2/minute per user on POST /pay named pay", "--who", "u7")
    for _ in range(3):
        hx.ratelimit.check(Policy("pay", 2, MINUTE), "u7", endpoint="POST /pay")
    found = answer(*rule)
    assert (found["allowed"], found["outcome"], found["policies"][0]["remaining"]) == (False, "denied", 0)
    assert 0 < found["retry_after_ms"] <= 70_000
    assert "denied" in run(*rule).stdout
    assert answer("limit", "reset", *rule[2:]) == {"changed": True}
    assert answer(*rule)["allowed"] is True

    (tmp_path / "limits.toml").write_text(
        '[pay]\nrule = "1/minute"\npenalty = {strikes = 1, per = "1min", ban = "1h"}\n'
    )
    banned = ("limits.toml", "--who", "-", "--endpoint", "/pay")
    policies = tuple(rule.policy for rule in Rulebook(tmp_path / "limits.toml").rules)
    for _ in range(2):
        hx.ratelimit.check(policies, "u8", endpoint="/pay")
    assert answer("limit", "peek", *banned, typed="u8\n")["marks"][0]["banned_for_ms"] > 3_500_000
    assert answer("limits", "unban", *banned, typed="u8\n") == {"changed": True}
    run("limit", "peek", "1/s per ip on /a", "1/s per user on /a", "--who", "u7", code=2)


def test_a_cache_entry_is_explained_and_dropped(hx: HustleX, run: Run, answer: Run) -> None:
    hx.cache("user", str, ttl=MINUTE, timeout=PATIENCE).set(("42", "name"), "Ada Obi")
    found = answer("cache", "get", "user", "42", "name")
    assert (found["key"], found["kind"]) == ("app:cache:user:42:name", "value")
    assert "Ada" not in run("cache", "get", "user", "42", "name").stdout
    assert answer("cache", "why", "app:cache:user:42:name")["tags"] == [{"tag": "*user", "state": "valid"}]
    assert "*user (valid)" in run("cache", "why", "user:42:name").stdout
    held = answer("cache", "stat", "user")
    assert (held["entries"], held["counted"]) == (1, True)
    assert held["bytes"] > 0
    assert (held["reads"], held["hit_ratio"]) == (0, None)
    assert answer("cache", "rm", "user", "42", "name") == {"changed": True}
    assert answer("cache", "invalidate", "--tag", "org:7", "--tag", "org:8") == {"changed": True}
    assert answer("cache", "get", "user", "42", "name")["kind"] == "absent"


def test_claims_that_are_in_doubt_are_found(hx: HustleX, run: Run, answer: Run) -> None:
    started = hx.idempotency.begin("5f2c", Scope("u7", "POST", "/pay"))
    assert isinstance(started, Started)
    hx.idempotency.renew(started, point="charging")
    found = answer("idem", "ls")
    assert (found["items"][0]["point"], found["next"], found["complete"]) == ("charging", None, True)
    assert "charging" in run("idem", "ls").stdout
    assert answer("idem", "show", "u7", "POST", "/pay", "5f2c")["state"] == "running"
    assert "running" in run("idem", "show", "u7", "POST", "/pay", "5f2c").stdout


def test_a_stuck_claim_is_released_after_a_question_and_a_living_one_never(
    hx: HustleX, raw: redis.Redis, run: Run, answer: Run
) -> None:
    started = hx.idempotency.begin("5f2c", Scope("u7", "POST", "/pay"))
    assert isinstance(started, Started)
    told = run("idem", "release", started.record, "--yes", code=5)
    assert "its owner lives" in str(told.exception)
    raw.hset(started.record, "lease", 1)
    assert "may have happened" in str(run("idem", "release", started.record, code=2).exception)
    assert hx.idempotency.inspector.of_record(started.record).state == "lapsed"
    assert answer("idem", "release", started.record, "--yes") == {"changed": True}
    assert [each["state"] for each in answer("idem", "ls")["items"]] == ["released"]
    assert answer("idem", "ls", "--events")["items"] == []


def test_bans_are_listed_and_lifted_and_a_caller_gets_a_limit_of_its_own(hx: HustleX, run: Run, answer: Run) -> None:
    Path("limits.toml").write_text('[pay]\nrule = "1/minute"\npenalty = {strikes = 9, per = "1min", ban = "1h"}\n')
    run("limit", "ban", "limits.toml", "--who", "u7", "--for", "1h")
    (ban,) = answer("limit", "bans")["items"]
    assert (ban["caller"], ban["endpoint"], ban["level"], ban["banned_for_ms"] > 3_590_000) == ("u7", "all", 0, True)
    assert "by hand" in run("limit", "bans").stdout
    assert answer("limit", "lift", ban["record"]) == {"changed": True}
    assert answer("limit", "lift", ban["record"]) == {"changed": False}
    bends, who = ("limit", "set", "2/minute per user on /pay overridable", "--who", "u7"), "u7"
    assert answer(*bends, "--to", "50", "--for", "2h") == {"changed": True}
    policy = Policy("any", 2, MINUTE, overridable=True)
    (mark,) = hx.ratelimit.inspector.caller(policy, who, endpoint="/pay")
    assert (mark.own_limit, mark.own_limit_for > timedelta(minutes=119)) == (50, True)
    run(*bends, "--to", "none")
    assert hx.ratelimit.inspector.caller(policy, who, endpoint="/pay")[0].own_limit is None
    run(*bends, "--to", "many", code=2)
    run("limit", "set", "2/minute", "--who", "u7", "--to", "5", code=2)


def test_a_user_and_a_pin_are_shown(hx: HustleX, run: Run, answer: Run) -> None:
    hx.tokens.login("u7", device="Pixel 9")
    verifier = hx.pins.hash("u7", "4821").verifier  # type: ignore[union-attr]
    hx.pins.verify("u7", "4822", verifier)
    found = answer("user", "show", "u7")
    assert (found["pin"]["wrong"], len(found["sessions"])) == (1, 1)
    assert "Pixel 9" in run("user", "show", "u7").stdout
    assert answer("pin", "show", "u7")["left"] == 4
    assert answer("pin", "reset", "u7") == {"changed": True}
    assert "wrong" in run("pin", "show", "u7").stdout


def test_listeners_of_a_channel(run: Run, answer: Run) -> None:
    assert answer("event", "show", "orders:42") == {"channel": "orders:42", "connections": 0}
    run("event", "show", "orders:42")


def test_a_bad_url_names_its_option_and_no_secret_is_a_setting_that_is_missing(run: Run, url: str) -> None:
    told = run("otp", "status", PHONE, "--url", "http://x", code=2)
    assert str(told.exception).startswith("--url:")
    bare = CliRunner().invoke(cli, ["session", "ls", "u7", "--url", url], env={"HUSTLEX_SECRET": None})
    assert exit_code(bare.exception) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misuse("x"), 2),
        (Unavailable("x"), 3),
        (NotFound("x"), 4),
        (Conflict("x"), 5),
        (Denied("x", server_code="NOPERM"), 6),
        (Refused("x", server_code="BUSY"), 3),
        (Refused("x", server_code="LOADING"), 3),
        (Refused("x", server_code="WRONGTYPE"), 1),
        (OutcomeUnknown("x"), 9),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: Any, code: int) -> None:
    assert exit_code(error) == code


def test_what_a_server_holds_is_printed_and_not_obeyed(hx: HustleX, run: Run, raw: redis.Redis) -> None:
    hx.tokens.login("u7")
    (record,) = (key for key in raw.keys("app:session:{u7}:*") if not key.endswith(b":d"))
    raw.hset(record, "dn", b"[red]\x1b]0;x\x07")
    assert "\x1b" not in run("session", "ls", "u7").stdout + run("user", "show", "u7").stdout
